//! The fields of the messages that are read here.
//!
//! # Source
//! OCPP 1.6 edition 2, section 6 (messages) and 7 (types).

use super::schema::{Field, Shape, optional, required};

/// CiString20Type: idTags.
const ID_TOKEN: Shape = Shape::Text(20);

pub(super) const NO_FIELDS: &[Field] = &[];

pub(super) const BOOT_NOTIFICATION: &[Field] = &[
    optional("chargeBoxSerialNumber", Shape::Text(25)),
    required("chargePointModel", Shape::Text(20)),
    optional("chargePointSerialNumber", Shape::Text(25)),
    required("chargePointVendor", Shape::Text(20)),
    optional("firmwareVersion", Shape::Text(50)),
    optional("iccid", Shape::Text(20)),
    optional("imsi", Shape::Text(20)),
    optional("meterSerialNumber", Shape::Text(25)),
    optional("meterType", Shape::Text(25)),
];

pub(super) const BOOT_NOTIFICATION_CONF: &[Field] = &[
    required("currentTime", Shape::DateTime),
    required("interval", Shape::Integer),
    required("status", Shape::OneOf(&["Accepted", "Pending", "Rejected"])),
];

pub(super) const HEARTBEAT_CONF: &[Field] = &[required("currentTime", Shape::DateTime)];

pub(super) const AUTHORIZE: &[Field] = &[required("idTag", ID_TOKEN)];

const ID_TAG_INFO: Shape = Shape::Object(&[
    optional("expiryDate", Shape::DateTime),
    optional("parentIdTag", ID_TOKEN),
    required(
        "status",
        Shape::OneOf(&["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]),
    ),
]);

pub(super) const AUTHORIZE_CONF: &[Field] = &[required("idTagInfo", ID_TAG_INFO)];

pub(super) const START_TRANSACTION: &[Field] = &[
    required("connectorId", Shape::Integer),
    required("idTag", ID_TOKEN),
    required("meterStart", Shape::Integer),
    optional("reservationId", Shape::Integer),
    required("timestamp", Shape::DateTime),
];

pub(super) const START_TRANSACTION_CONF: &[Field] = &[
    required("idTagInfo", ID_TAG_INFO),
    required("transactionId", Shape::Integer),
];

const METER_VALUE: Shape = Shape::Object(&[
    required("timestamp", Shape::DateTime),
    required("sampledValue", Shape::List(1, &SAMPLED_VALUE)),
]);

const SAMPLED_VALUE: Shape = Shape::Object(&[
    required("value", Shape::LongText),
    optional(
        "context",
        Shape::OneOf(&[
            "Interruption.Begin",
            "Interruption.End",
            "Other",
            "Sample.Clock",
            "Sample.Periodic",
            "Transaction.Begin",
            "Transaction.End",
            "Trigger",
        ]),
    ),
    optional("format", Shape::OneOf(&["Raw", "SignedData"])),
    optional(
        "measurand",
        Shape::OneOf(&[
            "Current.Export",
            "Current.Import",
            "Current.Offered",
            "Energy.Active.Export.Interval",
            "Energy.Active.Export.Register",
            "Energy.Active.Import.Interval",
            "Energy.Active.Import.Register",
            "Energy.Reactive.Export.Interval",
            "Energy.Reactive.Export.Register",
            "Energy.Reactive.Import.Interval",
            "Energy.Reactive.Import.Register",
            "Frequency",
            "Power.Active.Export",
            "Power.Active.Import",
            "Power.Factor",
            "Power.Offered",
            "Power.Reactive.Export",
            "Power.Reactive.Import",
            "RPM",
            "SoC",
            "Temperature",
            "Voltage",
        ]),
    ),
    optional(
        "phase",
        Shape::OneOf(&[
            "L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1",
        ]),
    ),
    optional(
        "location",
        Shape::OneOf(&["Body", "Cable", "EV", "Inlet", "Outlet"]),
    ),
    optional(
        "unit",
        // "Celcius" is the standard's own slip, "Hertz" came with an erratum.
        Shape::OneOf(&[
            "A",
            "Celcius",
            "Celsius",
            "Fahrenheit",
            "Hertz",
            "K",
            "Percent",
            "V",
            "VA",
            "W",
            "Wh",
            "kVA",
            "kW",
            "kWh",
            "kvar",
            "kvarh",
            "var",
            "varh",
        ]),
    ),
]);

pub(super) const METER_VALUES: &[Field] = &[
    required("connectorId", Shape::Integer),
    optional("transactionId", Shape::Integer),
    required("meterValue", Shape::List(1, &METER_VALUE)),
];

pub(super) const STOP_TRANSACTION: &[Field] = &[
    optional("idTag", ID_TOKEN),
    required("meterStop", Shape::Integer),
    required("timestamp", Shape::DateTime),
    required("transactionId", Shape::Integer),
    optional(
        "reason",
        Shape::OneOf(&[
            "DeAuthorized",
            "EmergencyStop",
            "EVDisconnected",
            "HardReset",
            "Local",
            "Other",
            "PowerLoss",
            "Reboot",
            "Remote",
            "SoftReset",
            "UnlockCommand",
        ]),
    ),
    // The schema asks for no element here, unlike in MeterValues.
    optional("transactionData", Shape::List(0, &METER_VALUE)),
];

pub(super) const STATUS_NOTIFICATION: &[Field] = &[
    required("connectorId", Shape::Integer),
    required(
        "errorCode",
        Shape::OneOf(&[
            "ConnectorLockFailure",
            "EVCommunicationError",
            "GroundFailure",
            "HighTemperature",
            "InternalError",
            "LocalListConflict",
            "NoError",
            "OtherError",
            "OverCurrentFailure",
            "OverVoltage",
            "PowerMeterFailure",
            "PowerSwitchFailure",
            "ReaderFailure",
            "ResetFailure",
            "UnderVoltage",
            "WeakSignal",
        ]),
    ),
    optional("info", Shape::Text(50)),
    required(
        "status",
        Shape::OneOf(&[
            "Available",
            "Preparing",
            "Charging",
            "SuspendedEVSE",
            "SuspendedEV",
            "Finishing",
            "Reserved",
            "Unavailable",
            "Faulted",
        ]),
    ),
    optional("timestamp", Shape::DateTime),
    optional("vendorErrorCode", Shape::Text(50)),
    optional("vendorId", Shape::Text(255)),
];

pub(super) const DATA_TRANSFER: &[Field] = &[
    required("vendorId", Shape::Text(255)),
    optional("messageId", Shape::Text(50)),
    optional("data", Shape::LongText),
];

pub(super) const REMOTE_START_TRANSACTION: &[Field] = &[
    optional("connectorId", Shape::Integer),
    required("idTag", ID_TOKEN),
    optional("chargingProfile", Shape::AnyObject),
];

pub(super) const REMOTE_STOP_TRANSACTION: &[Field] = &[required("transactionId", Shape::Integer)];

pub(super) const GET_CONFIGURATION: &[Field] = &[optional("key", Shape::List(0, &Shape::Text(50)))];

pub(super) const CHANGE_CONFIGURATION: &[Field] = &[
    required("key", Shape::Text(50)),
    required("value", Shape::Text(500)),
];

pub(super) const RESET: &[Field] = &[required("type", Shape::OneOf(&["Hard", "Soft"]))];

pub(super) const TRIGGER_MESSAGE: &[Field] = &[
    required(
        "requestedMessage",
        Shape::OneOf(&[
            "BootNotification",
            "DiagnosticsStatusNotification",
            "FirmwareStatusNotification",
            "Heartbeat",
            "MeterValues",
            "StatusNotification",
        ]),
    ),
    optional("connectorId", Shape::Integer),
];

pub(super) const CHANGE_AVAILABILITY: &[Field] = &[
    required("connectorId", Shape::Integer),
    required("type", Shape::OneOf(&["Inoperative", "Operative"])),
];

pub(super) const UNLOCK_CONNECTOR: &[Field] = &[required("connectorId", Shape::Integer)];

/// Every action of OCPP 1.6 and its security extension: the ones not carried out where they arrive
/// are `NotSupported`, all others `NotImplemented`.
const ACTIONS: &[&str] = &[
    "Authorize",
    "BootNotification",
    "CancelReservation",
    "CertificateSigned",
    "ChangeAvailability",
    "ChangeConfiguration",
    "ClearCache",
    "ClearChargingProfile",
    "DataTransfer",
    "DeleteCertificate",
    "DiagnosticsStatusNotification",
    "ExtendedTriggerMessage",
    "FirmwareStatusNotification",
    "GetCompositeSchedule",
    "GetConfiguration",
    "GetDiagnostics",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "GetLog",
    "Heartbeat",
    "InstallCertificate",
    "LogStatusNotification",
    "MeterValues",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "ReserveNow",
    "Reset",
    "SecurityEventNotification",
    "SendLocalList",
    "SetChargingProfile",
    "SignCertificate",
    "SignedFirmwareStatusNotification",
    "SignedUpdateFirmware",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
    "TriggerMessage",
    "UnlockConnector",
    "UpdateFirmware",
];

/// What an action is refused with that nobody here carries out.
pub(super) fn refuse_action(action: &str) -> super::Refusal {
    let action = action.to_owned();
    if ACTIONS.contains(&action.as_str()) {
        super::Refusal::NotSupported { action }
    } else {
        super::Refusal::UnknownAction { action }
    }
}
