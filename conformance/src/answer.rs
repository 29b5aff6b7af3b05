//! The shape of an answer, as a table, and the check of an answer against it.

use serde_json::{Map, Value};

use crate::failure::Failure;

/// What an action's answer must look like.
pub(crate) struct Shape {
    pub(crate) clause: &'static str,
    pub(crate) fields: &'static [Field],
}

/// One required field. Every other field is refused.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// The type of a field.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A date and time as RFC 3339 writes it, with its offset.
    Time,
    /// A whole number, zero or more.
    Count,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// OCPP 1.6, section 6.4: BootNotification.conf.
pub(crate) const BOOT_NOTIFICATION: Shape = Shape {
    clause: "OCPP 1.6, section 6.4 (BootNotification.conf)",
    fields: &[
        Field {
            name: "status",
            kind: Kind::OneOf(&["Accepted", "Pending", "Rejected"]),
        },
        Field {
            name: "currentTime",
            kind: Kind::Time,
        },
        Field {
            name: "interval",
            kind: Kind::Count,
        },
    ],
};

/// OCPP 1.6, section 6.30: Heartbeat.conf.
pub(crate) const HEARTBEAT: Shape = Shape {
    clause: "OCPP 1.6, section 6.30 (Heartbeat.conf)",
    fields: &[Field {
        name: "currentTime",
        kind: Kind::Time,
    }],
};

/// OCPP 1.6, section 6.48: StatusNotification.conf.
pub(crate) const STATUS_NOTIFICATION: Shape = Shape {
    clause: "OCPP 1.6, section 6.48 (StatusNotification.conf)",
    fields: &[],
};

impl Shape {
    /// Reads `text` as an answer of this shape.
    pub(crate) fn check(&self, text: &str) -> Result<Map<String, Value>, Failure> {
        let Ok(Value::Object(answer)) = serde_json::from_str(text) else {
            return Err(self.failure("a JSON object", text));
        };
        for Field { name, kind } in self.fields {
            let Some(value) = answer.get(*name) else {
                return Err(
                    self.failure(&format!("{name}, {kind}"), &format!("no {name} in {text}"))
                );
            };
            if !kind.allows(value) {
                return Err(self.failure(&format!("{name}, {kind}"), &format!("{value}")));
            }
        }
        let unknown = answer
            .keys()
            .find(|key| self.fields.iter().all(|field| field.name != *key));
        match unknown {
            Some(key) => Err(self.failure("no further fields", &format!("{key} in {text}"))),
            None => Ok(answer),
        }
    }

    /// A deviation from this shape's clause.
    pub(crate) fn failure(&self, expected: &str, seen: &str) -> Failure {
        Failure {
            clause: self.clause,
            expected: expected.to_owned(),
            seen: seen.to_owned(),
        }
    }
}

impl Kind {
    fn allows(self, value: &Value) -> bool {
        match self {
            Self::Time => value.as_str().is_some_and(is_rfc3339),
            Self::Count => value.as_u64().is_some(),
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time => out.write_str("an RFC 3339 time"),
            Self::Count => out.write_str("a whole number, zero or more"),
            Self::OneOf(words) => write!(out, "one of {}", words.join(", ")),
        }
    }
}

/// Whether `text` is an RFC 3339 date-time.
///
/// The parser decides on the values (no 31 June); the form is checked here, because it also
/// accepts other forms of ISO 8601, which charge points in the field do not.
///
/// # Source
/// RFC 3339, section 5.6.
fn is_rfc3339(text: &str) -> bool {
    let Some((date_time, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
        None => rest,
    };
    has_form(date_time, "0000-00-00T00:00:00")
        && ["Z", "+00:00", "-00:00"]
            .iter()
            .any(|form| has_form(offset, form))
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// Whether `text` is `form` with other digits.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text
            .chars()
            .zip(form.chars())
            .all(|(seen, wanted)| match wanted {
                '0' => seen.is_ascii_digit(),
                // RFC 3339 allows `t` and `z` too.
                _ => seen.eq_ignore_ascii_case(&wanted),
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_what_rfc_3339_says_and_nothing_else() {
        let check = |text, expected| assert_eq!(is_rfc3339(text), expected, "{text}");
        check("2026-11-23T06:54:39Z", true);
        check("2026-11-23t06:54:39z", true);
        check("2026-11-23T06:54:39.125Z", true);
        check("2026-11-23T06:54:39+01:00", true);
        check("2026-11-23T06:54:39.5-08:00", true);
        check("2026-11-23T06:54:39", false);
        check("2026-11-23T06:54:39.Z", false);
        check("2026-11-23 06:54:39Z", false);
        check("20261123T065439Z", false);
        check("2026-06-31T06:54:39Z", false);
        check("2026-11-23T06:54:39+01", false);
        check("2026-11-23T06:54:39Z[Europe/Berlin]", false);
        check("2026-11-23", false);
        check("", false);
        check("ö026-11-23T06:54:3Z", false);
    }

    #[test]
    fn an_answer_has_its_fields_in_their_types_and_no_others() {
        let check = |text: &str, expected: Option<&str>| {
            let expected = expected.map(|what| BOOT_NOTIFICATION.failure(what, "").expected);
            assert_eq!(
                BOOT_NOTIFICATION
                    .check(text)
                    .err()
                    .map(|failure| failure.expected),
                expected,
                "{text}"
            );
        };
        let time = Some("currentTime, an RFC 3339 time");
        let interval = Some("interval, a whole number, zero or more");
        let status = Some("status, one of Accepted, Pending, Rejected");
        check(
            r#"{"status":"Accepted","currentTime":"2026-11-23T06:54:39Z","interval":300}"#,
            None,
        );
        check(r#"{"status":"Accepted","interval":300}"#, time);
        check(
            r#"{"status":"Accepted","currentTime":1795416879,"interval":300}"#,
            time,
        );
        check(
            r#"{"status":"Accepted","currentTime":"2026-11-23T06:54:39Z","interval":"300"}"#,
            interval,
        );
        check(
            r#"{"status":"Accepted","currentTime":"2026-11-23T06:54:39Z","interval":1.5}"#,
            interval,
        );
        check(
            r#"{"status":"Accepted","currentTime":"2026-11-23T06:54:39Z","interval":-1}"#,
            interval,
        );
        check(
            r#"{"status":"accepted","currentTime":"2026-11-23T06:54:39Z","interval":300}"#,
            status,
        );
        check(
            r#"{"status":"Accepted","currentTime":"2026-11-23T06:54:39Z","interval":300,"extra":null}"#,
            Some("no further fields"),
        );
        check("[]", Some("a JSON object"));
    }
}
