//! Act 4: who owes what, and who is credited.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Charge, kwh};
use crate::claims::Claim;
use crate::stage::Stage;
use crate::view::Told;
use crate::wire::Chain;
use crate::world::{CREDIT_PER_KWH_CENTS, PRICE_PER_KWH_CENTS, World};

/// Shows the bill of each group and checks it line by line.
pub(super) async fn play(stage: &Stage, world: &World, charges: &[Charge]) -> anyhow::Result<()> {
    stage.act("Bills: who owes what, and who is credited");
    let mut groups: Vec<&str> = charges.iter().flat_map(|c| [c.payer, c.owner]).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut bills = Vec::new();
    for group in groups {
        let bill = world.provider.bill(group).await?;
        stage.screen.tell(&Told::Bill(&bill));
        rows(stage, &bill);
        bills.push((group, bill));
    }
    owed(stage, &bills, charges);
    credited(stage, &bills, charges);
    charged_elsewhere(stage, charges);
    Ok(())
}

fn rows(stage: &Stage, bill: &Value) {
    let row = |text: String| stage.screen.tell(&Told::Row(&text));
    row(format!(
        "{:<32}{:>14} owed {:>10} credited",
        text(&bill["groupId"]),
        eur(number(bill, "/total/amount")),
        eur(number(bill, "/credit")),
    ));
    for line in each(bill, "lines") {
        row(format!(
            "  {:<11}  {:<7} {:>11}   {:>10}  block {:<2} {}",
            text(&line["idTag"]),
            text(&line["outlet"]),
            kwh(number(line, "/energyWh")),
            eur(number(line, "/amount")),
            number(line, "/height"),
            short(&line["header"]),
        ));
    }
    for line in each(bill, "credits") {
        row(format!(
            "  {:<11}  {:<7} {:>11}  {:>26}",
            "gave at",
            text(&line["outlet"]),
            kwh(number(line, "/energyWh")),
            eur(number(line, "/credit")),
        ));
    }
}

/// Each bill has exactly its group's charges: metered energy, recomputed price, a header that
/// proves each.
fn owed(stage: &Stage, bills: &[(&str, Value)], charges: &[Charge]) {
    let mut holds = true;
    let mut facts = Vec::new();
    for (group, bill) in bills {
        let due: Vec<&Charge> = charges.iter().filter(|c| c.payer == *group).collect();
        let lines: Vec<&Value> = each(bill, "lines").collect();
        let is_proven = |line: &&Value| stage.wire.chain(|chain| is_proven(chain, line, &due));
        let total: u64 = due.iter().map(|charge| price(charge.metered_wh)).sum();
        let metered: u64 = due.iter().map(|charge| charge.metered_wh).sum();
        holds &= lines.len() == due.len()
            && lines.iter().all(|line| is_proven(line) == Some(true))
            && number(bill, "/total/amount") == total
            && number(bill, "/total/energyWh") == metered
            && number(bill, "/pending/energyWh") == 0;
        let due = due.iter().map(|charge| {
            json!({
                "idTag": charge.id_tag, "meteredWh": charge.metered_wh,
                "amount": price(charge.metered_wh), "profile": charge.hash(),
            })
        });
        facts.push(json!({"group": group, "due": due.collect::<Vec<_>>(), "lines": lines}));
    }
    stage.claim(&Claim {
        name: "billed-as-metered",
        says: "each bill is what the meters counted, at the tariff, and final".to_owned(),
        why: "each line's header is in the chain: whoever holds it can check",
        holds,
        facts: json!(facts),
    });
}

/// Whether a line is one of the charges due, at the right price, in the block that it names.
fn is_proven(chain: &Chain, line: &Value, due: &[&Charge]) -> bool {
    let charge = due.iter().find(|charge| {
        line["idTag"] == charge.id_tag && number(line, "/energyWh") == charge.metered_wh
    });
    let Some((block, in_chain)) = charge.and_then(|charge| chain.charge(&charge.hash())) else {
        return false;
    };
    let (height, amount) = (number(line, "/height"), number(line, "/amount"));
    height == block.header.body.height
        && height <= chain.state().final_height
        && line["header"] == block.header.hash().to_string()
        && amount == u64::from(in_chain.amount)
        && amount == price(number(line, "/energyWh"))
        && says_price(chain, in_chain.tariff, "payer", PRICE_PER_KWH_CENTS)
        && says_price(chain, in_chain.tariff, "owner", CREDIT_PER_KWH_CENTS)
}

/// Whether the tariff's document in the chain names that price.
fn says_price(chain: &Chain, tariff: protocol::TariffId, side: &str, cents: u64) -> bool {
    let document = chain.tariff(tariff).map(serde_json::from_str::<Value>);
    let Some(Ok(document)) = document else {
        return false;
    };
    let price = &document[side]["elements"][0]["price_components"][0]["price"];
    // As text: a price is a decimal, never a float.
    let price = price.to_string();
    price == format!("0.{cents}") || price == format!("0.{}", cents / 10)
}

/// Each group is credited for what was taken at its outlets, by whomever.
fn credited(stage: &Stage, bills: &[(&str, Value)], charges: &[Charge]) {
    let mut holds = true;
    let mut facts = Vec::new();
    for (group, bill) in bills {
        let given: Vec<&Charge> = charges.iter().filter(|c| c.owner == *group).collect();
        let credit: u64 = given.iter().map(|charge| refund(charge.metered_wh)).sum();
        let energy: u64 = given.iter().map(|charge| charge.metered_wh).sum();
        let billed: u64 = each(bill, "credits")
            .map(|line| number(line, "/energyWh"))
            .sum();
        let in_chain = stage.wire.chain(|chain| credit_in_chain(chain, &given));
        holds &= number(bill, "/credit") == credit && billed == energy && in_chain == Some(credit);
        facts.push(json!({
            "group": group, "energyWh": energy, "credit": credit, "inChain": in_chain,
        }));
    }
    stage.claim(&Claim {
        name: "credited-as-taken",
        says: "each owner is credited what was taken at its outlet, by whomever".to_owned(),
        why: "the chain's own state says the same, cent by cent",
        holds,
        facts: json!(facts),
    });
}

/// What the chain's state credits the outlets of these charges with.
fn credit_in_chain(chain: &Chain, given: &[&Charge]) -> u64 {
    let outlets: BTreeSet<_> = given
        .iter()
        .map(|charge| charge.profile.body.supply_point)
        .collect();
    let points = &chain.state().supply_points;
    let credits = outlets.iter().filter_map(|id| points.get(id));
    credits.map(|point| point.credit.0).sum()
}

/// The paper's case, in one line.
fn charged_elsewhere(stage: &Stage, charges: &[Charge]) {
    let guests = charges.iter().filter(|charge| charge.payer != charge.owner);
    for charge in guests {
        let hash = charge.hash();
        let line = stage.wire.chain(|chain| {
            let (block, line) = chain.charge(&hash)?;
            let payer = chain.state().groups.get(&line.profile.body.payer)?.parent;
            let point = chain
                .state()
                .supply_points
                .get(&line.profile.body.supply_point)?;
            let owner = chain.state().groups.get(&point.owner)?.parent;
            Some((block.header.body.height, line.clone(), payer, owner))
        });
        let Some((height, line, payer, owner)) = line.flatten() else {
            continue;
        };
        let (amount, credit) = (u64::from(line.amount), u64::from(line.credit));
        stage.claim(&Claim {
            name: "charged-elsewhere",
            says: format!(
                "{} at {}'s {}: {} pays {}, the owner gets {}",
                charge.id_tag,
                charge.owner,
                charge.outlet,
                charge.payer,
                eur(amount),
                eur(credit)
            ),
            why: "charged elsewhere, billed to the right party",
            holds: amount == price(charge.metered_wh)
                && credit == refund(charge.metered_wh)
                && payer != owner,
            facts: json!({
                "profile": hash, "height": height, "idTag": charge.id_tag,
                "meteredWh": charge.metered_wh, "amount": amount, "credit": credit,
            }),
        });
    }
}

/// Cents for an energy, half a cent upwards, computed here once more: a bill is not judged by the
/// code that wrote it.
fn price(energy_wh: u64) -> u64 {
    (energy_wh * PRICE_PER_KWH_CENTS + 500) / 1000
}

fn refund(energy_wh: u64) -> u64 {
    (energy_wh * CREDIT_PER_KWH_CENTS + 500) / 1000
}

fn eur(cents: u64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}

fn each<'a>(bill: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    bill[list].as_array().into_iter().flatten()
}

fn number(value: &Value, pointer: &str) -> u64 {
    let number = value.pointer(pointer).and_then(Value::as_u64);
    // No amount and no energy is this large: what is missing equals nothing.
    number.unwrap_or(u64::MAX)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn short(hash: &Value) -> String {
    text(hash).chars().take(12).collect()
}
