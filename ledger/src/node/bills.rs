//! Bills of groups whose parent this node is: each line must be in this node's chain.

use std::collections::VecDeque;

use protocol::message::{ChargeInfo, ChargeInfoAck, Response};

use super::{Event, Node};

/// Bills that may wait for blocks; of more the oldest go untold.
const MAX_EARLY: usize = 1_000;

impl Node {
    /// The provider bills a group of ours. A bill may overtake the blocks that a node which was
    /// away is fetching; it proves nothing before they are here.
    pub(super) fn billed(&mut self, info: ChargeInfo) -> Response {
        if highest(&info) > self.kept.height() {
            if self.early_bills.len() == MAX_EARLY {
                self.early_bills.pop_front();
            }
            self.early_bills.push_back(info);
        } else {
            self.judge_bill(info);
        }
        Response::ChargeInfo(ChargeInfoAck {})
    }

    /// Judges the bills whose blocks are here by now.
    pub(super) fn judge_early_bills(&mut self) {
        let height = self.kept.height();
        let waiting = std::mem::take(&mut self.early_bills).into_iter();
        let (due, early): (VecDeque<_>, _) = waiting.partition(|info| highest(info) <= height);
        self.early_bills = early;
        for info in due {
            self.judge_bill(info);
        }
    }

    fn judge_bill(&mut self, info: ChargeInfo) {
        let lines = info.lines.iter().map(|line| (line.height, &line.header));
        let credits = info.credits.iter().map(|line| (line.height, &line.header));
        let is_ours = |(height, header)| self.kept.holds(height, header);
        let event = match lines.chain(credits).all(is_ours) {
            true => Event::Billed(Box::new(info)),
            false => Event::FalseBill,
        };
        self.notify(event);
    }
}

/// The height of the newest block that a bill names.
fn highest(info: &ChargeInfo) -> u64 {
    let lines = info.lines.iter().map(|line| line.height);
    let credits = info.credits.iter().map(|line| line.height);
    lines.chain(credits).max().unwrap_or(0)
}
