//! What breaks, and when.

use crate::process::Doom;
use crate::random::Random;
use crate::world::Who;

/// A fault and its moment.
#[derive(Clone, Debug)]
pub(crate) struct PlannedFault {
    pub(crate) at: u64,
    pub(crate) fault: Fault,
}

/// What may break. Each occurrence is counted under its name.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The process dies between two batches.
    Crash(Who),
    /// It dies in its next batch.
    CrashAt(Who, Doom),
    /// A link breaks; what is on its way is lost, and each end is told in its own time.
    LinkBreak(usize),
    /// These gateways reach nobody for so long.
    Partition(Vec<usize>, u64),
    /// What a gateway sends and gets takes up to so long, for so long.
    SlowLink(usize, u64, u64),
    /// Frames of a gateway's links get lost, doubled and out of order within the link, for so
    /// long. A WebSocket does none of that; the rules have to survive it all the same.
    Hostile(usize, u64),
    /// A clock is set wrong by so many ms.
    ClockStep(Who, i64),
    /// Each sync takes so much longer.
    SlowDisk(Who, u64),
    /// A gateway is switched off for good.
    Leave(usize),
    /// The provider's store is backed up.
    BackUp,
    /// The provider's disk is lost; it goes on from the newest backup.
    Restore,
    /// A gateway's store is backed up.
    BackUpGateway(usize),
    /// A gateway's box is replaced: with its key, and its newest backup or an empty disk.
    Replace(usize),
}

/// The faults of a run with so many gateways, up to the moment it heals.
pub(crate) fn plan(random: &mut Random, gateways: usize, heals_at: u64) -> Vec<PlannedFault> {
    let count = match random.below(8) {
        0 => 0,
        1..4 => random.between(1, 3),
        _ => random.between(3, 9),
    };
    (0..count)
        .map(|_| PlannedFault {
            at: random.between(0, heals_at),
            fault: draw(random, gateways),
        })
        .collect()
}

/// Backups of a provider that tells the truth, and losses of its disk: most of them when there is a
/// block with voters, as an older copy is none.
pub(crate) fn plan_restores(random: &mut Random, heals_at: u64) -> Vec<PlannedFault> {
    let first_block = heals_at / 4;
    let mut planned = Vec::new();
    for _ in 0..random.below(10).saturating_sub(6) {
        let lost = random.between(first_block + 2_000, heals_at);
        let backed_up = match random.below(4) {
            0 => first_block + random.below(2_000),
            1 => lost.saturating_sub(random.below(2_000)),
            _ => random.between(first_block, lost),
        };
        for (at, fault) in [(backed_up, Fault::BackUp), (lost, Fault::Restore)] {
            planned.push(PlannedFault { at, fault });
        }
    }
    planned
}

/// Backups of gateways, and boxes that are replaced, in few runs.
pub(crate) fn plan_replacements(
    random: &mut Random,
    gateways: usize,
    heals_at: u64,
) -> Vec<PlannedFault> {
    let mut planned = Vec::new();
    for _ in 0..random.below(10).saturating_sub(6) {
        let gateway = random.index(gateways);
        let lost = random.between(1_000, heals_at);
        if random.chance(70) {
            let at = random.below(lost);
            let fault = Fault::BackUpGateway(gateway);
            planned.push(PlannedFault { at, fault });
        }
        let fault = Fault::Replace(gateway);
        planned.push(PlannedFault { at: lost, fault });
    }
    planned
}

fn draw(random: &mut Random, gateways: usize) -> Fault {
    let gateway = random.index(gateways);
    let who = match random.chance(35) {
        true => Who::Provider(0),
        false => Who::Gateway(gateway),
    };
    let lasts = random.between(1_000, 40_000);
    match random.below(100) {
        0..12 => Fault::Crash(who),
        12..20 => Fault::CrashAt(who, Doom::BeforeSync),
        20..28 => {
            let is_there = random.chance(50);
            Fault::CrashAt(who, Doom::Torn { is_there })
        }
        28..38 => Fault::CrashAt(who, Doom::AfterSync),
        38..48 => {
            let percent = u8::try_from(random.below(100)).expect("small");
            Fault::CrashAt(who, Doom::Midway(percent))
        }
        48..60 => Fault::LinkBreak(gateway),
        60..70 => {
            let cut = (0..gateways).filter(|_| random.chance(50)).collect();
            Fault::Partition(cut, lasts)
        }
        70..78 => Fault::SlowLink(gateway, random.between(100, 25_000), lasts),
        78..86 => Fault::Hostile(gateway, lasts),
        86..92 => {
            let off = i64::try_from(random.below(500_000)).expect("small") - 250_000;
            Fault::ClockStep(who, off)
        }
        92..97 => Fault::SlowDisk(who, random.between(20, 3_000)),
        _ => Fault::Leave(gateway),
    }
}
