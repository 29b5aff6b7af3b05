//! How the gateway talks to the face.

use protocol::link::CallFailure;
use protocol::{EnergyWh, IdTag, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::session::{Authorization, ConnectorStatus, Observation, StopReason};

/// Reports that may wait for the face; the reporter waits when it is full.
const INBOX_SIZE: usize = 64;

/// The gateway's own name for a charge, unique over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChargeKey(pub u64);

/// What the gateway's session did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// A charge began. Repeating it changes nothing.
    Began {
        /// Names the charge from now on.
        charge: ChargeKey,
        /// Counted from 1.
        connector: u32,
        /// Who charges.
        id_tag: IdTag,
        /// When.
        at: UnixMillis,
        /// The register then.
        register: EnergyWh,
    },
    /// The meter was read. Report as often as it is; what is sent follows
    /// MeterValueSampleInterval.
    Observed {
        /// Counted from 1.
        connector: u32,
        /// What it said.
        observation: Observation,
    },
    /// A charge ended. Repeating it changes nothing.
    Ended {
        /// As in `Began`.
        charge: ChargeKey,
        /// Who stopped it, where somebody did.
        id_tag: Option<IdTag>,
        /// When.
        at: UnixMillis,
        /// The register then.
        register: EnergyWh,
        /// Why.
        reason: StopReason,
        /// Sent as transactionData where StopTxnSampledData asks for it.
        detail: Vec<Observation>,
    },
    /// A connector changed.
    Status {
        /// 0 is the charge point itself.
        connector: u32,
        /// To what.
        status: ConnectorStatus,
        /// What is wrong, where it is faulted; at most 50 characters are sent.
        fault: Option<String>,
        /// When.
        at: UnixMillis,
    },
}

pub(super) enum Input {
    Report(SessionEvent, oneshot::Sender<()>),
    Authorize(IdTag, oneshot::Sender<Result<Authorization, AskError>>),
}

/// What [`run`](super::run()) reads from.
pub struct Inbox(pub(super) mpsc::Receiver<Input>);

/// Makes the two ends of the way to the face; the face ends when the last handle is dropped.
#[must_use]
pub fn channel() -> (ChargePointHandle, Inbox) {
    let (inputs, inbox) = mpsc::channel(INBOX_SIZE);
    (ChargePointHandle { inputs }, Inbox(inbox))
}

/// Reports to the face and asks through it.
#[derive(Clone, Debug)]
pub struct ChargePointHandle {
    inputs: mpsc::Sender<Input>,
}

/// The face has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the charge point face has ended; start it again, its journal kept what was reported")]
pub struct FaceGone;

/// Why the central system did not say whether an idTag may charge.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There is no link, or the central system has not accepted this charge point.
    #[error("the central system cannot be asked now")]
    Offline,
    /// It was asked and did not answer usefully.
    #[error("the central system gave no answer")]
    Failed(#[source] CallFailure),
    /// It answered something else.
    #[error("the central system's answer is not as the standard says")]
    Unreadable(#[source] crate::v16::SchemaError),
    /// The face has ended.
    #[error(transparent)]
    Gone(#[from] FaceGone),
}

impl ChargePointHandle {
    /// Reports what happened; when it returns, what belongs to a transaction is in the journal.
    ///
    /// # Errors
    /// `FaceGone`; the event may or may not be in the journal, so report it again.
    pub async fn report(&self, event: SessionEvent) -> Result<(), FaceGone> {
        let (kept, done) = oneshot::channel();
        self.inputs
            .send(Input::Report(event, kept))
            .await
            .map_err(|_| FaceGone)?;
        done.await.map_err(|_| FaceGone)
    }

    /// Asks the central system whether `id_tag` may charge (Authorize).
    ///
    /// # Errors
    /// `AskError`; what to do without an answer is the gateway's policy.
    pub async fn ask_authorize(&self, id_tag: &IdTag) -> Result<Authorization, AskError> {
        let (reply, answer) = oneshot::channel();
        self.inputs
            .send(Input::Authorize(id_tag.clone(), reply))
            .await
            .map_err(|_| FaceGone)?;
        answer.await.map_err(|_| FaceGone)?
    }
}
