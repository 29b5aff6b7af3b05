//! What a parent allows a mobile charger at its group's expense.

use protocol::message::Status;
use protocol::{ChargerId, Grant, GroupId, IdTag, UnixSeconds};

use super::Node;

/// How long a grant holds.
const GRANT_S: u64 = 30 * 24 * 3600;
/// How far before its signing a grant begins, for gateways whose clock is behind.
pub(super) const GRANT_BEFORE_S: u64 = 300;

/// Bounds for one mobile charger, as configured at its group's parent and deputy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// It may not charge.
    pub is_blocked: bool,
    /// The first second in which it may not begin a charge any more.
    pub expiry: Option<UnixSeconds>,
    /// The most one charge may take, Wh; 0 for no limit.
    pub energy_limit_wh: u32,
}

impl Node {
    fn limits(&self, id_tag: &IdTag) -> Limits {
        let configured = self.config.limits.get(id_tag);
        configured.copied().unwrap_or_default()
    }

    /// Whether a charger of a group that this node speaks for may begin a charge at `moment`.
    pub(super) fn standing(&self, id_tag: &IdTag, moment: UnixSeconds) -> Status {
        let limits = self.limits(id_tag);
        if limits.is_blocked {
            Status::Blocked
        } else if limits.expiry.is_some_and(|expiry| expiry <= moment) {
            Status::Expired
        } else {
            Status::Accepted
        }
    }

    /// A grant for a charge that begins at `moment`, as far as its charger is allowed.
    pub(super) fn grant(
        &self,
        moment: UnixSeconds,
        id_tag: &IdTag,
        charger: ChargerId,
        group: GroupId,
    ) -> Grant {
        let limits = self.limits(id_tag);
        let expiry = UnixSeconds(moment.0.saturating_add(GRANT_S));
        Grant {
            charger,
            group,
            not_before: UnixSeconds(moment.0.saturating_sub(GRANT_BEFORE_S)),
            expiry: limits.expiry.map_or(expiry, |end| expiry.min(end)),
            energy_limit_wh: limits.energy_limit_wh,
        }
    }
}
