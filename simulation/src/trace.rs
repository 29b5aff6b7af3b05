//! What happened, line by line: hashed always, kept for a report, printed on request.

use std::collections::VecDeque;

use protocol::Hash;
use sha2::{Digest, Sha256};

use crate::world::Who;

/// Lines kept for a report.
const KEPT: usize = 60;

/// The trace of one run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: Sha256,
    last: VecDeque<String>,
    is_printed: bool,
}

impl Trace {
    pub(crate) fn new(is_printed: bool) -> Self {
        Self {
            is_printed,
            ..Self::default()
        }
    }

    pub(crate) fn note(&mut self, now: u64, who: Who, text: String) {
        let who = match who {
            Who::Provider(0) => "provider".to_owned(),
            Who::Provider(branch) => format!("provider'{branch}"),
            Who::Gateway(index) => format!("gateway {index}"),
        };
        let line = format!("{:>9} s  {who:<11} {text}", Seconds(now));
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        if self.is_printed {
            println!("{line}");
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    pub(crate) fn hash(&self) -> Hash {
        Hash(self.hash.clone().finalize().into())
    }

    pub(crate) fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}

/// Milliseconds shown as seconds, in integers: no float formatting in what is hashed.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000))
    }
}
