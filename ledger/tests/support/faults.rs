//! One fault at an exact point of a run.

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    Provider,
    Node(usize),
}

/// What goes wrong, at the how-manieth occasion (from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies with a batch decided and not committed.
    BeforeSync(Victim, usize),
    /// It dies with the batch committed and nothing of it sent.
    AfterSync(Victim, usize),
    /// It dies before it carries this effect out.
    BeforeEffect(Victim, usize),
    /// The link breaks instead of delivering this message.
    Cut(usize),
}

/// The fault that is planned, and how many occasions there were.
#[derive(Default)]
pub struct Faults {
    /// Whether killed processes start again at once.
    pub is_reviving: bool,
    planned: Option<Fault>,
    occasions: usize,
    has_struck: bool,
}

impl Faults {
    /// Counts occasions for `fault` from now on and strikes once.
    pub fn plan(&mut self, fault: Fault) {
        *self = Self {
            is_reviving: true,
            planned: Some(fault),
            ..Self::default()
        };
    }

    /// Whether the run was long enough for the planned fault.
    pub fn has_struck(&self) -> bool {
        self.has_struck
    }

    pub(super) fn dies_before_sync(&mut self, victim: Victim) -> bool {
        self.strikes(|fault| match fault {
            Fault::BeforeSync(of, n) if of == victim => Some(n),
            _ => None,
        })
    }

    pub(super) fn dies_after_sync(&mut self, victim: Victim) -> bool {
        self.strikes(|fault| match fault {
            Fault::AfterSync(of, n) if of == victim => Some(n),
            _ => None,
        })
    }

    pub(super) fn dies_before_effect(&mut self, victim: Victim) -> bool {
        self.strikes(|fault| match fault {
            Fault::BeforeEffect(of, n) if of == victim => Some(n),
            _ => None,
        })
    }

    pub(super) fn cuts_now(&mut self) -> bool {
        self.strikes(|fault| match fault {
            Fault::Cut(n) => Some(n),
            _ => None,
        })
    }

    fn strikes(&mut self, occasion: impl Fn(Fault) -> Option<usize>) -> bool {
        let Some(due) = self.planned.and_then(occasion) else {
            return false;
        };
        let is_due = due == self.occasions && !self.has_struck;
        self.occasions += 1;
        self.has_struck |= is_due;
        is_due
    }
}
