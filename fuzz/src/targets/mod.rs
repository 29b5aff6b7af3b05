//! The targets, one decoder a file.

mod block;
mod central_system;
mod charge_point;
mod config;
mod evidence;
pub(crate) mod frame;
mod id_tag;
mod journal;
mod link_identity;
mod message;
mod modbus;
mod node_address;
mod ocmf;
mod receipt_file;
mod register_map;
mod registers;
mod rpc;
mod rtu_frame;
mod rules;
pub(crate) mod store;
mod structure;
mod sunspec;
mod tariff;
mod time;
mod websocket;
mod websocket_client;

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use protocol::{canonical, decode};
use tokio::runtime::{Builder, Runtime};

use crate::bounded::bounded;

/// Inputs by file name.
pub(crate) type Corpus = BTreeMap<String, Vec<u8>>;

/// A decoder and what must hold for whatever it is given.
#[derive(Debug)]
pub struct Target {
    /// Its name, and its corpus's folder.
    pub name: &'static str,
    /// On how many changed inputs a plain test tries it.
    pub replays: usize,
    check: fn(&[u8]),
    corpus: fn() -> Corpus,
}

impl Target {
    /// Tries one input.
    ///
    /// # Panics
    /// If something does not hold; the process aborts where it is the bound on memory.
    pub fn run(&self, bytes: &[u8]) {
        bounded(bytes.len(), || (self.check)(bytes));
    }

    /// Inputs made from our own types.
    #[must_use]
    pub fn corpus(&self) -> BTreeMap<String, Vec<u8>> {
        (self.corpus)()
    }
}

macro_rules! table {
    ($($name:literal * $replays:literal: $module:ident::$check:ident, $corpus:ident;)*) => {
        static TARGETS: &[Target] = &[$(Target {
            name: $name,
            replays: $replays,
            check: $module::$check,
            corpus: $module::$corpus,
        }),*];
    };
}

table! {
    "frame" * 4_000: frame::check, corpus;
    "structure" * 4_000: structure::check, corpus;
    "block" * 4_000: block::check, corpus;
    "receipt_file" * 4_000: receipt_file::check, corpus;
    "evidence" * 4_000: evidence::check, corpus;
    "evidence_file" * 4_000: evidence::check_file, file_corpus;
    "store" * 1_000: store::check, corpus;
    "rules" * 500: rules::check, corpus;
    "rpc" * 4_000: rpc::check, corpus;
    "message" * 4_000: message::check, corpus;
    "id_tag" * 4_000: id_tag::check, corpus;
    "node_address" * 4_000: node_address::check, corpus;
    "link_identity" * 4_000: link_identity::check, corpus;
    "time" * 4_000: time::check, corpus;
    "tariff" * 4_000: tariff::check, corpus;
    "gateway_config" * 4_000: config::check_gateway, gateway_corpus;
    "provider_config" * 4_000: config::check_provider, provider_corpus;
    "register_map" * 4_000: register_map::check, corpus;
    "registers" * 4_000: registers::check, corpus;
    "ocmf" * 1_000: ocmf::check, corpus;
    "ocmf_value" * 4_000: ocmf::check_value, value_corpus;
    "ocmf_key" * 1_000: ocmf::check_key, key_corpus;
    "sunspec" * 4_000: sunspec::check, corpus;
    "modbus" * 2_000: modbus::check, corpus;
    "rtu_frame" * 20_000: rtu_frame::check, corpus;
    "central_system" * 4_000: central_system::check, corpus;
    "websocket" * 4_000: websocket::check, corpus;
    "websocket_client" * 1_000: websocket_client::check, corpus;
    "journal" * 1_000: journal::check, corpus;
    "charge_point" * 1_000: charge_point::check, corpus;
}

/// Every target.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter()
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    targets().find(|target| target.name == name)
}

/// Decodes canonical bytes: what is read is written again the same, and with a byte more it is
/// refused.
fn canonical_value<T: BorshDeserialize + BorshSerialize>(bytes: &[u8]) -> Option<T> {
    let value = decode::<T>(bytes).ok()?;
    assert!(canonical(&value) == bytes, "another form of the same value");
    let surplus = [bytes, &[0]].concat();
    assert!(decode::<T>(&surplus).is_err(), "a surplus byte is accepted");
    Some(value)
}

/// A runtime whose clock moves on when nothing is left to do: a wait in a target costs no time, and
/// a busy machine makes none longer.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true);
    builder.build().expect("a runtime")
}

/// Names `inputs` by number.
fn numbered(inputs: impl IntoIterator<Item = Vec<u8>>) -> Corpus {
    let name = |(index, bytes)| (format!("{index:02}"), bytes);
    inputs.into_iter().enumerate().map(name).collect()
}

/// Texts as inputs.
fn texts<'a>(inputs: impl IntoIterator<Item = &'a str>) -> Corpus {
    numbered(inputs.into_iter().map(|text| text.as_bytes().to_vec()))
}
