//! Configurations, with placeholders for what is known when a server starts.

use std::fmt::Write as _;

/// A provider with rounds of a second and the tariff that [`crate::amount`] computes.
#[must_use]
pub fn provider() -> String {
    "state_dir = \"{state}\"\n\
     listen = \"{links}\"\n\
     operator_listen = \"{operator}\"\n\
     [chain]\n\
     interval_s = 1\n\
     witnesses = 8\n\
     currency = \"EUR\"\n\
     test = true\n\
     [tariff]\n\
     price_per_kwh = \"0.40\"\n\
     owner_credit_per_kwh = \"0.30\"\n"
        .to_owned()
}

/// Builds a gateway's configuration.
#[derive(Clone, Debug)]
pub struct Gateway {
    text: String,
}

impl Gateway {
    /// A gateway of the provider at `links` with a local API and nothing else.
    #[must_use]
    pub fn new(links: &str, token: &str) -> Self {
        let text = format!(
            "state_dir = \"{{state}}\"\n\
             [provider]\n\
             url = \"ws://{links}/billing\"\n\
             enrolment_token = \"{token}\"\n\
             [local_api]\n\
             listen = \"{{api}}\"\n"
        );
        Self { text }
    }

    fn with(mut self, text: std::fmt::Arguments<'_>) -> Self {
        self.text
            .write_fmt(text)
            .expect("a String takes everything");
        self
    }

    /// Takes OCPP chargers.
    #[must_use]
    pub fn ocpp(self) -> Self {
        self.with(format_args!("[ocpp]\nlisten = \"{{ocpp}}\"\n"))
    }

    /// Is home of a group.
    #[must_use]
    pub fn group(self, id: &str, id_tags: &[&str]) -> Self {
        self.with(format_args!(
            "[[group]]\nid = \"{id}\"\nid_tags = {id_tags:?}\n"
        ))
    }

    /// Vouches for idTags that other gateways register; after [`Gateway::group`].
    #[must_use]
    pub fn members(self, id_tags: &[&str]) -> Self {
        self.with(format_args!("member_id_tags = {id_tags:?}\n"))
    }

    /// Listens for other gateways at `address`, and has it told to them.
    #[must_use]
    pub fn neighbours(self, address: &str) -> Self {
        self.with(format_args!(
            "[neighbours]\nlisten = \"{address}\"\naddress = \"ws://{address}\"\n"
        ))
    }

    /// Has an SDM630 at an address, read ten times a second.
    #[must_use]
    pub fn meter(self, id: &str, address: &str) -> Self {
        self.with(format_args!(
            "[[meter]]\n\
             id = \"{id}\"\n\
             model = \"eastron-sdm630\"\n\
             address = \"{address}\"\n\
             poll_interval_ms = 100\n\
             timeout_ms = 1000\n"
        ))
    }

    /// Has an outlet; without a meter the charger's register is billed. Tests charge in seconds
    /// what takes hours, so it gives any power.
    #[must_use]
    pub fn outlet(self, id: &str, owner: &str, meter: Option<&str>) -> Self {
        let config = self.with(format_args!(
            "[[outlet]]\nid = \"{id}\"\nowner = \"{owner}\"\nmax_power_w = 4000000000\n"
        ));
        match meter {
            Some(meter) => config.with(format_args!("meter = \"{meter}\"\n")),
            None => config,
        }
    }

    /// Knows the key of the meter that signs; after [`Gateway::outlet`].
    #[must_use]
    pub fn signed_meter_key(self, key: &str) -> Self {
        self.with(format_args!("signed_meter_key = \"{key}\"\n"))
    }

    /// Knows an OCPP charger with these outlets.
    #[must_use]
    pub fn charge_point(self, id: &str, outlets: &[&str]) -> Self {
        self.with(format_args!(
            "[[charge_point]]\nid = \"{id}\"\noutlets = {outlets:?}\n"
        ))
    }

    /// Has a charger without OCPP.
    #[must_use]
    pub fn modbus_charger(self, id: &str, outlet: &str, central_system: Option<&str>) -> Self {
        let config = self.with(format_args!(
            "[[modbus_charger]]\nid = \"{id}\"\noutlet = \"{outlet}\"\n"
        ));
        match central_system {
            Some(url) => config.with(format_args!("central_system = \"{url}\"\n")),
            None => config,
        }
    }

    /// Has whatever else `text` says, after what was added before.
    #[must_use]
    pub fn more(self, text: &str) -> Self {
        self.with(format_args!("{text}\n"))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
