//! What to try next, in words for whoever stands before the cabinet.

use super::table::paragraph;
use super::verdict::{Cause, Kind};

/// A cause in words: what is wrong, and what to try, in order.
pub(crate) fn shown(cause: &Cause, kind: Kind) -> String {
    let (what, steps) = told(cause, kind);
    let mut text = paragraph("", &what);
    for (number, step) in steps.iter().enumerate() {
        text.push_str(&paragraph(&format!("  {}. ", number + 1), step));
    }
    text
}

fn told(cause: &Cause, kind: Kind) -> (String, Vec<&'static str>) {
    match cause {
        Cause::AllWell => ("All is well: every answer was clean.".to_owned(), vec![]),
        Cause::OwnRequests => (
            "The adapter hands back what it sends: its echo is on.".to_owned(),
            vec![
                "Switch the adapter's echo off (a jumper, or \"receiver always on\").",
                "If it has four wires, use its two-wire mode, or bridge as its manual says.",
            ],
        ),
        Cause::OtherUnits(units) => (
            format!(
                "The units asked say nothing, but units {} answer.",
                list(units)
            ),
            vec![
                "Write these unit ids into the configuration, or set the meters' ids in their menus.",
                "Let all of them be found: charge-gateway meters scan.",
            ],
        ),
        Cause::OtherSettings(settings, units) => (
            format!(
                "Units {} answer at {settings}, not at the settings asked with.",
                list(units)
            ),
            vec![
                "Write those settings into the [[bus]], or set the meters to yours: all meters on \
                 a line must be set alike.",
            ],
        ),
        Cause::WrongSettings => wrong_settings(kind),
        Cause::Nothing => nothing(kind),
        Cause::NothingBehindGateway => (
            "The gateway answers, but says that no unit behind it does.".to_owned(),
            vec![
                "Compare baud rate and parity in the gateway's own menu with those of the meters.",
                "Swap A and B behind the gateway; power the meters; check their unit ids.",
                "Raise the gateway's own wait for an answer to 500 ms or more.",
            ],
        ),
        Cause::DuplicateUnit(unit) => (
            format!("Two units answer as unit {unit}: their answers collide."),
            vec![
                "Disconnect one meter after the other until the answers are clean.",
                "Give each its own unit id, with the others disconnected, then run this again.",
            ],
        ),
        Cause::SpoiltUnit(unit) => (
            format!(
                "Answers of unit {unit} arrive spoilt, and no other unit is there to compare with: \
                 two units with one id, or a bad line."
            ),
            vec![
                "Look for a second meter that still has the id it left the factory with.",
                "Put 120 ohms at both ends of the line and nowhere else; connect the third wire \
                 (ground).",
                "Compare parity: with a wrong one some answers pass and most do not.",
            ],
        ),
        Cause::SecondMaster => (
            "Frames arrive that nobody asked for here: another master talks on this line."
                .to_owned(),
            vec![
                "Stop the other program, inverter, wallbox or logger that reads these meters: a \
                 line has one master.",
                "If there is none, a unit answers later than it is waited for: raise --timeout-ms.",
            ],
        ),
        Cause::Noise => noise(kind),
        Cause::Missing(units) => (
            format!(
                "Units {} say nothing, while others on the line answer.",
                list(units)
            ),
            vec![
                "Look at these meters: is the display on, and is the unit id in the menu this one?",
                "Compare baud rate and parity in their menus with those of the meters that answer.",
                "Swap A and B at these meters alone; press on the screws of the clamps.",
                "Perhaps the line ends before them: measure from the last meter that answers.",
            ],
        ),
        Cause::SometimesSilent(unit) => (
            format!("Unit {unit} answers, but not every time."),
            vec![
                "Raise --timeout-ms (some meters take 500 ms), and timeout_ms in the configuration.",
                "Press on the screws of its clamps; look for a loose wire and a long stub.",
                "Look whether another program asks it at the same time.",
            ],
        ),
        Cause::Unfitting(unit) => (
            format!("Unit {unit} answers something else than it was asked."),
            vec![
                "Look whether two programs use the Modbus gateway at once and it mixes them up.",
                "Update the gateway's or the meter's firmware.",
            ],
        ),
    }
}

fn wrong_settings(kind: Kind) -> (String, Vec<&'static str>) {
    match kind {
        Kind::Tcp => (
            "Bytes arrive, but they are no Modbus TCP.".to_owned(),
            vec![
                "If this is a serial converter, it may pass RTU on as it is: use --rtu-over-tcp.",
                "Check the port: 502 is Modbus TCP's; a web server answers on 80.",
            ],
        ),
        Kind::Serial | Kind::RtuOverTcp => (
            "Bytes arrive, but never a whole frame: baud rate or parity is another, or A and B are \
             swapped."
                .to_owned(),
            vec![
                "Read baud rate, parity and stop bits in the meter's menu, and ask with them: \
                 --baud, --parity, --stop-bits (at a converter, set them there).",
                "Let the settings be found: charge-gateway meters scan.",
                "Swap A and B (names differ between makers; some call them D0 and D1, - and +).",
                "If the menu agrees, look for two meters with one unit id: disconnect all but one.",
            ],
        ),
    }
}

fn nothing(kind: Kind) -> (String, Vec<&'static str>) {
    let what = "Nothing comes back at all.".to_owned();
    match kind {
        Kind::Tcp => (
            what,
            vec![
                "Check the unit id in the device's menu: many answer only their own (try --units \
                 1-247).",
                "Look whether another program holds the device's only connection.",
                "Switch Modbus TCP on in the device's menu, and allow this machine's address there.",
            ],
        ),
        Kind::Serial | Kind::RtuOverTcp => (
            what,
            vec![
                "Look at the meter: is its display on, and is Modbus its protocol (not M-Bus)?",
                "Swap A and B (names differ between makers; some call them D0 and D1, - and +).",
                "Read the unit id and the baud rate in its menu, or try them all: charge-gateway \
                 meters scan.",
                "Disconnect all but one meter, close to the adapter; then add the others one by one.",
                "Put 120 ohms at both ends of the line and nowhere else; connect the third wire.",
            ],
        ),
    }
}

fn noise(kind: Kind) -> (String, Vec<&'static str>) {
    match kind {
        Kind::Tcp => (
            "Some answers arrive spoilt over the network.".to_owned(),
            vec![
                "Look whether two programs use the Modbus gateway at once and it mixes them up.",
                "Update the gateway's firmware; ask more slowly (pause_ms).",
            ],
        ),
        Kind::Serial | Kind::RtuOverTcp => (
            "Some answers arrive spoilt: the line is disturbed.".to_owned(),
            vec![
                "Put 120 ohms at both ends of the line and nowhere else: measured with power off \
                 between A and B, 60 ohms is right.",
                "Connect the third wire (ground), and the shield at one end.",
                "Lay the cable away from motor and charging cables; no star, no long stubs.",
                "Go to a lower baud rate, such as 9600, at all meters.",
            ],
        ),
    }
}

fn list(units: &[u8]) -> String {
    let units: Vec<_> = units.iter().map(ToString::to_string).collect();
    units.join(", ")
}
