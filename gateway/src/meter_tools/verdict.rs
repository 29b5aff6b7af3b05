//! What is likely wrong with a line, from what was heard on it: rules without a line.

use std::collections::BTreeMap;

use meter_drivers::listen::{Exchange, Heard};

/// "Gateway path unavailable" and "gateway target device failed to respond".
///
/// # Source
/// MODBUS Application Protocol V1.1b3, section 7.
pub(crate) const OF_A_GATEWAY: std::ops::RangeInclusive<u8> = 10..=11;
/// Spoilt answers of one unit beyond this part (per cent) are told, where others have fewer.
const FEW_PERCENT: u32 = 2;
/// Spoilt answers of one unit alone from this part (per cent) on are two units' that collide.
const MANY_PERCENT: u32 = 20;

/// How often what was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) asked: u32,
    pub(crate) answers: u32,
    pub(crate) refusals: u32,
    /// A gateway's word that the unit behind it is silent.
    pub(crate) gateway: u32,
    pub(crate) silent: u32,
    pub(crate) twice: u32,
    pub(crate) surplus: u32,
    pub(crate) foreign: u32,
    pub(crate) unfitting: u32,
    pub(crate) checksum: u32,
    pub(crate) cut_short: u32,
    pub(crate) garbled: u32,
    pub(crate) own_request: u32,
    /// Bytes that came before anything was asked.
    pub(crate) unasked: u32,
}

/// What kind of line it is: what can be wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Serial,
    RtuOverTcp,
}

/// What a line showed.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) kind: Kind,
    /// Units that were asked once to see whether they are there.
    pub(crate) looked: Counts,
    /// Units that should be there and said nothing.
    pub(crate) missing: Vec<u8>,
    /// Units that said something, asked again and again.
    pub(crate) units: BTreeMap<u8, Counts>,
    /// How the line is set, where it can be.
    pub(crate) settings: Option<String>,
    /// Settings of the line at which these units answer, where none that was asked does.
    pub(crate) elsewhere: Option<(String, Vec<u8>)>,
}

/// What is wrong. In each, the likeliest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Every answer was clean.
    AllWell,
    /// The adapter hands back what it sends.
    OwnRequests,
    /// These units answer, none of those that were asked.
    OtherUnits(Vec<u8>),
    /// Units answer, but at these other settings.
    OtherSettings(String, Vec<u8>),
    /// Bytes come, but never a frame.
    WrongSettings,
    /// Nothing comes at all.
    Nothing,
    /// The gateway answers, and says that no unit behind it does.
    NothingBehindGateway,
    /// Two units have this id.
    DuplicateUnit(u8),
    /// Perhaps two units have this id, perhaps its cable is bad.
    SpoiltUnit(u8),
    /// Frames of others: two masters.
    SecondMaster,
    /// Spoilt answers of several units.
    Noise,
    /// These units should be there and say nothing, while others answer.
    Missing(Vec<u8>),
    /// This unit leaves requests unanswered.
    SometimesSilent(u8),
    /// This unit answers something else than it was asked.
    Unfitting(u8),
}

impl Counts {
    pub(crate) fn add(&mut self, exchange: &Exchange) {
        self.asked += 1;
        self.unasked += u32::try_from(exchange.unasked).unwrap_or(u32::MAX);
        let count = match exchange.heard {
            Heard::Answer(_) => &mut self.answers,
            Heard::Exception(code) if OF_A_GATEWAY.contains(&code) => &mut self.gateway,
            Heard::Exception(_) => &mut self.refusals,
            Heard::Silence => &mut self.silent,
            Heard::Twice => &mut self.twice,
            Heard::Surplus(_) => &mut self.surplus,
            Heard::Foreign(_) => &mut self.foreign,
            Heard::Unfitting => &mut self.unfitting,
            Heard::Checksum => &mut self.checksum,
            Heard::CutShort(_) => &mut self.cut_short,
            Heard::Garbled(_) => &mut self.garbled,
            Heard::OwnRequest => &mut self.own_request,
        };
        *count += 1;
    }

    pub(crate) fn clean(&self) -> u32 {
        self.answers + self.refusals
    }

    /// Answers that something happened to on the way.
    fn spoilt(&self) -> u32 {
        self.surplus + self.checksum + self.cut_short + self.garbled
    }

    fn is_percent(&self, count: u32, percent: u32) -> bool {
        u64::from(count) * 100 >= u64::from(self.asked) * u64::from(percent) && count > 0
    }

    fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            asked: sum.asked + one.asked,
            answers: sum.answers + one.answers,
            refusals: sum.refusals + one.refusals,
            gateway: sum.gateway + one.gateway,
            silent: sum.silent + one.silent,
            twice: sum.twice + one.twice,
            surplus: sum.surplus + one.surplus,
            foreign: sum.foreign + one.foreign,
            unfitting: sum.unfitting + one.unfitting,
            checksum: sum.checksum + one.checksum,
            cut_short: sum.cut_short + one.cut_short,
            garbled: sum.garbled + one.garbled,
            own_request: sum.own_request + one.own_request,
            unasked: sum.unasked.saturating_add(one.unasked),
        })
    }
}

/// What is likely wrong, the likeliest and the gravest first; never empty.
pub(crate) fn causes(observed: &Observed) -> Vec<Cause> {
    let all = Counts::sum(observed.units.values().chain([&observed.looked]));
    if all.own_request > 0 {
        return vec![Cause::OwnRequests];
    }
    if all.clean() == 0 && all.twice == 0 && all.surplus == 0 {
        return vec![nobody_answers(observed, &all)];
    }
    let mut causes = Vec::new();
    let units = || observed.units.iter().map(|(&unit, counts)| (unit, counts));
    causes.extend(
        units()
            .filter(|(_, counts)| counts.twice > 0)
            .map(|(unit, _)| Cause::DuplicateUnit(unit)),
    );
    if all.foreign > 0 || all.unasked > 0 {
        causes.push(Cause::SecondMaster);
    }
    causes.extend(spoilt(observed));
    causes.extend(
        units()
            .filter(|(_, counts)| counts.silent + counts.gateway > 0 && counts.clean() > 0)
            .map(|(unit, _)| Cause::SometimesSilent(unit)),
    );
    causes.extend(
        units()
            .filter(|(_, counts)| counts.unfitting > 0)
            .map(|(unit, _)| Cause::Unfitting(unit)),
    );
    if !observed.missing.is_empty() {
        causes.push(Cause::Missing(observed.missing.clone()));
    }
    if causes.is_empty() {
        causes.push(Cause::AllWell);
    }
    causes
}

fn nobody_answers(observed: &Observed, all: &Counts) -> Cause {
    if let Some((settings, units)) = &observed.elsewhere {
        if observed.settings.as_ref() == Some(settings) {
            return Cause::OtherUnits(units.clone());
        }
        return Cause::OtherSettings(settings.clone(), units.clone());
    }
    match all {
        _ if all.spoilt() > 0 => Cause::WrongSettings,
        _ if all.foreign > 0 || all.unasked > 0 => Cause::SecondMaster,
        _ if all.gateway > 0 => Cause::NothingBehindGateway,
        _ if all.unfitting > 0 => Cause::WrongSettings,
        _ => Cause::Nothing,
    }
}

/// Spoilt answers: of one unit among clean ones they are that unit's, of several they are the line's.
fn spoilt(observed: &Observed) -> Option<Cause> {
    // Two whole answers explain whatever else that unit's answers look like.
    let units = observed
        .units
        .iter()
        .filter(|(_, counts)| counts.twice == 0);
    let bad: Vec<(u8, &Counts)> = units
        .filter(|(_, counts)| counts.spoilt() > 0)
        .map(|(&unit, counts)| (unit, counts))
        .collect();
    let is_clean = |counts: &&Counts| !counts.is_percent(counts.spoilt(), FEW_PERCENT);
    let has_clean_neighbours = observed.units.values().any(|counts| is_clean(&counts));
    match bad[..] {
        [] => None,
        [(unit, counts)] if counts.is_percent(counts.spoilt(), MANY_PERCENT) => {
            match has_clean_neighbours {
                true => Some(Cause::DuplicateUnit(unit)),
                false => Some(Cause::SpoiltUnit(unit)),
            }
        }
        _ => Some(Cause::Noise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(asked: u32, change: impl FnOnce(&mut Counts)) -> Counts {
        let mut counts = Counts {
            asked,
            ..Counts::default()
        };
        change(&mut counts);
        counts.answers = asked.saturating_sub(
            counts.refusals
                + counts.gateway
                + counts.silent
                + counts.twice
                + counts.spoilt()
                + counts.foreign
                + counts.unfitting
                + counts.own_request,
        );
        counts
    }

    #[track_caller]
    fn check(looked: Counts, units: &[(u8, Counts)], expected: &[Cause]) {
        let observed = Observed {
            kind: Kind::Serial,
            looked,
            missing: Vec::new(),
            units: units.iter().copied().collect(),
            settings: None,
            elsewhere: None,
        };
        assert_eq!(causes(&observed), expected);
    }

    fn clean() -> Counts {
        counts(20, |_| ())
    }

    #[test]
    fn a_line_without_any_answer_tells_silence_from_garbage() {
        let silent = counts(32, |c| c.silent = 32);
        check(silent, &[], &[Cause::Nothing]);
        let garbled = counts(32, |c| (c.silent, c.garbled) = (31, 1));
        check(garbled, &[], &[Cause::WrongSettings]);
        let checksums = counts(32, |c| (c.silent, c.checksum) = (31, 1));
        let more = counts(20, |c| c.checksum = 20);
        check(checksums, &[(1, more)], &[Cause::WrongSettings]);
        let gateway = counts(32, |c| c.gateway = 32);
        check(gateway, &[], &[Cause::NothingBehindGateway]);
        let echo = counts(32, |c| c.own_request = 32);
        check(echo, &[], &[Cause::OwnRequests]);
    }

    #[test]
    fn units_at_other_settings_are_told() {
        let observed = Observed {
            kind: Kind::Serial,
            looked: counts(32, |c| c.garbled = 32),
            missing: Vec::new(),
            units: BTreeMap::new(),
            settings: Some("9600 8N1".to_owned()),
            elsewhere: Some(("19200 8E1".to_owned(), vec![3])),
        };
        let other = Cause::OtherSettings("19200 8E1".to_owned(), vec![3]);
        assert_eq!(causes(&observed), [other]);
        let observed = Observed {
            settings: Some("19200 8E1".to_owned()),
            ..observed
        };
        assert_eq!(causes(&observed), [Cause::OtherUnits(vec![3])]);
    }

    #[test]
    fn clean_answers_are_well() {
        check(clean(), &[(1, clean()), (2, clean())], &[Cause::AllWell]);
        let refusing = counts(20, |c| c.refusals = 20);
        check(refusing, &[(1, refusing)], &[Cause::AllWell]);
    }

    #[test]
    fn two_answers_are_two_units() {
        let twice = counts(20, |c| (c.twice, c.checksum) = (5, 15));
        check(
            clean(),
            &[(7, twice), (8, clean())],
            &[Cause::DuplicateUnit(7)],
        );
        let colliding = counts(20, |c| c.checksum = 19);
        check(
            clean(),
            &[(7, colliding), (8, clean())],
            &[Cause::DuplicateUnit(7)],
        );
        check(clean(), &[(7, colliding)], &[Cause::SpoiltUnit(7)]);
    }

    #[test]
    fn what_spoils_several_units_is_the_line_s() {
        let some = counts(20, |c| c.checksum = 2);
        check(clean(), &[(7, some), (8, some)], &[Cause::Noise]);
        check(clean(), &[(7, some), (8, clean())], &[Cause::Noise]);
    }

    #[test]
    fn others_frames_are_another_master_s() {
        let foreign = counts(20, |c| c.foreign = 1);
        check(clean(), &[(1, foreign)], &[Cause::SecondMaster]);
        let unasked = counts(20, |c| c.unasked = 8);
        check(clean(), &[(1, unasked)], &[Cause::SecondMaster]);
    }

    #[test]
    fn a_unit_that_should_be_there_is_missed() {
        let observed = Observed {
            kind: Kind::Tcp,
            looked: counts(2, |c| c.silent = 1),
            missing: vec![2],
            units: BTreeMap::from([(1, clean())]),
            settings: None,
            elsewhere: None,
        };
        assert_eq!(causes(&observed), [Cause::Missing(vec![2])]);
    }

    #[test]
    fn a_unit_that_falls_silent_is_named() {
        let silent = counts(20, |c| c.silent = 1);
        check(
            clean(),
            &[(1, clean()), (2, silent)],
            &[Cause::SometimesSilent(2)],
        );
    }
}
