//! Addresses of nodes: in a text, and in our canonical bytes.

use protocol::neighbour::NODE_ADDRESS_MAX_BYTES;
use protocol::{NodeAddress, canonical};

use super::{Corpus, canonical_value, numbered};

pub(super) fn check(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok();
    let from_text = text.and_then(|text| NodeAddress::parse(text).ok());
    let from_bytes = canonical_value::<NodeAddress>(bytes);
    for address in from_text.into_iter().chain(from_bytes) {
        let text = address.as_str();
        assert!(text.len() <= NODE_ADDRESS_MAX_BYTES);
        assert_eq!(NodeAddress::parse(text).as_ref(), Ok(&address), "its text");
        assert!(address.url().starts_with(text));
    }
}

pub(super) fn corpus() -> Corpus {
    let texts = ["ws://depot.example:9652", "ws://[2001:db8::7]:80"];
    let address = NodeAddress::parse(texts[0]).expect("an address");
    let texts = texts.map(|text| text.as_bytes().to_vec());
    numbered(texts.into_iter().chain([canonical(&address)]))
}
