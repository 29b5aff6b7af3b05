//! Whether a counter's next reading follows from the one before.
//!
//! A counter of imported energy only rises, and no faster than maximum power allows. What does not
//! follow is one of four things, and a bill must know which: a glitch (one wrong answer that passed
//! every check of the protocol), a rollover (the counter was full), a reset, or a jump. One reading
//! cannot tell them apart, so a doubtful one is put aside until the next one agrees with it or with
//! what was before.

use std::fmt;
use std::time::Duration;

use protocol::{EnergyWh, PowerW};

/// What a counter may run ahead of maximum power × time: meters renew their registers in steps.
const SLACK_WH: u64 = 100;

/// What is known of a counter beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What it says.
    pub register: EnergyWh,
    /// When, on a clock that never runs back.
    pub read_at: Duration,
    /// Its smallest step, in mWh.
    pub resolution_mwh: u64,
    /// Where it starts at 0 again, in Wh; `None` where nobody knows.
    pub rollover_wh: Option<u64>,
}

/// What became of a counter between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It counted on, or stood still.
    Rose,
    /// It was full and began at 0 again.
    RolledOver {
        /// Before.
        before: EnergyWh,
        /// After.
        after: EnergyWh,
        /// What it counted in between.
        counted: EnergyWh,
    },
    /// It fell: it was reset, or another meter answers.
    Fell {
        /// Before.
        before: EnergyWh,
        /// After.
        after: EnergyWh,
    },
    /// It rose by more than maximum power × time.
    Jumped {
        /// Before.
        before: EnergyWh,
        /// After.
        after: EnergyWh,
        /// The most that it can have counted.
        most: EnergyWh,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rose => write!(f, "the register counted on"),
            Self::RolledOver {
                before,
                after,
                counted,
            } => write!(
                f,
                "the register was full and began at 0 again: {before}, then {after}, {counted} in \
                 between"
            ),
            Self::Fell { before, after } => write!(
                f,
                "the register fell from {before} to {after}: it was reset, or the meter exchanged"
            ),
            Self::Jumped {
                before,
                after,
                most,
            } => write!(
                f,
                "the register jumped from {before} to {after}, where {most} more were the most it can \
                 have counted"
            ),
        }
    }
}

/// What to do with a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use it.
    Believed {
        /// How it follows from the last one that was used; anything but `Rose` is for a person to
        /// look at.
        step: Step,
        /// A reading in between that was wrong, and was not used.
        glitch: Option<EnergyWh>,
    },
    /// Do not use it, and read again: the next reading decides.
    Doubted(Step),
}

/// Follows one meter's counter.
#[derive(Clone, Debug)]
pub struct Watch {
    max_power: Option<PowerW>,
    last: Option<Counter>,
    doubted: Option<Counter>,
}

impl Watch {
    /// Follows a counter behind which at most `max_power` is drawn; without it no jump is noticed.
    #[must_use]
    pub fn new(max_power: Option<PowerW>) -> Self {
        Self {
            max_power,
            last: None,
            doubted: None,
        }
    }

    /// Judges the next reading.
    pub fn judge(&mut self, next: Counter) -> Verdict {
        let Some(last) = self.last else {
            return self.believe(next, Step::Rose);
        };
        let step = self.step(last, next);
        let is_confirmed = |watch: &Self| {
            let doubted = watch.doubted;
            doubted.is_some_and(|doubted| watch.step(doubted, next) == Step::Rose)
        };
        if step == Step::Rose {
            self.believe(next, step)
        } else if is_confirmed(self) {
            self.doubted = None;
            self.believe(next, step)
        } else {
            self.doubted = Some(next);
            Verdict::Doubted(step)
        }
    }

    fn believe(&mut self, next: Counter, step: Step) -> Verdict {
        self.last = Some(next);
        let glitch = self.doubted.take().map(|doubted| doubted.register);
        Verdict::Believed { step, glitch }
    }

    fn step(&self, last: Counter, next: Counter) -> Step {
        let (before, after) = (last.register, next.register);
        let elapsed = next.read_at.saturating_sub(last.read_at);
        let most = self.max_power.map(|power| most(power, elapsed, next));
        let is_possible = |energy: u64| most.is_none_or(|most| energy <= most.0);
        match after.0.checked_sub(before.0) {
            Some(risen) if is_possible(risen) => Step::Rose,
            Some(_) => Step::Jumped {
                before,
                after,
                most: most.unwrap_or_default(),
            },
            None => {
                let full = next.rollover_wh.and_then(|full| full.checked_sub(before.0));
                let counted = full.and_then(|rest| rest.checked_add(after.0));
                // Without a maximum power anything that fell might have rolled over.
                let counted = counted.filter(|counted| most.is_some() && is_possible(*counted));
                match counted {
                    Some(counted) => Step::RolledOver {
                        before,
                        after,
                        counted: EnergyWh(counted),
                    },
                    None => Step::Fell { before, after },
                }
            }
        }
    }
}

/// The most that a counter can have counted.
fn most(power: PowerW, elapsed: Duration, counter: Counter) -> EnergyWh {
    let watt_ms = u128::from(power.0) * elapsed.as_millis();
    let by_power = u64::try_from(watt_ms.div_ceil(3_600_000)).unwrap_or(u64::MAX);
    // Both readings were rounded to the register's step.
    let by_steps = counter.resolution_mwh.saturating_mul(2).div_ceil(1_000);
    EnergyWh(by_power.saturating_add(by_steps).saturating_add(SLACK_WH))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: u64 = 999_999_900;

    /// Readings of a counter behind 11 kW, each a second after the one before.
    fn verdicts(registers: &[u64]) -> Vec<Verdict> {
        let mut watch = Watch::new(Some(PowerW(11_000)));
        let readings = registers.iter().zip(0..);
        let counters = readings.map(|(&register, second)| counter(register, second));
        counters.map(|next| watch.judge(next)).collect()
    }

    fn counter(register: u64, second: u64) -> Counter {
        Counter {
            register: EnergyWh(register),
            read_at: Duration::from_secs(second),
            resolution_mwh: 1_000,
            rollover_wh: Some(FULL),
        }
    }

    const ROSE: Verdict = Verdict::Believed {
        step: Step::Rose,
        glitch: None,
    };

    fn believed(step: Step) -> Verdict {
        Verdict::Believed { step, glitch: None }
    }

    #[test]
    fn a_counter_rises_or_stands_still() {
        assert_eq!(verdicts(&[500, 500, 503, 600]), [ROSE; 4]);
    }

    #[test]
    fn one_wrong_reading_is_a_glitch_whether_high_or_low() {
        for wrong in [0, 499, 9_000, u64::MAX] {
            let found = verdicts(&[500, wrong, 501]);
            assert!(matches!(found[1], Verdict::Doubted(_)), "{wrong}");
            let glitch = Verdict::Believed {
                step: Step::Rose,
                glitch: Some(EnergyWh(wrong)),
            };
            assert_eq!(found[2], glitch);
        }
    }

    #[test]
    fn two_readings_that_agree_are_a_reset() {
        let fell = |after| Step::Fell {
            before: EnergyWh(5_000),
            after: EnergyWh(after),
        };
        let expected = [ROSE, Verdict::Doubted(fell(2)), believed(fell(3)), ROSE];
        assert_eq!(verdicts(&[5_000, 2, 3, 4]), expected);
    }

    #[test]
    fn two_readings_that_agree_are_a_jump() {
        // 11 kW for one second and two are 4 and 7 Wh; 2 Wh for the steps, 100 for slack.
        let jumped = |after, most| Step::Jumped {
            before: EnergyWh(500),
            after: EnergyWh(after),
            most: EnergyWh(most),
        };
        let expected = [
            ROSE,
            Verdict::Doubted(jumped(607, 106)),
            believed(jumped(610, 109)),
            ROSE,
        ];
        assert_eq!(verdicts(&[500, 607, 610, 611]), expected);
        assert_eq!(verdicts(&[500, 606]), [ROSE; 2]);
    }

    #[test]
    fn wrong_readings_that_differ_confirm_nothing() {
        let found = verdicts(&[500, 70_000, 20, 900_000, 502]);
        for doubted in &found[1..4] {
            assert!(matches!(doubted, Verdict::Doubted(_)), "{doubted:?}");
        }
        let glitch = Verdict::Believed {
            step: Step::Rose,
            glitch: Some(EnergyWh(900_000)),
        };
        assert_eq!(found[4], glitch);
    }

    #[test]
    fn a_full_counter_begins_again() {
        let rolled = |after, counted| Step::RolledOver {
            before: EnergyWh(FULL - 2),
            after: EnergyWh(after),
            counted: EnergyWh(counted),
        };
        let expected = [
            ROSE,
            Verdict::Doubted(rolled(1, 3)),
            believed(rolled(4, 6)),
            ROSE,
        ];
        assert_eq!(verdicts(&[FULL - 2, 1, 4, 4]), expected);
    }

    #[test]
    fn what_is_counted_while_nobody_reads_is_no_jump() {
        let mut watch = Watch::new(Some(PowerW(11_000)));
        watch.judge(counter(500, 0));
        assert_eq!(watch.judge(counter(11_500, 3_600)), ROSE);
    }

    #[test]
    fn without_a_maximum_power_only_a_fall_is_noticed() {
        let mut watch = Watch::new(None);
        assert_eq!(watch.judge(counter(FULL - 2, 0)), ROSE);
        let fell = Step::Fell {
            before: EnergyWh(FULL - 2),
            after: EnergyWh(3),
        };
        assert_eq!(watch.judge(counter(3, 1)), Verdict::Doubted(fell));
        assert_eq!(
            watch.judge(counter(4, 2)),
            believed(Step::Fell {
                before: EnergyWh(FULL - 2),
                after: EnergyWh(4)
            })
        );
        assert_eq!(watch.judge(counter(u64::MAX, 3)), ROSE);
    }
}
