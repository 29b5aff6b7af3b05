//! Between OCPP 1.6's types and the session's.

use chrono::{DateTime, Utc};
use protocol::{IdTag, UnixMillis};
use rust_ocpp::v1_6::types::{
    AuthorizationStatus, ChargePointStatus, IdTagInfo, Reason as WireReason,
};

use super::schema::{SchemaError, Violation};
use crate::session::{Authorization, ConnectorStatus, StopReason};

/// A field's date-time; the table of fields has refused times before 1970.
pub(super) fn millis(time: DateTime<Utc>) -> UnixMillis {
    UnixMillis(u64::try_from(time.timestamp_millis()).unwrap_or(0))
}

/// A moment on the wire; clocks after the year 262142 stop there.
pub(super) fn wire_time(at: UnixMillis) -> DateTime<Utc> {
    i64::try_from(at.0)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// An idTag that must be readable; `field` names it in the refusal.
pub(super) fn id_tag(field: &str, text: &str) -> Result<IdTag, SchemaError> {
    IdTag::parse(text).map_err(|_| SchemaError::new(field, Violation::NotAllowed))
}

pub(super) fn id_tag_info(authorization: &Authorization) -> IdTagInfo {
    let refused = |status| IdTagInfo {
        expiry_date: None,
        parent_id_tag: None,
        status,
    };
    match authorization {
        Authorization::Accepted { expiry, parent } => IdTagInfo {
            expiry_date: expiry.map(|at| wire_time(at.millis())),
            // A longer parent (a group of OCPP 2.x) has no place in 1.6.
            parent_id_tag: parent
                .as_ref()
                .map(|tag| tag.as_str().to_owned())
                .filter(|tag| tag.len() <= protocol::ids::ID_TAG_MAX_CHARS_V16),
            status: AuthorizationStatus::Accepted,
        },
        Authorization::Blocked => refused(AuthorizationStatus::Blocked),
        Authorization::Expired => refused(AuthorizationStatus::Expired),
        Authorization::Invalid => refused(AuthorizationStatus::Invalid),
        Authorization::ConcurrentTx => refused(AuthorizationStatus::ConcurrentTx),
    }
}

pub(super) fn authorization(info: &IdTagInfo) -> Authorization {
    match info.status {
        AuthorizationStatus::Accepted => Authorization::Accepted {
            expiry: info.expiry_date.map(|at| millis(at).seconds()),
            // A parent that is no idTag (empty, say) groups nobody.
            parent: info
                .parent_id_tag
                .as_deref()
                .and_then(|text| IdTag::parse(text).ok()),
        },
        AuthorizationStatus::Blocked => Authorization::Blocked,
        AuthorizationStatus::Expired => Authorization::Expired,
        AuthorizationStatus::Invalid => Authorization::Invalid,
        AuthorizationStatus::ConcurrentTx => Authorization::ConcurrentTx,
    }
}

/// Both directions of one-to-one names, as one table.
macro_rules! same_names {
    ($ours:ident <=> $wire:ident, $to_wire:ident, $from_wire:ident, { $($our:ident = $their:ident),* $(,)? }) => {
        pub(super) fn $to_wire(ours: $ours) -> $wire {
            match ours { $($ours::$our => $wire::$their),* }
        }

        pub(super) fn $from_wire(wire: &$wire) -> $ours {
            match wire { $($wire::$their => $ours::$our),* }
        }
    };
}

same_names!(StopReason <=> WireReason, wire_reason, stop_reason, {
    DeAuthorized = DeAuthorized,
    EmergencyStop = EmergencyStop,
    EvDisconnected = EVDisconnected,
    HardReset = HardReset,
    Local = Local,
    Other = Other,
    PowerLoss = PowerLoss,
    Reboot = Reboot,
    Remote = Remote,
    SoftReset = SoftReset,
    UnlockCommand = UnlockCommand,
});

same_names!(ConnectorStatus <=> ChargePointStatus, wire_status, connector_status, {
    Available = Available,
    Preparing = Preparing,
    Charging = Charging,
    SuspendedEvse = SuspendedEVSE,
    SuspendedEv = SuspendedEV,
    Finishing = Finishing,
    Reserved = Reserved,
    Unavailable = Unavailable,
    Faulted = Faulted,
});

#[cfg(test)]
mod tests {
    use protocol::UnixSeconds;

    use super::*;

    #[test]
    fn an_authorization_survives_the_wire() {
        let parent = IdTag::parse("GROUP").expect("printable ASCII");
        for authorization_before in [
            Authorization::Accepted {
                expiry: Some(UnixSeconds(1_700_000_000)),
                parent: Some(parent),
            },
            Authorization::Blocked,
            Authorization::Expired,
            Authorization::Invalid,
            Authorization::ConcurrentTx,
        ] {
            let info = id_tag_info(&authorization_before);
            assert_eq!(authorization(&info), authorization_before);
        }
    }

    #[test]
    fn a_parent_too_long_for_this_version_is_left_out() {
        let authorization = Authorization::Accepted {
            expiry: None,
            parent: IdTag::parse(&"x".repeat(21)).ok(),
        };
        assert_eq!(id_tag_info(&authorization).parent_id_tag, None);
    }

    #[test]
    fn a_moment_on_the_wire_is_the_same_moment() {
        let at = UnixMillis(1_700_000_000_123);
        assert_eq!(millis(wire_time(at)), at);
        assert_eq!(wire_time(UnixMillis(u64::MAX)), DateTime::<Utc>::MAX_UTC);
    }
}
