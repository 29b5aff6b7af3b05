//! JSON objects whose values keep the bytes they are written in.
//!
//! A number's decimal places say how finely a register counts, and a signature covers bytes, so
//! values stay raw until a field reads its own. A key that is there twice is refused: readers differ
//! in which of the two they take.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{ParseError, shortened};

/// The most fields of one object and elements of one array.
pub(crate) const MAX_ELEMENTS: usize = 1_000;

/// An object's fields in the order they are written.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    /// Where it stands: empty for a section, `RD[1].` for a reading.
    place: String,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads `text`, which is valid JSON, as an object at `place`.
    pub(crate) fn new(place: String, text: &'a str) -> Result<Self, ParseError> {
        let Ok(Fields(fields)) = serde_json::from_str::<Fields<'a>>(text) else {
            return Err(ParseError::Field {
                field: named(&place),
                found: shortened(text),
                accepted: "an object",
            });
        };
        if fields.len() > MAX_ELEMENTS {
            return Err(ParseError::TooMany {
                field: named(&place),
                limit: MAX_ELEMENTS,
            });
        }
        let mut keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ParseError::Twice {
                field: format!("{place}{}", shortened(twice[0])),
            });
        }
        Ok(Self { place, fields })
    }

    /// Takes a field out; `None` where it is not there or `null`.
    pub(crate) fn take(&mut self, key: &str) -> Option<Field<'a>> {
        let index = self.fields.iter().position(|(name, _)| name == key)?;
        let (name, raw) = self.fields.remove(index);
        let field = Field {
            name: format!("{}{name}", self.place),
            text: raw.get(),
        };
        (field.text != "null").then_some(field)
    }

    /// Takes a text out.
    pub(crate) fn take_text(&mut self, key: &str) -> Result<Option<String>, ParseError> {
        self.take(key).map(|field| field.text()).transpose()
    }

    /// Takes a text out that others inherit, and that must not be long for it.
    pub(crate) fn take_short_text(&mut self, key: &str) -> Result<Option<String>, ParseError> {
        const LONGEST: usize = 64;
        let Some(field) = self.take(key) else {
            return Ok(None);
        };
        let text = field.text()?;
        if text.len() > LONGEST {
            return Err(field.refused("a text of at most 64 bytes"));
        }
        Ok(Some(text))
    }

    /// What was not taken: keys and values as they are written.
    pub(crate) fn rest(self) -> Vec<(String, String)> {
        let as_written = |(key, raw): (String, &RawValue)| (key, raw.get().to_owned());
        self.fields.into_iter().map(as_written).collect()
    }
}

/// The name of an object in an error: its place without the dot behind it.
fn named(place: &str) -> String {
    match place.strip_suffix('.') {
        Some(name) => name.to_owned(),
        None => "section".to_owned(),
    }
}

/// A field's value as it is written.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    name: String,
    text: &'a str,
}

impl<'a> Field<'a> {
    /// A text. Meters also write numbers where the format asks for a text, which are read as they
    /// are written.
    pub(crate) fn text(&self) -> Result<String, ParseError> {
        match self.text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(self.text).map_err(|_| self.refused("a valid text")),
            Some(b'-' | b'0'..=b'9') => Ok(self.text.to_owned()),
            _ => Err(self.refused("a text")),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Result<bool, ParseError> {
        match self.text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.refused("true or false")),
        }
    }

    /// The elements of an array.
    pub(crate) fn elements(&self) -> Result<Vec<Self>, ParseError> {
        let Ok(elements) = serde_json::from_str::<Vec<&'a RawValue>>(self.text) else {
            return Err(self.refused("an array"));
        };
        if elements.len() > MAX_ELEMENTS {
            return Err(ParseError::TooMany {
                field: self.name.clone(),
                limit: MAX_ELEMENTS,
            });
        }
        let named = |(index, raw): (usize, &'a RawValue)| Self {
            name: format!("{}[{index}]", self.name),
            text: raw.get(),
        };
        Ok(elements.into_iter().enumerate().map(named).collect())
    }

    /// The fields of an object.
    pub(crate) fn object(&self) -> Result<Object<'a>, ParseError> {
        Object::new(format!("{}.", self.name), self.text)
    }

    /// The refusal of what this field holds.
    pub(crate) fn refused(&self, accepted: &'static str) -> ParseError {
        ParseError::Field {
            field: self.name.clone(),
            found: shortened(self.text),
            accepted,
        }
    }
}

/// How deep the objects and arrays of valid JSON are nested.
pub(crate) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}
