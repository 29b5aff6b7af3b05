//! One JSON object a line, for machines that check what is shown.

use std::io::Write as _;
use std::time::Duration;

use protocol::canonical;
use serde_json::{Value, json};

use super::{Told, View};
use crate::wire::{Direction, Message, Seen};

/// Writes JSON lines to stdout.
pub(super) struct Json;

impl View for Json {
    fn show(&self, at: Duration, told: &Told<'_>) {
        let mut out = std::io::stdout().lock();
        // A reader that went away is no error.
        let _ = writeln!(out, "{}", event(at, told));
        let _ = out.flush();
    }
}

fn event(at: Duration, told: &Told<'_>) -> Value {
    match told {
        Told::Title(text) => json!({"event": "title", "text": text}),
        Told::Act { number, title } => json!({"event": "act", "number": number, "title": title}),
        Told::Happened { text, why } => json!({"event": "happened", "text": text, "why": why}),
        Told::Row(text) => json!({"event": "row", "text": text}),
        Told::Claim(claim) => json!({
            "event": "claim", "name": claim.name, "says": claim.says, "why": claim.why,
            "holds": claim.holds, "facts": claim.facts,
        }),
        Told::Message(seen) => message(seen),
        Told::Chain(genesis) => json!({"event": "chain", "genesis": genesis}),
        Told::Block(block) => json!({
            "event": "block", "height": block.header.body.height,
            "bytes": hex::encode(canonical(*block)),
        }),
        Told::RefusedBlock(block) => json!({
            "event": "refusedBlock", "height": block.header.body.height,
            "bytes": hex::encode(canonical(*block)),
        }),
        Told::Bill(bill) => json!({"event": "bill", "bill": bill}),
        Told::Receipt { node, bytes } => {
            json!({"event": "receipt", "node": node, "bytes": hex::encode(bytes)})
        }
        Told::Evidence { node, bytes } => {
            json!({"event": "evidence", "node": node, "bytes": hex::encode(bytes)})
        }
        Told::Address { name, address } => {
            json!({"event": "address", "name": name, "address": address})
        }
        Told::Failed(why) => json!({"event": "failed", "why": why}),
        Told::End(tally) => json!({
            "event": "end", "claims": tally.claims, "false": tally.falsehoods,
            "seconds": at.as_secs_f64(),
        }),
    }
}

/// Names only: payloads hold tokens and idTags.
fn message(seen: &Seen) -> Value {
    let (from, to) = match seen.direction {
        Direction::Up => (seen.node.as_str(), "provider"),
        Direction::Down => ("provider", seen.node.as_str()),
    };
    let kind = match &seen.message {
        Message::Call { .. } => "call",
        Message::Answer { .. } => "answer",
        Message::Refusal { .. } => "refusal",
        Message::Frame(_) => "frame",
        Message::Unreadable => "unreadable",
    };
    json!({
        "event": "message", "number": seen.number, "from": from, "to": to, "kind": kind,
        "name": seen.name(),
    })
}
