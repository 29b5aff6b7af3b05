//! One message as it was seen.

use ledger::{Block, Frame};
use protocol::message::HelloAck;
use protocol::{Genesis, decode};
use serde_json::Value;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Node to provider.
    Up,
    /// Provider to node.
    Down,
}

/// A message and where it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Counts messages in the order they were seen, from 0.
    pub(crate) number: usize,
    /// The node whose link it was seen on.
    pub(crate) node: String,
    pub(crate) direction: Direction,
    pub(crate) message: Message,
}

/// What a message says.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// A question, by its action.
    Call { action: String, payload: Value },
    /// The answer to the question of that action.
    Answer { action: String, payload: Value },
    /// A CALLERROR to the question of that action.
    Refusal { action: String },
    /// Canonical bytes.
    Frame(Box<Frame>),
    /// Neither; its receiver says so, too.
    Unreadable,
}

impl Message {
    /// Reads a binary message.
    pub(super) fn binary(bytes: &[u8]) -> Self {
        match decode::<Frame>(bytes) {
            Ok(frame) => Self::Frame(Box::new(frame)),
            Err(_) => Self::Unreadable,
        }
    }
}

impl Seen {
    /// The frame that `node` sent to the provider.
    pub(crate) fn sent_by(&self, node: &str) -> Option<&Frame> {
        self.frame(node, Direction::Up)
    }

    /// The frame that `node` got from the provider.
    pub(crate) fn got_by(&self, node: &str) -> Option<&Frame> {
        self.frame(node, Direction::Down)
    }

    fn frame(&self, node: &str, direction: Direction) -> Option<&Frame> {
        match &self.message {
            Message::Frame(frame) if self.node == node && self.direction == direction => {
                Some(frame)
            }
            _ => None,
        }
    }

    /// The question `action` that `node` put to the provider.
    pub(crate) fn asked_by(&self, node: &str, action: &str) -> Option<&Value> {
        self.call(node, Direction::Up, action)
    }

    /// The question `action` that the provider put to `node`.
    pub(crate) fn asked_of(&self, node: &str, action: &str) -> Option<&Value> {
        self.call(node, Direction::Down, action)
    }

    fn call(&self, node: &str, direction: Direction, name: &str) -> Option<&Value> {
        match &self.message {
            Message::Call { action, payload } => {
                let is_it = self.node == node && self.direction == direction && action == name;
                is_it.then_some(payload)
            }
            _ => None,
        }
    }

    /// The answer to `action` that the provider gave `node`.
    pub(crate) fn answered_to(&self, node: &str, action: &str) -> Option<&Value> {
        self.answer(node, Direction::Down, action)
    }

    /// The answer to `action` that `node` gave the provider.
    pub(crate) fn answered_by(&self, node: &str, action: &str) -> Option<&Value> {
        self.answer(node, Direction::Up, action)
    }

    fn answer(&self, node: &str, direction: Direction, name: &str) -> Option<&Value> {
        match &self.message {
            Message::Answer { action, payload } => {
                let is_it = self.node == node && self.direction == direction && action == name;
                is_it.then_some(payload)
            }
            _ => None,
        }
    }

    /// What the chain began with, where this is the provider's introduction.
    pub(super) fn genesis(&self) -> Option<Genesis> {
        let Message::Answer { action, payload } = &self.message else {
            return None;
        };
        if action != "Hello" {
            return None;
        }
        let ack: HelloAck = serde_json::from_value(payload.clone()).ok()?;
        Some(ack.genesis)
    }

    /// A block that the provider sent.
    pub(super) fn block(&self) -> Option<&Block> {
        match (&self.message, self.direction) {
            (Message::Frame(frame), Direction::Down) => match &**frame {
                Frame::Block(block) => Some(block),
                _ => None,
            },
            _ => None,
        }
    }

    /// The message's name.
    pub(crate) fn name(&self) -> &str {
        match &self.message {
            Message::Call { action, .. }
            | Message::Answer { action, .. }
            | Message::Refusal { action, .. } => action,
            Message::Frame(frame) => frame_name(frame),
            Message::Unreadable => "unreadable",
        }
    }
}

fn frame_name(frame: &Frame) -> &'static str {
    match frame {
        Frame::Profile(_) => "ChargeProfile",
        Frame::Receipt(_) => "Receipt",
        Frame::Refused { .. } => "Refused",
        Frame::Witness(_) => "Witness",
        Frame::ProfileAck(_) => "ProfileAck",
        Frame::GroupBlock(_) => "GroupBlock",
        Frame::Block(_) => "Block",
        Frame::Ballot(_) => "Ballot",
        Frame::Header(_) => "Header",
        Frame::Proof(_) => "Proof",
        Frame::Picked(_) => "Picked",
        Frame::Promised(_) => "Promised",
        Frame::Reported { .. } => "Reported",
        Frame::Resume { .. } => "Resume",
    }
}
