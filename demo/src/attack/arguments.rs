//! An attacker's arguments: names and values in turn.

use std::collections::BTreeMap;
use std::ffi::OsString;

use anyhow::{Context, bail};

/// Values by name.
pub(super) struct Arguments(BTreeMap<String, String>);

impl Arguments {
    pub(super) fn parse(args: impl Iterator<Item = OsString>) -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        let mut args = args.map(OsString::into_string);
        while let Some(name) = args.next() {
            match (name, args.next()) {
                (Ok(name), Some(Ok(value))) => values.insert(name, value),
                (name, _) => bail!("{name:?} needs a value"),
            };
        }
        Ok(Self(values))
    }

    pub(super) fn get(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.with_context(|| format!("{name} is missing"))
    }
}
