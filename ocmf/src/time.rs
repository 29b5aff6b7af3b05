//! `TM`: when a reading was taken, and how far its clock can be trusted.

use protocol::UnixMillis;

/// When a reading was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingTime {
    /// The moment, its time zone applied.
    pub at: UnixMillis,
    /// How far the clock can be trusted.
    pub status: TimeStatus,
    /// `TM` as it stands in the record, with the meter's time zone.
    pub text: String,
}

/// How far the clock of a reading can be trusted.
///
/// # Source
/// OCMF 1.3.1, table 19 (time status).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStatus {
    /// `U`, or no status at all: unknown or unsynchronized.
    Unknown,
    /// `I`: informative.
    Informative,
    /// `S`: synchronized.
    Synchronized,
    /// `R`: counted exactly from an informative time on, so that differences of two are exact.
    Relative,
}

impl TimeStatus {
    fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "U" => Some(Self::Unknown),
            "I" => Some(Self::Informative),
            "S" => Some(Self::Synchronized),
            "R" => Some(Self::Relative),
            _ => None,
        }
    }
}

impl ReadingTime {
    /// What [`parse`](Self::parse) accepts, for errors.
    pub(crate) const ACCEPTED: &'static str =
        "2018-07-24T13:22:04,000+0200 S: ISO 8601 with a time zone, then U, I, S or R";

    /// Reads `2018-07-24T13:22:04,000+0200 S`.
    ///
    /// Also what meters send besides: a dot instead of the comma, no fraction or one of up to nine
    /// digits, `Z` or a colon in the time zone, no status (which is [`TimeStatus::Unknown`]).
    ///
    /// # Source
    /// OCMF 1.3.1, table 7 (`TM`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (moment, status) = match text.split_once(' ') {
            Some((moment, letter)) => (moment, TimeStatus::from_letter(letter)?),
            None => (text, TimeStatus::Unknown),
        };
        Some(Self {
            at: UnixMillis::parse_rfc3339(&as_rfc3339(moment)?).ok()?,
            status,
            text: text.to_owned(),
        })
    }
}

/// `2018-07-24T13:22:04,000+0200` as `2018-07-24T13:22:04.000+02:00`.
fn as_rfc3339(moment: &str) -> Option<String> {
    const PATTERN: &str = "0000-00-00T00:00:00";
    let (seconds, rest) = moment.split_at_checked(PATTERN.len())?;
    let fits = |(byte, pattern): (u8, u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        sign => byte == sign,
    };
    if !seconds.bytes().zip(PATTERN.bytes()).all(fits) {
        return None;
    }
    let (fraction, zone) = rest.split_at(rest.find(['+', '-', 'Z'])?);
    let fraction = match fraction.strip_prefix([',', '.']) {
        Some(digits) if is_digits(digits, 1..=9) => format!(".{digits}"),
        None if fraction.is_empty() => String::new(),
        _ => return None,
    };
    let zone = match zone.split_at_checked(3) {
        None if zone == "Z" => zone.to_owned(),
        Some((hours, minutes)) if is_digits(&hours[1..], 2..=2) => {
            let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
            is_digits(minutes, 2..=2).then(|| format!("{hours}:{minutes}"))?
        }
        _ => return None,
    };
    Some(format!("{seconds}{fraction}{zone}"))
}

fn is_digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u64, TimeStatus)>) {
        let time = ReadingTime::parse(text);
        assert_eq!(
            time.map(|time| (time.at.0, time.status)),
            expected,
            "{text}"
        );
    }

    #[test]
    fn a_time_is_read_with_its_zone_and_status() {
        let at = 1_532_431_324_000;
        check(
            "2018-07-24T13:22:04,000+0200 S",
            Some((at, TimeStatus::Synchronized)),
        );
        check(
            "2018-07-24T06:52:04,250-0430 R",
            Some((at + 250, TimeStatus::Relative)),
        );
    }

    #[test]
    fn forms_that_meters_send_besides_are_read() {
        let at = 1_532_431_324_000;
        check("2018-07-24T11:22:04Z", Some((at, TimeStatus::Unknown)));
        check(
            "2018-07-24T13:22:04.5+02:00 I",
            Some((at + 500, TimeStatus::Informative)),
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2018-07-24",
            "2018-07-24T13:22:04,000 S",
            "2018-07-24T13:22:04,000+0200 X",
            "2018-07-24T13:22:04,000+0200 ",
            "2018-07-24T13:22:04,000+0200  S",
            "2018-07-24T13:22:04,000+02 S",
            "2018-07-24T13:22:04,+0200 S",
            "2018-07-24T13:22:04,000+0200[Europe/Berlin] S",
            "2018-02-30T13:22:04,000+0200 S",
            "2018-07-24 13:22:04,000+0200 S",
            "1969-07-24T13:22:04,000+0200 S",
            "2018-07-24T13:22:04,000+0é0 S",
        ] {
            check(text, None);
        }
    }
}
