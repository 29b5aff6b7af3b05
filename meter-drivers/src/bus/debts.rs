//! Answers that a unit may still send, by their shape.

use std::time::Duration;

use tokio::time::Instant;

use crate::bus::LATEST_ANSWER;
use crate::transport::command::{Command, Shape};

/// What one unit owes.
#[derive(Debug, Default)]
pub(super) struct Debts(Vec<(Shape, Instant)>);

/// How a request may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// As it is.
    Free,
    /// Behind an answer to this.
    After(Command),
    /// Not before.
    NotBefore(Instant),
}

impl Debts {
    /// Notes that the answer to a request of `shape` may come until [`LATEST_ANSWER`] from `now`.
    pub(super) fn owe(&mut self, shape: Shape, timeout: Duration, now: Instant) {
        let until = now + LATEST_ANSWER.max(timeout * 2);
        match self.0.iter_mut().find(|(owed, _)| *owed == shape) {
            Some((_, end)) => *end = until,
            None => self.0.push((shape, until)),
        }
    }

    /// How `command` may be given at `now` to a unit that answers to the reads `known`.
    pub(super) fn passage(
        &mut self,
        command: &Command,
        known: &[Command],
        now: Instant,
    ) -> Passage {
        self.0.retain(|&(_, until)| until > now);
        let Some(until) = self.end_of(command.shape()) else {
            return Passage::Free;
        };
        let barrier = known
            .iter()
            .find(|known| self.end_of(known.shape()).is_none());
        barrier.map_or(Passage::NotBefore(until), |barrier| {
            Passage::After(barrier.clone())
        })
    }

    /// Whether an answer of `shape` may be a late one. It stays owed: there may be two of it.
    pub(super) fn owes(&self, shape: Shape) -> bool {
        self.end_of(shape).is_some()
    }

    /// Whether a refusal of `function` could be owed, too: it has no shape.
    pub(super) fn owes_refusal_of(&self, function: u8) -> bool {
        self.0.iter().any(|(owed, _)| owed.function() == function)
    }

    /// An answer came that was not owed: a unit answers in order, so no earlier one will.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn end_of(&self, shape: Shape) -> Option<Instant> {
        let owed = self.0.iter().find(|(owed, _)| *owed == shape);
        owed.map(|&(_, until)| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;
    use crate::map::RegisterSpace::{self, Holding, Input};

    const TIMEOUT: Duration = Duration::from_millis(500);

    fn block(space: RegisterSpace, start: u16, count: u16) -> Command {
        Command::Read(Block {
            space,
            start,
            count,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_owed_shape_waits_for_an_answer_of_another() {
        let (energy, serial) = (block(Input, 72, 2), block(Holding, 0xFC00, 2));
        let other_registers = block(Input, 52, 2);
        let known = [energy.clone(), other_registers.clone(), serial.clone()];
        let now = Instant::now();
        let mut debts = Debts::default();
        assert_eq!(debts.passage(&energy, &known, now), Passage::Free);
        debts.owe(energy.shape(), TIMEOUT, now);
        let after_serial = Passage::After(serial.clone());
        assert_eq!(debts.passage(&energy, &known, now), after_serial);
        // Of other registers, but nothing in its answer would say so.
        assert_eq!(debts.passage(&other_registers, &known, now), after_serial);
        assert_eq!(debts.passage(&serial, &known, now), Passage::Free);
        debts.clear();
        assert_eq!(debts.passage(&energy, &known, now), Passage::Free);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_shape_waits_until_no_answer_can_come() {
        let energy = block(Input, 72, 2);
        let now = Instant::now();
        let mut debts = Debts::default();
        debts.owe(energy.shape(), TIMEOUT, now);
        let until = now + LATEST_ANSWER;
        let found = debts.passage(&energy, std::slice::from_ref(&energy), now);
        assert_eq!(found, Passage::NotBefore(until));
        assert_eq!(
            debts.passage(&energy, std::slice::from_ref(&energy), until),
            Passage::Free
        );
        debts.owe(energy.shape(), LATEST_ANSWER, now);
        let found = debts.passage(&energy, std::slice::from_ref(&energy), until);
        assert_eq!(found, Passage::NotBefore(until + LATEST_ANSWER));
        assert!(debts.owes(energy.shape()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_waits_for_no_answer_but_its_own() {
        let write = |on| Command::WriteCoil { address: 7, on };
        let read = Command::ReadCoil { address: 7 };
        let known = [read.clone()];
        let now = Instant::now();
        let mut debts = Debts::default();
        debts.owe(write(true).shape(), TIMEOUT, now);
        // Whoever switches off need not wait for what became of switching on.
        assert_eq!(debts.passage(&write(false), &known, now), Passage::Free);
        let after_read = Passage::After(read.clone());
        assert_eq!(debts.passage(&write(true), &known, now), after_read);
        debts.owe(read.shape(), TIMEOUT, now);
        assert_eq!(debts.passage(&write(false), &known, now), Passage::Free);
        let found = debts.passage(&write(true), &known, now);
        assert_eq!(found, Passage::NotBefore(now + LATEST_ANSWER));
    }
}
