//! What is wrong with the wires at the moment.

use std::collections::BTreeMap;

/// Until when what is wrong, ms.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    cut_until: BTreeMap<usize, u64>,
    slow: BTreeMap<usize, (u64, u64)>,
    hostile_until: BTreeMap<usize, u64>,
}

impl Weather {
    pub(super) fn cut(&mut self, gateway: usize, until: u64) {
        self.cut_until.insert(gateway, until);
    }

    pub(super) fn slow_down(&mut self, gateway: usize, most_ms: u64, until: u64) {
        self.slow.insert(gateway, (most_ms, until));
    }

    pub(super) fn make_hostile(&mut self, gateway: usize, until: u64) {
        self.hostile_until.insert(gateway, until);
    }

    pub(super) fn is_cut(&self, gateway: usize, now: u64) -> bool {
        self.cut_until
            .get(&gateway)
            .is_some_and(|until| *until > now)
    }

    pub(super) fn is_hostile(&self, gateway: usize, now: u64) -> bool {
        let until = self.hostile_until.get(&gateway);
        until.is_some_and(|until| *until > now)
    }

    /// The longest delay of a gateway's frames, ms.
    pub(super) fn most_delay(&self, gateway: usize, now: u64) -> u64 {
        match self.slow.get(&gateway) {
            Some((most, until)) if *until > now => *most,
            _ => 40,
        }
    }

    /// Heals; tells whose links dropped frames while they were up.
    pub(super) fn heal(&mut self) -> Vec<usize> {
        let hostile = std::mem::take(&mut self.hostile_until);
        *self = Self::default();
        hostile.into_keys().collect()
    }
}
