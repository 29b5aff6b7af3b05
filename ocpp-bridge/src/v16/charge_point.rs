//! The northbound face: a charge point at an existing central system, for an outlet without OCPP.
//!
//! The gateway owns the charges and [reports](ChargePointHandle::report) them; [`run()`] tells the
//! central system, in order, with their original times, however often the link is lost: what
//! belongs to a transaction waits in a [`Journal`] until it is confirmed. What the central system
//! asks for goes to a [`ChargePointHost`].
//!
//! ```
//! use std::sync::Arc;
//! use ocpp_bridge::session::StopReason;
//! use ocpp_bridge::v16::charge_point::*;
//! use protocol::{EnergyWh, IdTag, UnixMillis};
//!
//! async fn one_charge<H: ChargePointHost>(host: Arc<H>) -> Result<(), Box<dyn std::error::Error>> {
//!     let config = ChargePointConfig::new("ws://csms.example/ocpp", "CP-1", "Acme", "Outlet");
//!     let (handle, inbox) = channel();
//!     tokio::spawn(run(config, host, MemoryJournal::default(), inbox));
//!
//!     let id_tag = IdTag::parse("FLEET-1")?;
//!     if handle.ask_authorize(&id_tag).await?.is_accepted() {
//!         let (charge, at) = (ChargeKey(1), UnixMillis(1_700_000_000_000));
//!         let register = EnergyWh(10_000);
//!         let began = SessionEvent::Began { charge, connector: 1, id_tag, at, register };
//!         handle.report(began).await?;
//!         handle.report(SessionEvent::Ended {
//!             charge,
//!             id_tag: None,
//!             at: at.plus_ms(3_600_000),
//!             register: EnergyWh(17_000),
//!             reason: StopReason::Local,
//!             detail: Vec::new(),
//!         }).await?;
//!     }
//!     Ok(())
//! }
//! ```

mod configuration;
mod face;
mod handle;
mod host;
mod incoming;
mod journal;
mod outgoing;
mod queue;
mod run;

use std::time::Duration;

use protocol::link::LinkOptions;

pub use configuration::ConfigurationError;
pub use handle::{AskError, ChargeKey, ChargePointHandle, FaceGone, Inbox, SessionEvent, channel};
pub use host::{AvailabilityAnswer, ChargePointHost, RemoteStart, ResetKind, UnlockAnswer};
pub use journal::{Journal, JournalError, MemoryJournal};
pub use run::{RunError, run};

/// How this charge point presents itself and behaves.
#[derive(Clone, Debug)]
pub struct ChargePointConfig {
    /// The central system's URL, without the identity.
    pub url: String,
    /// The identity; appended to the URL, percent-encoded.
    pub charge_point_id: String,
    /// At most 20 characters.
    pub vendor: String,
    /// At most 20 characters.
    pub model: String,
    /// At most 25 characters.
    pub serial: Option<String>,
    /// At most 50 characters.
    pub firmware: Option<String>,
    /// At most 25 characters.
    pub meter_serial: Option<String>,
    /// At most 25 characters.
    pub meter_type: Option<String>,
    /// Number of connectors.
    pub connectors: u32,
    /// First values of OCPP configuration keys, over the defaults.
    pub configuration: Vec<(String, String)>,
    /// How long to wait with the next BootNotification where the central system does not say.
    pub boot_retry: Duration,
    /// The first wait before reconnecting; it doubles, with chance, from one failure to the next.
    pub backoff_first: Duration,
    /// The longest wait before reconnecting.
    pub backoff_max: Duration,
    /// How long a reset waits for running charges to end and their messages to be delivered.
    pub reset_timeout: Duration,
    /// The link's limits and timeouts. Its ping interval comes from WebSocketPingInterval.
    pub link: LinkOptions,
}

impl ChargePointConfig {
    /// A charge point with one connector and the defaults.
    #[must_use]
    pub fn new(url: &str, charge_point_id: &str, vendor: &str, model: &str) -> Self {
        Self {
            url: url.to_owned(),
            charge_point_id: charge_point_id.to_owned(),
            vendor: vendor.to_owned(),
            model: model.to_owned(),
            serial: None,
            firmware: None,
            meter_serial: None,
            meter_type: None,
            connectors: 1,
            configuration: Vec::new(),
            boot_retry: Duration::from_secs(60),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(120),
            reset_timeout: Duration::from_secs(30),
            link: LinkOptions::default(),
        }
    }
}
