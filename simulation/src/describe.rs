//! Frames and calls in words, for the trace.

use ledger::Frame;
use protocol::Hash;
use protocol::message::Request;

/// The first bytes of a hash: enough to tell two apart.
pub(crate) fn short(hash: &Hash) -> String {
    hash.0[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn describe_frame(frame: &Frame) -> String {
    match frame {
        Frame::Picked(words) => format!("words of {} voters", words.len()),
        Frame::Profile(submission) => {
            let body = &submission.profile.body;
            format!("profile {}/{}, {} Wh", body.node, body.seq, body.energy_wh)
        }
        Frame::Receipt(receipt) => {
            let body = &receipt.body;
            format!(
                "receipt for {}/{}, round {}",
                body.node, body.seq, body.round
            )
        }
        Frame::Refused { seq, reason } => format!("refusal of {seq}: {reason}"),
        Frame::Witness(witnessed) => {
            let body = &witnessed.receipt.body;
            format!(
                "witness of {}/{}, round {}",
                body.node, body.seq, body.round
            )
        }
        Frame::ProfileAck(ack) => {
            format!(
                "ack of group {} in round {}",
                ack.body.group, ack.body.round
            )
        }
        Frame::GroupBlock(sealed) => {
            let body = &sealed.block.body;
            format!(
                "group block of {}, round {}, {} profiles, {} Wh",
                body.group, body.round, body.count, body.energy.0
            )
        }
        Frame::Block(block) => {
            let header = &block.header.body;
            format!(
                "block {} {}, {} charges",
                header.height,
                short(&header.hash()),
                header.charges
            )
        }
        Frame::Ballot(ballot) => {
            let body = &ballot.body;
            format!(
                "ballot of {} for {} {}",
                body.voter,
                body.height,
                short(&body.header)
            )
        }
        Frame::Header(header) => {
            format!("header {} {}", header.body.height, short(&header.hash()))
        }
        Frame::Promised(promised) => {
            let body = &promised.witnessed.receipt.body;
            format!(
                "promise of {}/{}, round {}",
                body.node, body.seq, body.round
            )
        }
        Frame::Reported { promises } => format!("that it has shown {promises} promises"),
        Frame::Resume { last_seq, tip, .. } => {
            format!("that it goes on after charge {last_seq}, block {tip}")
        }
        Frame::Proof(bytes) => format!("proof {}", short(&Hash::of(bytes))),
    }
}

pub(crate) fn describe_call(request: &Request) -> String {
    match request {
        Request::Register(asked) => format!("Register {}", asked.id_tag.as_str()),
        Request::Authorize(asked) => format!("Authorize {}", asked.id_tag.as_str()),
        Request::RegisterSupplyPoint(asked) => format!("RegisterSupplyPoint {}", asked.outlet),
        Request::GetBlocks(asked) => format!("GetBlocks {}", asked.from),
        Request::GetHeaders(asked) => format!("GetHeaders {}", asked.from),
        Request::GetProof(asked) => format!("GetProof {}", asked.after),
        other => other.action().to_owned(),
    }
}
