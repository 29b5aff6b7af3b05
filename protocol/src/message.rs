//! The messages that travel as RPC text frames: the paper's Table I under its names, the
//! handshake before it, and the calls billing needs beside it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::crypto::{Hash, HexBytes, PublicKey, Signature};
use crate::genesis::Genesis;
use crate::ids::{ChargerId, GroupId, IdTag, NodeId, Salt, SupplyPointId};
use crate::neighbour::{Neighbour, NodeAddress, SignedEnrolment};
use crate::profile::{SignedDeputy, SignedGrant, SignedMeterExchange};
use crate::time::{UnixMillis, UnixSeconds};
use crate::units::{EnergyWh, MinorUnits};

/// The WebSocket subprotocol of the billing link.
pub const SUBPROTOCOL: &str = "charge-billing.v1";

/// First call of a link: the node names itself and challenges the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hello {
    /// The node's key.
    pub node_key: PublicKey,
    /// Random bytes that the provider signs.
    pub nonce: Hash,
}

/// Answer to [`Hello`]: which chain this is, proof of the provider's key, and its challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HelloAck {
    /// What the chain began with.
    pub genesis: Genesis,
    /// Random bytes that the node signs.
    pub nonce: Hash,
    /// By the provider, over both nonces and the node's key.
    pub signature: Signature,
}

/// Second call of a link: proof of the node's key, and a token where it is not enrolled yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Join {
    /// By the node, over both nonces and the provider's key.
    pub signature: Signature,
    /// The one-time enrolment token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What the node knows of the chain.
    #[serde(default)]
    pub report: Report,
}

/// What a node knows of the chain, for a provider that may have been restored from a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// The enrolment number that it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// Whether it has every block up to its newest header, and gives them to who asks.
    pub keeps_blocks: bool,
    /// Its newest header, signed by the provider; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<HexBytes>,
}

/// Answer to [`Join`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JoinAck {
    /// The node's enrolment number.
    pub node: NodeId,
    /// The provider's clock.
    pub current_time: UnixMillis,
    /// The last profile number the provider knows of this node; 0 for none.
    pub last_seq: u32,
    /// The hash of that profile; zero for none.
    pub last_profile: Hash,
    /// Height of the newest block.
    pub tip: u64,
    /// The provider has not heard yet, since it started, what the node was promised: it is told
    /// before anything else.
    #[serde(default)]
    pub wants_report: bool,
}

/// What happened to a request for a charger. OCPP 1.6's AuthorizationStatus, and `Pending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Granted.
    Accepted,
    /// The charger is barred.
    Blocked,
    /// The permission has run out.
    Expired,
    /// Unknown, or not of this group.
    Invalid,
    /// It is charging elsewhere already.
    ConcurrentTx,
    /// The group's parent is away; it is asked when it returns.
    Pending,
}

/// A mobile charger joins. Without a groupId the node asks for a charger some group has
/// registered already (charging away from home).
///
/// # Source
/// The paper, Table I.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Register {
    /// The mobile charger.
    pub id_tag: IdTag,
    /// The group it wants to pay with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<IdTag>,
    /// Whether the node is the charger's home: without a group, it then pays for itself.
    pub is_home: bool,
    /// The number that the node knows its group by: a provider that has lost it gives it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
}

/// Answer to [`Register`].
///
/// # Source
/// The paper, Table I.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterAck {
    /// Cycle, clock and status.
    pub id_tag_info: RegisterInfo,
    /// The charger as the chain knows it; absent unless accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
}

/// The paper's `idTagInfo` of a [`RegisterAck`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterInfo {
    /// Cycle for sending profiles, in seconds.
    pub interval_s: u32,
    /// The provider's clock.
    pub current_time: UnixMillis,
    /// Whether the group takes the charger.
    pub status: Status,
}

/// A registered charger as the chain and the parties know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// Its pseudonym.
    pub charger: ChargerId,
    /// Its group's number.
    pub group: GroupId,
    /// Its group's name.
    pub group_id: IdTag,
    /// The group's parent.
    pub parent: NodeId,
    /// The parent's key, for nodes that keep no state to look it up in.
    pub parent_key: PublicKey,
    /// The key of the parent's deputy, for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy_key: Option<PublicKey>,
    /// Where other nodes reach the parent, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_address: Option<NodeAddress>,
    /// The salt of the pseudonym: for the home node only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<Salt>,
}

/// Does this idTag belong to your group? Provider to parent.
///
/// # Source
/// The paper, Table I.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckAuth {
    /// The mobile charger.
    pub id_tag: IdTag,
    /// The group it names.
    pub group_id: IdTag,
}

/// Answer to [`CheckAuth`].
///
/// # Source
/// The paper, Table I.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckAuthAck {
    /// The parent's word.
    pub status: Status,
}

/// May this charger charge? Member to parent, relayed by the provider.
///
/// # Source
/// The paper, Table I.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authorize {
    /// The mobile charger.
    pub id_tag: IdTag,
    /// Its group.
    pub group_id: IdTag,
    /// Its pseudonym.
    pub charger: ChargerId,
}

/// Answer to [`Authorize`].
///
/// # Source
/// The paper, Table I.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizeAck {
    /// The parent's word.
    pub status: Status,
    /// The parent's signed permission; absent unless accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<SignedGrant>,
}

/// An outlet with an owner and a meter joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterSupplyPoint {
    /// The node's own name for the outlet.
    pub outlet: String,
    /// The group that is credited for what is taken here.
    pub owner: IdTag,
    /// Model and serial number of its meter.
    pub meter: String,
    /// The number that the node knows it by: a provider that has lost it gives it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supply_point: Option<SupplyPointId>,
}

/// Answer to [`RegisterSupplyPoint`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterSupplyPointAck {
    /// The outlet's enrolment number.
    pub supply_point: SupplyPointId,
}

/// Who speaks for a group beside its parent. Parent to provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameDeputy {
    /// The parent's word.
    pub deputy: SignedDeputy,
}

/// Answer to [`NameDeputy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameDeputyAck {
    /// The number of the group's newest deputy; the one asked for unless it was refused.
    pub number: u32,
}

/// An outlet's meter was exchanged. Node to provider, once all charges by the old meter are in
/// blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeMeter {
    /// The node's word.
    pub exchange: SignedMeterExchange,
    /// Model and serial number of the new meter, whose hash the word holds.
    pub meter: String,
}

/// Answer to [`ExchangeMeter`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeMeterAck {
    /// The number of the outlet's newest exchange; the one asked for unless it was refused.
    pub number: u32,
}

/// Asks for blocks from a height on; they arrive as binary frames before the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetBlocks {
    /// The first height wanted.
    pub from: u64,
}

/// Answer to [`GetBlocks`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetBlocksAck {
    /// Height of the newest block.
    pub tip: u64,
}

/// Asks for headers from a height on; they arrive as binary frames before the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetHeaders {
    /// The first height wanted.
    pub from: u64,
}

/// Answer to [`GetHeaders`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetHeadersAck {
    /// Height of the newest block.
    pub tip: u64,
}

/// Asks for proof that the node's own charges are in final blocks. Receipt files arrive as binary
/// frames before the answer, in the order of their numbers, as far as blocks are final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetProof {
    /// Proof is wanted of charges with a number above this one.
    pub after: u32,
}

/// Answer to [`GetProof`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetProofAck {}

/// Tells where other nodes reach this one, and asks whom it may reach.
///
/// A call of its own and no part of [`JoinAck`] or [`RegisterAck`]: who is near changes as nodes
/// come and go, while a node joins once for a link and registers a charger once for good.
///
/// # Source
/// The paper's first contact: the neighbours of a `RegisterAck`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetNeighbours {
    /// Where it listens; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<NodeAddress>,
    /// The parents of groups whose chargers it knows: named first.
    pub parents: Vec<NodeId>,
}

/// Answer to [`GetNeighbours`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetNeighboursAck {
    /// Those of the parents that listen, then a few others.
    pub neighbours: Vec<Neighbour>,
    /// What the node shows to those it calls.
    pub enrolment: SignedEnrolment,
}

/// Shows what convicts the provider. Node to node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfferEvidence {
    /// An evidence file.
    pub file: HexBytes,
}

/// Answer to [`OfferEvidence`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfferEvidenceAck {
    /// Whether it convicts the provider of both.
    pub is_proven: bool,
}

/// The bill of a group. Provider to the group's parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChargeInfo {
    /// The group that is billed.
    pub group_id: IdTag,
    /// ISO 4217 code of every amount here.
    pub currency: String,
    /// What its chargers took, in the order of the chain.
    pub lines: Vec<ChargeInfoLine>,
    /// What its outlets gave to others and to itself, in the order of the chain.
    pub credits: Vec<CreditLine>,
}

/// One charge of a [`ChargeInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChargeInfoLine {
    /// Who charged.
    pub id_tag: IdTag,
    /// Where.
    pub supply_point: SupplyPointId,
    /// When it began.
    pub start: UnixSeconds,
    /// When it ended.
    pub end: UnixSeconds,
    /// How much.
    pub energy_wh: EnergyWh,
    /// What it costs.
    pub amount: MinorUnits,
    /// Whether its block can still change, and who says so.
    pub finality: Finality,
    /// Height of its block.
    pub height: u64,
    /// The header that proves it.
    pub header: Hash,
}

/// How far a block is on its way to being final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Finality {
    /// Too few voters have confirmed it so far.
    Pending,
    /// The dispute period is over, and too few voters have confirmed it: it is billed, may still
    /// become final, and is never called so before.
    Unconfirmed,
    /// More than half of the voters that were not dormant confirmed it, and the dispute period is
    /// over.
    FinalAfterDormancy,
    /// More than half of all voters confirmed it.
    Final,
}

impl Finality {
    /// Whether nobody can change the block any more, with or without the dormant.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Unconfirmed => false,
            Self::FinalAfterDormancy | Self::Final => true,
        }
    }
}

/// What the owner of a supply point is credited for one charge. Who charged is not its business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreditLine {
    /// The outlet.
    pub supply_point: SupplyPointId,
    /// The outlet's name at its node.
    pub outlet: String,
    /// When the charge began.
    pub start: UnixSeconds,
    /// When it ended.
    pub end: UnixSeconds,
    /// Energy given.
    pub energy_wh: EnergyWh,
    /// What the owner gets for it.
    pub credit: MinorUnits,
    /// Whether its block can still change, and who says so.
    pub finality: Finality,
    /// Height of its block.
    pub height: u64,
    /// The header that proves it.
    pub header: Hash,
}

/// Answer to [`ChargeInfo`]: it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeInfoAck {}

macro_rules! calls {
    ($($name:ident => $ack:ident),* $(,)?) => {
        /// A call of the billing protocol, after the handshake.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant is the message of its name")]
        pub enum Request { $($name($name)),* }

        /// The answer to the [`Request`] of the same name.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant answers the request of its name")]
        pub enum Response { $($name($ack)),* }

        impl Request {
            /// The RPC action.
            #[must_use]
            pub fn action(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name)),* }
            }

            /// The RPC payload.
            #[must_use]
            pub fn payload(&self) -> Value {
                match self { $(Self::$name(message) => to_value(message)),* }
            }

            /// Reads a call.
            ///
            /// # Errors
            /// `UnknownAction`, or `Malformed` with what is wrong.
            pub fn decode(action: &str, payload: &str) -> Result<Self, MessageError> {
                match action {
                    $(stringify!($name) => from_json(action, payload).map(Self::$name),)*
                    _ => Err(MessageError::UnknownAction(action.chars().take(40).collect())),
                }
            }

            /// Reads the answer to this call.
            ///
            /// # Errors
            /// `Malformed` with what is wrong.
            pub fn decode_response(&self, payload: &str) -> Result<Response, MessageError> {
                match self {
                    $(Self::$name(_) => from_json(self.action(), payload).map(Response::$name)),*
                }
            }
        }

        impl Response {
            /// The RPC payload.
            #[must_use]
            pub fn payload(&self) -> Value {
                match self { $(Self::$name(message) => to_value(message)),* }
            }
        }
    };
}

calls! {
    Register => RegisterAck,
    CheckAuth => CheckAuthAck,
    Authorize => AuthorizeAck,
    RegisterSupplyPoint => RegisterSupplyPointAck,
    NameDeputy => NameDeputyAck,
    ExchangeMeter => ExchangeMeterAck,
    GetBlocks => GetBlocksAck,
    GetHeaders => GetHeadersAck,
    GetProof => GetProofAck,
    ChargeInfo => ChargeInfoAck,
    GetNeighbours => GetNeighboursAck,
    OfferEvidence => OfferEvidenceAck,
}

/// Why a text frame's payload was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No call of this name.
    #[error("unknown action {0:?}")]
    UnknownAction(String),
    /// The payload is not this action's.
    #[error("malformed {action}: {reason}")]
    Malformed {
        /// The action.
        action: String,
        /// What the decoder said.
        reason: String,
    },
}

/// Reads one message of the handshake or a call.
///
/// # Errors
/// `Malformed` with what is wrong.
pub fn from_json<T: DeserializeOwned>(action: &str, payload: &str) -> Result<T, MessageError> {
    serde_json::from_str(payload).map_err(|source| MessageError::Malformed {
        action: action.to_owned(),
        reason: source.to_string(),
    })
}

/// Writes one message.
///
/// # Panics
/// Never: no message here holds a map with keys other than text.
pub fn to_value<T: Serialize>(message: &T) -> Value {
    serde_json::to_value(message).expect("messages are plain structs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_comes_back_from_its_payload() {
        let call = Request::Register(Register {
            id_tag: IdTag::parse("fleet-1").expect("printable"),
            group_id: None,
            is_home: false,
            group: None,
        });
        let text = r#"{"idTag":"FLEET-1","isHome":false}"#;
        assert_eq!(call.payload().to_string(), text);
        let read = Request::decode(call.action(), &call.payload().to_string());
        assert_eq!(read, Ok(call));
    }

    #[test]
    fn unknown_actions_and_surplus_fields_are_refused() {
        assert_eq!(
            Request::decode("Pay", "{}"),
            Err(MessageError::UnknownAction("Pay".to_owned()))
        );
        let surplus = Request::decode("Register", r#"{"idTag":"A","isHome":true,"amount":0}"#);
        assert!(matches!(surplus, Err(MessageError::Malformed { .. })));
    }
}
