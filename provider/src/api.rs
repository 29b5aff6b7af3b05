//! The operator API's bodies, which server and command line share.

use protocol::message::{ChargeInfo, CreditLine, Finality};
use protocol::{EnergyWh, Hash, IdTag, MinorUnits, NodeId, PublicKey, SupplyPointId, UnixSeconds};
use serde::{Deserialize, Serialize};

/// `POST /v1/tokens`: asks for an enrolment token.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewToken {
    /// The groups that whoever presents it may claim.
    pub(crate) groups: Vec<IdTag>,
}

/// Answer to [`NewToken`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    /// Shown this once; the provider keeps its hash only.
    pub(crate) token: String,
}

/// `GET /v1/chain`: where the chain is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chain {
    pub(crate) chain_id: Hash,
    pub(crate) provider_key: PublicKey,
    pub(crate) height: u64,
    /// Hash of the newest header; the chain id before the first.
    pub(crate) tip: Hash,
    pub(crate) final_height: u64,
    /// Round of the newest block.
    pub(crate) round: u64,
    pub(crate) state_root: Hash,
    /// Voters in the chain; with one or two of them finality is self-attested.
    pub(crate) voters: u64,
    pub(crate) sealing: Sealing,
}

/// Whether the provider goes on, and what it waits for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sealing {
    pub(crate) goes_on: bool,
    /// Voters that count since it started, and those of them that have told what they know.
    pub(crate) voters: u64,
    pub(crate) heard: u64,
    /// The highest header that a gateway has shown and whose block is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) behind: Option<u64>,
    /// A height for which the provider has signed two headers: it is convicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) two_headers: Option<u64>,
    /// Charges that it has promised and that are not here yet.
    pub(crate) missing: u64,
}

/// Answer to `POST /v1/seal-without-reports`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Overridden {}

/// `GET /v1/bills/{group}`: a group's bill.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bill {
    pub(crate) group_id: IdTag,
    pub(crate) currency: String,
    pub(crate) voters: u64,
    pub(crate) lines: Vec<BillLine>,
    pub(crate) total: Total,
    /// The part of `total` in blocks that are not final.
    pub(crate) pending: Total,
    pub(crate) credits: Vec<CreditLine>,
    /// All of `credits`.
    pub(crate) credit: MinorUnits,
    /// The part of `credit` in blocks that are not final.
    pub(crate) pending_credit: MinorUnits,
}

/// Energy and what is owed for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Total {
    pub(crate) energy_wh: EnergyWh,
    pub(crate) amount: MinorUnits,
}

/// One charge.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BillLine {
    pub(crate) id_tag: IdTag,
    pub(crate) supply_point: SupplyPointId,
    /// The outlet's name at its node.
    pub(crate) outlet: String,
    pub(crate) start: UnixSeconds,
    pub(crate) end: UnixSeconds,
    pub(crate) energy_wh: EnergyWh,
    pub(crate) amount: MinorUnits,
    pub(crate) finality: Finality,
    /// Height and hash of the header that proves it.
    pub(crate) height: u64,
    pub(crate) header: Hash,
}

/// `GET /v1/evidence`: who is convicted of what.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Convictions {
    pub(crate) convictions: Vec<Convicted>,
}

/// One conviction.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Convicted {
    pub(crate) node: NodeId,
    /// The group for which it sealed or voted, where it is convicted of that.
    pub(crate) group_id: Option<IdTag>,
    /// Of what, for people.
    pub(crate) offence: String,
    /// What the evidence shows, for people.
    pub(crate) proof: String,
    /// Height and hash of the header that records the evidence.
    pub(crate) height: u64,
    pub(crate) header: Hash,
    /// Canonical bytes of the evidence, in hexadecimal.
    pub(crate) evidence: String,
}

/// Every answer that is no success.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// One line for people.
    pub(crate) error: String,
}

impl Bill {
    /// The bill of what was gathered, with its sums; `outlet` names supply points.
    pub(crate) fn new(
        info: ChargeInfo,
        voters: u64,
        outlet: impl Fn(SupplyPointId) -> String,
    ) -> Self {
        let (mut total, mut pending) = (Total::default(), Total::default());
        let (mut credit, mut pending_credit) = (Total::default(), Total::default());
        for line in &info.lines {
            total.add(line.energy_wh, line.amount);
            if !line.finality.is_final() {
                pending.add(line.energy_wh, line.amount);
            }
        }
        for line in &info.credits {
            credit.add(line.energy_wh, line.credit);
            if !line.finality.is_final() {
                pending_credit.add(line.energy_wh, line.credit);
            }
        }
        let lines = info.lines.into_iter().map(|line| BillLine {
            outlet: outlet(line.supply_point),
            id_tag: line.id_tag,
            supply_point: line.supply_point,
            start: line.start,
            end: line.end,
            energy_wh: line.energy_wh,
            amount: line.amount,
            finality: line.finality,
            height: line.height,
            header: line.header,
        });
        Self {
            lines: lines.collect(),
            group_id: info.group_id,
            currency: info.currency,
            voters,
            total,
            pending,
            credits: info.credits,
            credit: credit.amount,
            pending_credit: pending_credit.amount,
        }
    }
}

impl Total {
    fn add(&mut self, energy: EnergyWh, amount: MinorUnits) {
        self.energy_wh.0 = self.energy_wh.0.saturating_add(energy.0);
        self.amount.0 = self.amount.0.saturating_add(amount.0);
    }
}
