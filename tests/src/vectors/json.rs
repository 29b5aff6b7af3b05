//! JSON as it is committed: fields in the order they are written, one to a line.

use std::fmt;

use protocol::canonical;

/// A JSON value whose fields keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// An object.
pub(crate) fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    let fields = fields.into_iter();
    Json::Object(
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// A list.
pub(crate) fn list<T: Into<Json>>(items: impl IntoIterator<Item = T>) -> Json {
    Json::List(items.into_iter().map(Into::into).collect())
}

/// The canonical bytes of a value, in hexadecimal.
pub(crate) fn bytes<T: borsh::BorshSerialize + ?Sized>(value: &T) -> Json {
    Json::Text(hex::encode(canonical(value)))
}

/// Bytes as they are, in hexadecimal.
pub(crate) fn raw(bytes: &[u8]) -> Json {
    Json::Text(hex::encode(bytes))
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Self::Number(value.into())
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl Json {
    /// The object with fields put behind its own.
    pub(crate) fn with<const N: usize>(self, fields: [(&str, Self); N]) -> Self {
        match (self, object(fields)) {
            (Self::Object(mut own), Self::Object(more)) => {
                own.extend(more);
                Self::Object(own)
            }
            (other, _) => other,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(&quoted(value)),
            Self::List(items) => {
                let items = items.iter().map(|item| (None, item));
                write_all(f, depth, ('[', ']'), items)
            }
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (Some(name), value));
                write_all(f, depth, ('{', '}'), fields)
            }
        }
    }
}

fn write_all<'a>(
    f: &mut fmt::Formatter<'_>,
    depth: usize,
    (open, close): (char, char),
    items: impl Iterator<Item = (Option<&'a String>, &'a Json)>,
) -> fmt::Result {
    write!(f, "{open}")?;
    let mut is_empty = true;
    for (name, item) in items {
        let comma = if is_empty { "" } else { "," };
        write!(f, "{comma}\n{:1$}", "", (depth + 1) * 2)?;
        if let Some(name) = name {
            write!(f, "{}: ", quoted(name))?;
        }
        item.write(f, depth + 1)?;
        is_empty = false;
    }
    if !is_empty {
        write!(f, "\n{:1$}", "", depth * 2)?;
    }
    write!(f, "{close}")
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)?;
        f.write_str("\n")
    }
}
