//! What must hold at the end, whoever was killed wherever.

use serde_json::Value;
use tests::{amount, credit};

use crate::scene::{FLEET, HOUSEHOLD, Scene};

/// What a meter counted during the charge at an outlet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metered {
    pub(crate) outlet: &'static str,
    /// The group that owes it.
    pub(crate) payer: &'static str,
    pub(crate) energy_wh: u64,
    /// The gateway's restart ends the charge; what the meter counted meanwhile may be held.
    pub(crate) is_over_after_a_restart: bool,
}

/// Waits until everything has settled, then checks that every metered Wh is billed exactly once,
/// finally, to whom it belongs, or held with a reason, and that all have the same chain.
#[track_caller]
pub(crate) fn check(scene: &mut Scene, metered: &[Metered]) {
    let [fleet, household, held] = scene.step("everything is settled", settled);
    let mut receipts = 0;
    for expected in metered {
        let bill = match expected.payer {
            FLEET => &fleet,
            HOUSEHOLD => &household,
            other => panic!("{other} has no bill here"),
        };
        let lines: Vec<_> = lines(bill)
            .filter(|line| line["outlet"] == expected.outlet)
            .collect();
        receipts += lines.len();
        let billed_wh: u64 = lines.iter().map(|line| number(&line["energyWh"])).sum();
        let held_wh = held[expected.outlet].as_u64().unwrap_or(0);
        assert_eq!(
            billed_wh + held_wh,
            expected.energy_wh,
            "{expected:?}: {billed_wh} Wh billed, {held_wh} Wh held\n{bill:#}\n{held:#}"
        );
        let may_hold = expected.is_over_after_a_restart && scene.household.starts() > 1;
        assert!(may_hold || held_wh == 0, "held for nothing: {held:#}");
        assert_eq!(lines.len(), usize::from(billed_wh > 0), "{bill:#}");
        for line in lines {
            let energy_wh = number(&line["energyWh"]);
            assert_eq!(number(&line["amount"]), amount(energy_wh), "{bill:#}");
        }
    }
    let all_lines = lines(&fleet).count() + lines(&household).count();
    assert_eq!(all_lines, receipts, "no line is nobody's charge");
    check_credits(&household, lines(&fleet).chain(lines(&household)));
    check_receipts(scene, receipts);
}

/// The household owns every outlet: each line of either bill is credited to it once, under the
/// header that proves the charge.
fn check_credits<'a>(household: &Value, lines: impl Iterator<Item = &'a Value>) {
    let proof = |line: &Value| {
        ["outlet", "start", "end", "energyWh", "height", "header"].map(|key| line[key].to_string())
    };
    let mut expected: Vec<_> = lines
        .map(|line| (proof(line), credit(number(&line["energyWh"]))))
        .collect();
    let credits = household["credits"].as_array().expect("a list");
    let mut credited: Vec<_> = credits
        .iter()
        .map(|line| (proof(line), number(&line["credit"])))
        .collect();
    expected.sort();
    credited.sort();
    assert_eq!(credited, expected, "{household:#}");
    assert!(
        credits.iter().all(|line| line["finality"] == "final"),
        "{household:#}"
    );
    let all: u64 = credited.iter().map(|(_, credit)| credit).sum();
    assert_eq!(household["credit"], all, "{household:#}");
    assert_eq!(household["pendingCredit"], 0, "{household:#}");
}

/// Files are written beside what is told about the charge, and none too many.
fn check_receipts(scene: &mut Scene, expected: usize) {
    scene.step("a receipt file for each charge", |scene| {
        let written = std::fs::read_dir(scene.household.state("receipts")).ok()?;
        let names = written.map(|entry| entry.expect("readable").file_name());
        let receipts = names.filter(|name| name.to_string_lossy().ends_with(".receipt"));
        let count = receipts.count();
        assert!(count <= expected, "{count} receipts for {expected} charges");
        (count == expected).then_some(())
    });
}

/// The fleet's bill, the household's bill, and what the household's gateway holds at each outlet,
/// once nothing is on its way any more: no charge runs, none waits but those that are held, all
/// lines are final, and everybody is at the same block.
fn settled(scene: &mut Scene) -> Option<[Value; 3]> {
    let gateways = [scene.fleet.status()?, scene.household.status()?];
    let mut held = Value::Object(serde_json::Map::new());
    for status in &gateways {
        if !status["running"].as_array()?.is_empty() {
            return None;
        }
        for waiting in status["outbox"].as_array()? {
            let outlet = waiting["outlet"].as_str()?;
            // A reason is what makes it held and not forgotten.
            waiting["heldBecause"].as_str()?;
            let before = held[outlet].as_u64().unwrap_or(0);
            held[outlet] = (before + number(&waiting["energyWh"])).into();
        }
    }
    let bills = [scene.provider.bill(FLEET)?, scene.provider.bill(HOUSEHOLD)?];
    if !bills
        .iter()
        .flat_map(lines)
        .all(|line| line["finality"] == "final")
    {
        return None;
    }
    let chain = scene.provider.chain()?;
    let same = ["chainId", "height", "tip", "stateRoot", "finalHeight"];
    let is_same = |status: &Value| same.iter().all(|key| status["chain"][key] == chain[key]);
    if !gateways.iter().all(is_same) {
        return None;
    }
    let [fleet, household] = bills;
    Some([fleet, household, held])
}

fn lines(bill: &Value) -> impl Iterator<Item = &Value> {
    bill["lines"].as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}
