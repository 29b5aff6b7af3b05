//! The command line's side of the operator API.

use std::time::Duration;

use protocol::IdTag;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::api::{Bill, Chain, Convictions, NewToken, Overridden, Refusal, Token};
use crate::error::Error;
use crate::state_dir::StateDir;

/// A bill over a long chain takes its time.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The longest answer, a bill of a million charges.
const MAX_ANSWER_BYTES: u64 = 512 << 20;

/// Calls the provider that runs on a state directory.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    authorization: String,
    state_dir: StateDir,
}

impl Client {
    /// Finds the provider that was started on `state_dir`.
    pub(crate) fn new(state_dir: StateDir) -> Result<Self, Error> {
        let addresses = state_dir.addresses()?;
        let token = state_dir.stored_operator_token()?;
        let (Some(addresses), Some(token)) = (addresses, token) else {
            return Err(not_running(&state_dir));
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            // A proxy of the environment is for the world outside this machine.
            .proxy(None)
            .build()
            .into();
        Ok(Self {
            agent,
            base: format!("http://{}/v1", addresses.operator),
            authorization: format!("Bearer {token}"),
            state_dir,
        })
    }

    pub(crate) fn create_token(&self, groups: Vec<IdTag>) -> Result<Token, Error> {
        self.post("tokens", &NewToken { groups })
    }

    pub(crate) fn bill(&self, group: &IdTag) -> Result<Bill, Error> {
        self.get(&format!("bills/{}", percent_encoded(group.as_str())))
    }

    pub(crate) fn chain(&self) -> Result<Chain, Error> {
        self.get("chain")
    }

    pub(crate) fn evidence(&self) -> Result<Convictions, Error> {
        self.get("evidence")
    }

    pub(crate) fn seal_without_reports(&self) -> Result<Overridden, Error> {
        self.post("seal-without-reports", &Overridden {})
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let request = self.agent.get(format!("{}/{path}", self.base));
        self.read(request.header("authorization", &self.authorization).call())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let request = self.agent.post(format!("{}/{path}", self.base));
        let request = request.header("authorization", &self.authorization);
        self.read(request.send_json(body))
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Error> {
        let mut answer = answer.map_err(|error| match error {
            ureq::Error::Io(_) | ureq::Error::ConnectionFailed => not_running(&self.state_dir),
            error => Error::Answer(error),
        })?;
        let is_success = answer.status().is_success();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        if is_success {
            return body.read_json().map_err(Error::Answer);
        }
        let refusal: Refusal = body.read_json().map_err(Error::Answer)?;
        Err(Error::Refused(refusal.error))
    }
}

fn not_running(state_dir: &StateDir) -> Error {
    Error::NotRunning {
        state_dir: state_dir.path().to_owned(),
    }
}

/// RFC 3986, section 2.3: everything but unreserved characters is encoded.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_name_stays_one_segment_of_the_path() {
        assert_eq!(percent_encoded("UNGROUPED/1 ?"), "UNGROUPED%2F1%20%3F");
        assert_eq!(percent_encoded("Fleet-1_a.b~"), "Fleet-1_a.b~");
    }
}
