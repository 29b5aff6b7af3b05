//! Checks a payload against a table of its fields.

use protocol::UnixMillis;
use protocol::rpc::Json;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A string of at most so many characters.
    Text(usize),
    /// A string of any length.
    LongText,
    /// A whole number.
    Integer,
    /// An RFC 3339 date-time.
    DateTime,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    Object(&'static [Field]),
    /// An object that is passed over unread.
    AnyObject,
    /// At least so many of the shape.
    List(usize, &'static Self),
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    name: &'static str,
    required: bool,
    shape: Shape,
}

pub(super) const fn required(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        required: true,
        shape,
    }
}

pub(super) const fn optional(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        required: false,
        shape,
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The payload is no JSON object.
    NotAnObject,
    /// A required field is absent.
    Missing,
    /// The field has another JSON type.
    WrongType {
        /// The type it should have.
        expected: &'static str,
    },
    /// More characters than allowed.
    TooLong {
        /// Characters allowed.
        max: usize,
    },
    /// Not one of the values allowed.
    NotAllowed,
    /// No RFC 3339 date-time.
    NotATime,
    /// Fewer elements than required.
    TooFew {
        /// Elements required.
        min: usize,
    },
    /// A value outside the range that is read here.
    OutOfRange,
}

/// A field that is not as the standard says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {violation:?}")]
pub struct SchemaError {
    /// The field's path, such as `meterValue.sampledValue.unit`.
    pub field: String,
    /// What is wrong with it.
    pub violation: Violation,
}

impl SchemaError {
    pub(super) fn new(field: &str, violation: Violation) -> Self {
        Self {
            field: field.to_owned(),
            violation,
        }
    }
}

/// Reads a payload that has these fields.
pub(super) fn read<T: DeserializeOwned>(
    payload: &Json,
    fields: &'static [Field],
) -> Result<T, SchemaError> {
    let root = || SchemaError::new("payload", Violation::NotAnObject);
    let mut value: Value = serde_json::from_str(payload.get()).map_err(|_| root())?;
    check_fields(&value, fields, "")?;
    drop_nulls(&mut value);
    // The table has passed it: what is refused now is a number wider than the type's field.
    serde_json::from_value(value)
        .map_err(|error| SchemaError::new(&error.to_string(), Violation::OutOfRange))
}

/// Optional fields may be null on the wire; the types want them absent.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn check_fields(value: &Value, fields: &[Field], path: &str) -> Result<(), SchemaError> {
    let Some(object) = value.as_object() else {
        return Err(SchemaError::new(path, Violation::NotAnObject));
    };
    for field in fields {
        let path = join(path, field.name);
        match object.get(field.name) {
            // Some charge points write null for "absent".
            None | Some(Value::Null) if field.required => {
                return Err(SchemaError::new(&path, Violation::Missing));
            }
            None | Some(Value::Null) => {}
            Some(value) => check_shape(value, field.shape, &path)?,
        }
    }
    Ok(())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn check_shape(value: &Value, shape: Shape, path: &str) -> Result<(), SchemaError> {
    let refuse = |violation| Err(SchemaError::new(path, violation));
    let wrong = |expected| SchemaError::new(path, Violation::WrongType { expected });
    let text = || value.as_str().ok_or_else(|| wrong("string"));
    match shape {
        Shape::Text(max) if text()?.chars().count() > max => refuse(Violation::TooLong { max }),
        Shape::Text(_) | Shape::LongText => text().map(|_| ()),
        Shape::Integer if is_integer(value) => Ok(()),
        Shape::Integer => Err(wrong("integer")),
        Shape::DateTime if UnixMillis::parse_rfc3339(text()?).is_err() => {
            refuse(Violation::NotATime)
        }
        Shape::DateTime => Ok(()),
        Shape::OneOf(names) if !names.contains(&text()?) => refuse(Violation::NotAllowed),
        Shape::OneOf(_) => Ok(()),
        Shape::AnyObject if value.is_object() => Ok(()),
        Shape::AnyObject => Err(wrong("object")),
        Shape::Object(_) if !value.is_object() => Err(wrong("object")),
        Shape::Object(fields) => check_fields(value, fields, path),
        Shape::List(min, element) => {
            let elements = value.as_array().ok_or_else(|| wrong("array"))?;
            if elements.len() < min {
                return refuse(Violation::TooFew { min });
            }
            elements
                .iter()
                .try_for_each(|value| check_shape(value, *element, path))
        }
    }
}

fn is_integer(value: &Value) -> bool {
    // serde_json keeps numbers as written here (arbitrary_precision), so "7.0" is no integer.
    value.as_number().is_some_and(|number| {
        let text = number.to_string();
        text.trim_start_matches('-')
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use protocol::rpc::to_json;
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        required("tag", Shape::Text(3)),
        optional("n", Shape::Integer),
        optional("at", Shape::DateTime),
        optional("kind", Shape::OneOf(&["A", "B"])),
        optional("list", Shape::List(1, &Shape::Object(INNER))),
        optional("any", Shape::AnyObject),
    ];
    const INNER: &[Field] = &[required("x", Shape::LongText)];

    #[track_caller]
    fn check(payload: Value, expected: Result<(), (&str, Violation)>) {
        let outcome = read::<Value>(&to_json(&payload), FIELDS).map(|_| ());
        let expected = expected.map_err(|(field, violation)| SchemaError::new(field, violation));
        assert_eq!(outcome, expected, "{payload}");
    }

    #[test]
    fn every_violation_is_named_with_its_field() {
        let wrong = |expected| Violation::WrongType { expected };
        check(json!({"tag": "äöü", "n": -1, "extra": 1}), Ok(()));
        check(
            json!({"tag": "", "kind": "B", "list": [{"x": ""}], "any": {}}),
            Ok(()),
        );
        check(
            json!({"tag": "a", "n": null, "at": "2026-01-01T00:00:00.5+02:00"}),
            Ok(()),
        );
        check(json!([]), Err(("", Violation::NotAnObject)));
        check(json!({}), Err(("tag", Violation::Missing)));
        check(json!({"tag": null}), Err(("tag", Violation::Missing)));
        check(json!({"tag": 1}), Err(("tag", wrong("string"))));
        check(
            json!({"tag": "abcd"}),
            Err(("tag", Violation::TooLong { max: 3 })),
        );
        check(json!({"tag": "a", "n": "1"}), Err(("n", wrong("integer"))));
        check(json!({"tag": "a", "n": 1.5}), Err(("n", wrong("integer"))));
        check(
            json!({"tag": "a", "at": "today"}),
            Err(("at", Violation::NotATime)),
        );
        check(
            json!({"tag": "a", "kind": "C"}),
            Err(("kind", Violation::NotAllowed)),
        );
        check(
            json!({"tag": "a", "list": []}),
            Err(("list", Violation::TooFew { min: 1 })),
        );
        check(
            json!({"tag": "a", "list": {}}),
            Err(("list", wrong("array"))),
        );
        check(
            json!({"tag": "a", "list": [1]}),
            Err(("list", wrong("object"))),
        );
        check(
            json!({"tag": "a", "list": [{}]}),
            Err(("list.x", Violation::Missing)),
        );
        check(json!({"tag": "a", "any": 1}), Err(("any", wrong("object"))));
    }
}
