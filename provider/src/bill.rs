//! A group's bill: gathered from the chain, and written as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ledger::Provider;
use ledger::store::{Engine, StoreError};
use ledger::tariff::in_words;
use protocol::message::{ChargeInfo, CreditLine, Finality};
use protocol::{EnergyWh, GroupId, Hash, IdTag, MinorUnits, SupplyPointId};
use tokio::sync::oneshot;

use crate::api::{Bill, BillLine};
use crate::store::Blocks;

/// Blocks read and added at once: more would keep sealing waiting, and memory.
const SLICE: u64 = 8;

/// Why there is no bill.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BillError {
    #[error("no group has this name; check its spelling (groups are named by enrolment tokens)")]
    UnknownGroup,
    #[error("the provider is stopping; ask again when it runs")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds the bill of `group_id` up, slice by slice: the disk is read beside the engine, which only
/// names chargers and outlets.
pub(crate) async fn gather(
    engine: &Engine<Provider>,
    blocks: &Arc<Blocks>,
    group_id: IdTag,
) -> Result<Bill, BillError> {
    let (mut info, group, tip) = begin(engine, group_id).await?;
    let now = crate::fanout::now().seconds();
    let mut from = 1;
    while from <= tip {
        let count = SLICE.min(tip - from + 1);
        let source = Arc::clone(blocks);
        let read = tokio::task::spawn_blocking(move || source.blocks(from, count)).await;
        let mut slice = read.map_err(|_| BillError::Stopping)??;
        slice.retain(|block| !block.body.charges.is_empty());
        if !slice.is_empty() {
            info = look(engine, move |provider| {
                for block in &slice {
                    provider.add_to_bill(&mut info, group, block, now);
                }
                info
            })
            .await?;
        }
        from += count;
    }
    look(engine, move |provider| finish(provider, info)).await
}

/// An empty bill, the group's number, and the height up to which it is gathered.
async fn begin(
    engine: &Engine<Provider>,
    group_id: IdTag,
) -> Result<(ChargeInfo, GroupId, u64), BillError> {
    look(engine, move |provider| {
        let group = provider.registry().group(&group_id)?;
        let info = ChargeInfo {
            group_id,
            currency: provider.state().genesis.currency.clone(),
            lines: Vec::new(),
            credits: Vec::new(),
        };
        Some((info, group, provider.state().height))
    })
    .await?
    .ok_or(BillError::UnknownGroup)
}

fn finish(provider: &Provider, info: ChargeInfo) -> Bill {
    let outlets: BTreeMap<SupplyPointId, &str> = provider
        .registry()
        .outlets()
        .map(|outlet| (outlet.supply_point, outlet.name.as_str()))
        .collect();
    let voters = provider.state().groups.len() as u64;
    Bill::new(info, voters, |supply_point| {
        let name = outlets.get(&supply_point).copied();
        name.unwrap_or_default().to_owned()
    })
}

async fn look<T: Send + 'static>(
    engine: &Engine<Provider>,
    look: impl FnOnce(&Provider) -> T + Send + 'static,
) -> Result<T, BillError> {
    let (sender, seen) = oneshot::channel();
    engine
        .look(move |provider, _| {
            // Whoever asked may have gone away.
            let _ = sender.send(look(provider));
        })
        .map_err(|_| BillError::Stopping)?;
    seen.await.map_err(|_| BillError::Stopping)
}

/// The bill as plain tables for a terminal: what the group owes, then what it is credited.
pub(crate) fn table(bill: &Bill) -> String {
    let amount = |amount: MinorUnits| in_words(amount.0, &bill.currency);
    let mut text = format!("Bill of group {}\n\n", bill.group_id.as_str());
    let header = [
        "idTag", "outlet", "start", "end", "kWh", "amount", "state", "block", "header",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(bill.lines.iter().map(|line| row(line, &bill.currency)));
    align(&mut text, &rows, [4, 5, 7]);
    let _ = writeln!(
        text,
        "\nTotal:   {} kWh, {}, of which pending {}{}",
        kwh(bill.total.energy_wh),
        amount(bill.total.amount),
        amount(bill.pending.amount),
        attested(bill.voters),
    );
    if !bill.credits.is_empty() {
        text.push_str("\nCredited for charges at its outlets\n\n");
        let header = [
            "outlet", "start", "end", "kWh", "credit", "state", "block", "header",
        ];
        let mut rows = vec![header.map(str::to_owned)];
        let credits = bill.credits.iter();
        rows.extend(credits.map(|line| credit_row(line, &bill.currency)));
        align(&mut text, &rows, [3, 4, 6]);
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "Credits: {}, of which pending {}",
        amount(bill.credit),
        amount(bill.pending_credit),
    );
    text
}

fn row(line: &BillLine, currency: &str) -> [String; 9] {
    [
        line.id_tag.as_str().to_owned(),
        format!("{} ({})", line.outlet, line.supply_point),
        line.start.to_string(),
        line.end.to_string(),
        kwh(line.energy_wh),
        in_words(line.amount.0, currency),
        state(line.finality).to_owned(),
        line.height.to_string(),
        short(&line.header),
    ]
}

fn credit_row(line: &CreditLine, currency: &str) -> [String; 8] {
    [
        format!("{} ({})", line.outlet, line.supply_point),
        line.start.to_string(),
        line.end.to_string(),
        kwh(line.energy_wh),
        in_words(line.credit.0, currency),
        state(line.finality).to_owned(),
        line.height.to_string(),
        short(&line.header),
    ]
}

fn state(finality: Finality) -> &'static str {
    match finality {
        Finality::Pending => "pending",
        Finality::Unconfirmed => "unconfirmed",
        Finality::FinalAfterDormancy => "final (voters dormant)",
        Finality::Final => "final",
    }
}

/// Enough of a hash to tell headers apart at a glance; the API gives all of it.
fn short(header: &Hash) -> String {
    header.to_string().chars().take(16).collect()
}

/// Exact, with three decimals.
fn kwh(energy: EnergyWh) -> String {
    format!("{}.{:03}", energy.0 / 1_000, energy.0 % 1_000)
}

/// With one or two voters a majority is the parties themselves: that has to be said.
fn attested(voters: u64) -> String {
    match voters {
        1 => " (self-attested: 1 voter)".to_owned(),
        2 => " (self-attested: 2 voters)".to_owned(),
        _ => String::new(),
    }
}

/// Writes rows with their columns aligned; those that hold `numbers` are flush right.
fn align<const N: usize>(text: &mut String, rows: &[[String; N]], numbers: [usize; 3]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(column, (cell, &width))| match numbers.contains(&column) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use protocol::UnixSeconds;
    use protocol::message::ChargeInfoLine;

    use super::*;

    fn line(tag: &str, energy: u64, amount: u64, finality: Finality) -> ChargeInfoLine {
        ChargeInfoLine {
            id_tag: IdTag::parse(tag).expect("printable"),
            supply_point: SupplyPointId(7),
            start: UnixSeconds(1_800_000_000),
            end: UnixSeconds(1_800_003_600),
            energy_wh: EnergyWh(energy),
            amount: MinorUnits(amount),
            finality,
            height: 12,
            header: Hash([0xab; 32]),
        }
    }

    fn credit(energy: u64, credit: u64, finality: Finality) -> CreditLine {
        CreditLine {
            supply_point: SupplyPointId(7),
            outlet: "garage".to_owned(),
            start: UnixSeconds(1_800_000_000),
            end: UnixSeconds(1_800_003_600),
            energy_wh: EnergyWh(energy),
            credit: MinorUnits(credit),
            finality,
            height: 12,
            header: Hash([0xab; 32]),
        }
    }

    fn bill(voters: u64) -> Bill {
        let info = ChargeInfo {
            group_id: IdTag::parse("FLEET").expect("printable"),
            currency: "EUR".to_owned(),
            lines: vec![
                line("CAR-1", 11_000, 440, Finality::Final),
                line("LONGER-CAR", 5, 0, Finality::Unconfirmed),
                line("CAR-1", 1_250, 50, Finality::Pending),
            ],
            credits: vec![
                credit(11_005, 330, Finality::FinalAfterDormancy),
                credit(1_250, 38, Finality::Pending),
            ],
        };
        Bill::new(info, voters, |_| "garage".to_owned())
    }

    #[test]
    fn a_bill_sums_all_and_pending_charges_and_credits() {
        let bill = bill(3);
        let sum = |total: crate::api::Total| (total.energy_wh.0, total.amount.0);
        assert_eq!(sum(bill.total), (12_255, 490));
        assert_eq!(sum(bill.pending), (1_255, 50));
        assert_eq!(bill.credit, MinorUnits(368));
        assert_eq!(bill.pending_credit, MinorUnits(38));
    }

    #[test]
    fn a_bill_is_written_as_an_aligned_table() {
        let expected = "\
Bill of group FLEET

idTag       outlet      start                 end                      kWh    amount  state        block  header
CAR-1       garage (7)  2027-01-15T08:00:00Z  2027-01-15T09:00:00Z  11.000  4.40 EUR  final           12  abababababababab
LONGER-CAR  garage (7)  2027-01-15T08:00:00Z  2027-01-15T09:00:00Z   0.005  0.00 EUR  unconfirmed     12  abababababababab
CAR-1       garage (7)  2027-01-15T08:00:00Z  2027-01-15T09:00:00Z   1.250  0.50 EUR  pending         12  abababababababab

Total:   12.255 kWh, 4.90 EUR, of which pending 0.50 EUR (self-attested: 2 voters)

Credited for charges at its outlets

outlet      start                 end                      kWh    credit  state                   block  header
garage (7)  2027-01-15T08:00:00Z  2027-01-15T09:00:00Z  11.005  3.30 EUR  final (voters dormant)     12  abababababababab
garage (7)  2027-01-15T08:00:00Z  2027-01-15T09:00:00Z   1.250  0.38 EUR  pending                    12  abababababababab

Credits: 3.68 EUR, of which pending 0.38 EUR
";
        assert_eq!(table(&bill(2)), expected);
        assert!(!table(&bill(3)).contains("self-attested"));
        let without = Bill {
            credits: Vec::new(),
            ..bill(3)
        };
        assert!(!table(&without).contains("Credited"));
    }
}
