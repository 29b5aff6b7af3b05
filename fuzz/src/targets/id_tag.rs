//! IdTags: in a text, and in our canonical bytes.

use protocol::{IdTag, canonical};

use super::{Corpus, canonical_value, numbered};

pub(super) fn check(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    let from_text = text.and_then(|text| IdTag::parse(text).ok());
    let from_bytes = canonical_value::<IdTag>(bytes);
    for id_tag in from_text.into_iter().chain(from_bytes) {
        let text = id_tag.as_str();
        assert_eq!(IdTag::parse(text).as_ref(), Ok(&id_tag), "its own text");
        assert_eq!(IdTag::parse(&text.to_lowercase()), Ok(id_tag), "its case");
    }
}

pub(super) fn corpus() -> Corpus {
    let id_tag = IdTag::parse("FLEET-1").expect("an idTag");
    numbered([
        b"fleet-1".to_vec(),
        b"04 E2 9C".to_vec(),
        canonical(&id_tag),
    ])
}
