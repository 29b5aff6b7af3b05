//! Who owes what, and who is credited.

use std::collections::BTreeSet;

use anyhow::Context as _;
use ledger::Block;
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
    stage.screen.tell(&Told::Row(
        "* without the voters that were silent for too long",
    ));
    owed(stage, &bills, charges);
    credited(stage, &bills, charges);
    charged_elsewhere(stage, charges)
}

fn rows(stage: &Stage, bill: &Value) {
    let row = |text: String| stage.screen.tell(&Told::Row(&text));
    row(format!(
        "{:<30}{:>13} owed{:>13} credited",
        text(&bill["groupId"]),
        eur(number(bill, "/total/amount")),
        eur(number(bill, "/credit")),
    ));
    for line in each(bill, "lines") {
        row(in_columns(text(&line["idTag"]), line, "/amount"));
    }
    for line in each(bill, "credits") {
        row(in_columns("credit", line, "/credit"));
    }
}

fn in_columns(what: &str, line: &Value, money: &str) -> String {
    format!(
        "  {what:<11}  {:<6} {:>10} {:>9}  block {:<2} {}  {}",
        text(&line["outlet"]),
        kwh(number(line, "/energyWh")),
        eur(number(line, money)),
        number(line, "/height"),
        short(&line["header"]),
        match line["finality"].as_str() {
            Some("finalAfterDormancy") => "final*",
            other => other.unwrap_or_default(),
        }
    )
}

/// Each bill has exactly its group's charges: metered energy, recomputed price, a header that
/// proves each.
fn owed(stage: &Stage, bills: &[(&str, Value)], charges: &[Charge]) {
    let mut holds = true;
    let mut facts = Vec::new();
    for (group, bill) in bills {
        let due: Vec<&Charge> = charges.iter().filter(|c| c.payer == *group).collect();
        let lines: Vec<&Value> = each(bill, "lines").collect();
        let are_proven = stage
            .wire
            .chain(|chain| pair_off(&lines, &due, |line, charge| is_proven(chain, line, charge)));
        let total: u64 = due.iter().map(|charge| price(charge.metered_wh)).sum();
        let metered: u64 = due.iter().map(|charge| charge.metered_wh).sum();
        holds &= are_proven == Some(true)
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

/// Whether each line is of another one of the charges, and each charge has its line.
fn pair_off(
    lines: &[&Value],
    charges: &[&Charge],
    is_of: impl Fn(&Value, &Charge) -> bool,
) -> bool {
    let mut open = charges.to_vec();
    let all = lines.iter().all(|line| {
        let place = open.iter().position(|charge| is_of(line, charge));
        place.map(|place| open.remove(place)).is_some()
    });
    all && open.is_empty()
}

/// Whether a line bills a charge at the right price, in the block that holds it.
fn is_proven(chain: &Chain, line: &Value, charge: &Charge) -> bool {
    let Some((block, in_chain)) = chain.charge(&charge.hash()) else {
        return false;
    };
    let (energy, amount) = (number(line, "/energyWh"), number(line, "/amount"));
    names(chain, line, block)
        && line["idTag"] == charge.id_tag
        && energy == charge.metered_wh
        && amount == u64::from(in_chain.amount)
        && amount == price(energy)
        && says_price(chain, in_chain.tariff, "payer", PRICE_PER_KWH_CENTS)
        && says_price(chain, in_chain.tariff, "owner", CREDIT_PER_KWH_CENTS)
}

/// Whether a line names that block, and rightly says that it is final.
fn names(chain: &Chain, line: &Value, block: &Block) -> bool {
    let height = number(line, "/height");
    let finality = match height {
        height if height <= chain.state().confirmed_height => "final",
        height if height <= chain.state().final_height => "finalAfterDormancy",
        _ => return false,
    };
    height == block.header.body.height
        && line["header"] == block.header.hash().to_string()
        && line["finality"] == finality
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
        let lines: Vec<&Value> = each(bill, "credits").collect();
        let are_proven = stage.wire.chain(|chain| {
            pair_off(&lines, &given, |line, charge| {
                is_proven_credit(chain, line, charge)
            })
        });
        let in_chain = stage.wire.chain(|chain| credit_in_chain(chain, &given));
        holds &= are_proven == Some(true)
            && number(bill, "/credit") == credit
            && in_chain == Some(credit);
        facts.push(json!({
            "group": group, "credit": credit, "inChain": in_chain, "lines": lines,
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

/// Whether a line is the credit for a charge, in the block that holds it.
fn is_proven_credit(chain: &Chain, line: &Value, charge: &Charge) -> bool {
    let Some((block, in_chain)) = chain.charge(&charge.hash()) else {
        return false;
    };
    let (energy, credit) = (number(line, "/energyWh"), number(line, "/credit"));
    names(chain, line, block)
        && energy == charge.metered_wh
        && credit == u64::from(in_chain.credit)
        && credit == refund(energy)
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

/// The paper's case: who pays, and who is credited, where they are not the same.
fn charged_elsewhere(stage: &Stage, charges: &[Charge]) -> anyhow::Result<()> {
    let guests: Vec<&Charge> = charges.iter().filter(|c| c.payer != c.owner).collect();
    let mut holds = true;
    let mut facts = Vec::new();
    for guest in &guests {
        let hash = guest.hash();
        let line = stage.wire.chain(|chain| {
            let (_, line) = chain.charge(&hash)?;
            let outlet = chain
                .state()
                .supply_points
                .get(&line.profile.body.supply_point)?;
            Some((line.clone(), outlet.owner))
        });
        let (line, owner) = line.flatten().context("it was billed")?;
        holds &= line.profile.body.payer != owner
            && u64::from(line.amount) == price(guest.metered_wh)
            && u64::from(line.credit) == refund(guest.metered_wh);
        facts.push(json!({
            "profile": hash, "idTag": guest.id_tag, "payer": guest.payer, "owner": guest.owner,
            "meteredWh": guest.metered_wh, "amount": line.amount, "credit": line.credit,
        }));
    }
    let first = guests.first().context("somebody charged elsewhere")?;
    stage.claim(&Claim {
        name: "charged-elsewhere",
        says: format!(
            "{} at the {}: {} pays {}, {} gets {}",
            first.id_tag,
            first.outlet,
            first.payer,
            eur(price(first.metered_wh)),
            first.owner,
            eur(refund(first.metered_wh))
        ),
        why: "charged elsewhere, billed to the right party, the host refunded",
        holds,
        facts: json!(facts),
    });
    Ok(())
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
    text(hash).chars().take(10).collect()
}
