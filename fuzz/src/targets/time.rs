//! RFC 3339 date-times.

use protocol::UnixMillis;

use super::{Corpus, texts};

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(moment) = UnixMillis::parse_rfc3339(text) else {
        return;
    };
    assert_eq!(UnixMillis::parse_rfc3339(&moment.to_string()), Ok(moment));
    let second = moment.seconds();
    let read = UnixMillis::parse_rfc3339(&second.to_string());
    assert_eq!(read, Ok(second.millis()));
}

pub(super) fn corpus() -> Corpus {
    texts([
        "2026-11-23T12:00:00Z",
        "1970-01-01T01:00:01.5+01:00",
        "2024-02-29T23:59:60.999999999-23:59",
        "9999-12-31T23:59:59.999Z",
    ])
}
