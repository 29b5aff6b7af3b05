//! A run: which cases, against whom, each over a link of its own.

use std::fmt::Write;
use std::time::Duration;

use protocol::link::{ConnectError, LinkOptions, connect};

use crate::cases::{CASES, Case};
use crate::peer::CentralSystem;
use crate::report::{CaseReport, Report};

/// OCPP-J 1.6, section 3.1.2.
const SUBPROTOCOL: &str = "ocpp1.6";

/// A checked choice of cases and peer.
pub struct Settings {
    /// The link's address, charge point id included.
    url: String,
    cases: Vec<&'static Case>,
    answer_timeout: Duration,
}

/// The operator asked for something that is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No case has this id.
    #[error("no case {id}; `charge-conformance list` shows those there are: {known}")]
    UnknownCase {
        /// As it was given.
        id: String,
        /// All ids.
        known: String,
    },
}

/// The run could not take place; says nothing about the peer's conformance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is no link to test over.
    #[error("no link to {url}")]
    Connect {
        /// Address with the charge point's id.
        url: String,
        /// What stood in the way, and what to do.
        #[source]
        source: ConnectError,
    },
}

impl Settings {
    /// Chooses `case_ids` of [`CASES`], all if it is empty, against the central system at `url`,
    /// as the charge point `charge_point_id`.
    ///
    /// # Errors
    /// `UnknownCase`.
    ///
    /// # Source
    /// OCPP-J 1.6, section 3.1.1: the id is the last, percent-encoded part of the address.
    pub fn new(
        url: &str,
        charge_point_id: &str,
        case_ids: &[String],
    ) -> Result<Self, SettingsError> {
        let cases = if case_ids.is_empty() {
            CASES.iter().collect()
        } else {
            case_ids
                .iter()
                .map(|id| find(id))
                .collect::<Result<_, _>>()?
        };
        let url = format!(
            "{}/{}",
            url.trim_end_matches('/'),
            percent_encoded(charge_point_id)
        );
        Ok(Self {
            url,
            cases,
            answer_timeout: LinkOptions::default().call_timeout,
        })
    }

    /// Waits this long for each answer.
    #[must_use]
    pub fn with_answer_timeout(self, answer_timeout: Duration) -> Self {
        Self {
            answer_timeout,
            ..self
        }
    }
}

/// Runs the chosen cases one after the other.
///
/// # Errors
/// `Connect`. A link that is lost later is the peer's failure, and in the report.
pub async fn run(settings: &Settings) -> Result<Report, RunError> {
    let options = LinkOptions {
        call_timeout: settings.answer_timeout,
        ..LinkOptions::default()
    };
    let mut cases = Vec::with_capacity(settings.cases.len());
    for case in &settings.cases {
        let connection = connect(&settings.url, &[SUBPROTOCOL], &options)
            .await
            .map_err(|source| RunError::Connect {
                url: settings.url.clone(),
                source,
            })?;
        let central_system = CentralSystem::new(connection);
        let failure = (case.run)(&central_system).await.err();
        central_system.close().await;
        cases.push(CaseReport {
            id: case.id,
            title: case.title,
            failure,
        });
    }
    Ok(Report { cases })
}

fn find(id: &str) -> Result<&'static Case, SettingsError> {
    CASES
        .iter()
        .find(|case| case.id == id)
        .ok_or_else(|| SettingsError::UnknownCase {
            id: id.to_owned(),
            known: CASES
                .iter()
                .map(|case| case.id)
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// RFC 3986, section 2.3: everything but letters, digits and four signs is encoded.
fn percent_encoded(id: &str) -> String {
    id.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_ends_with_the_encoded_id() {
        let check = |url, id, expected| {
            let settings = Settings::new(url, id, &[]).expect("no case is named");
            assert_eq!(settings.url, expected);
        };
        check("ws://host:1/ocpp", "CP-1", "ws://host:1/ocpp/CP-1");
        check(
            "ws://host:1/ocpp/",
            "RDAM|123",
            "ws://host:1/ocpp/RDAM%7C123",
        );
        check("ws://host:1", "a/ü", "ws://host:1/a%2F%C3%BC");
    }

    #[test]
    fn without_a_choice_every_case_runs() {
        let settings = Settings::new("ws://host:1", "CP-1", &[]).expect("no case is named");
        assert_eq!(settings.cases.len(), CASES.len());
    }
}
