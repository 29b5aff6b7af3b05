//! OCPP configuration that central systems changed.

use ledger::store::{StoreError, Write};

use super::{CONFIGURATION, Charges};

impl Charges {
    /// What was changed before the last start.
    pub(crate) fn configuration(
        &self,
        charge_point: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut entries = self.store.all::<(String, String, String)>(CONFIGURATION)?;
        entries.retain(|(id, _, _)| id == charge_point);
        Ok(entries
            .into_iter()
            .map(|(_, key, value)| (key, value))
            .collect())
    }

    /// Keeps a setting for the next start.
    pub(crate) async fn keep_configuration(&self, charge_point: &str, key: &str, value: &str) {
        let entry = (charge_point.to_owned(), key.to_owned(), value.to_owned());
        let name = format!("{charge_point}/{}", key.to_ascii_lowercase());
        let write = Write::put(CONFIGURATION, name.into_bytes(), &entry);
        let kept = match self.queue(vec![write], Vec::new()) {
            Ok(stored) => stored.wait().await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            tracing::error!(charge_point, key, %error, "the setting is lost at the next start");
        }
    }
}
