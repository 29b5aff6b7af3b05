//! Three charges at two outlets, two of them the fleet's.

use anyhow::Context as _;
use ledger::Frame;
use ledger::apply::parent_key;
use protocol::message::AuthorizeAck;
use serde_json::json;

use super::{Charge, kwh};
use crate::claims::Claim;
use crate::stage::Stage;
use crate::world::{Charger, FULL_WH, Gateway, TOP_UP_WH, World};

/// Fleet, household and taxi.
const GROUPS: usize = 3;

/// Who charges, and who is to pay for it.
#[derive(Clone, Copy)]
struct Guest {
    id_tag: &'static str,
    payer: &'static str,
}

const VAN: Guest = Guest {
    id_tag: "FLEET-VAN-2",
    payer: "FLEET",
};
const FLEET_CAR: Guest = Guest {
    id_tag: "FLEET-CAR-1",
    payer: "FLEET",
};
const HOME_CAR: Guest = Guest {
    id_tag: "HOME-CAR",
    payer: "HOUSEHOLD",
};

/// Lets them charge, both outlets at the same time.
pub(super) async fn play(stage: &Stage, world: &World) -> anyhow::Result<Vec<Charge>> {
    stage.act("Charging: at the fleet's yard, and at somebody else's outlet");
    let (van, [fleet_car, home_car]) =
        tokio::try_join!(at_the_yard(stage, &world.b), at_home(stage, &world.c))?;
    let charges = vec![van, fleet_car, home_car];
    receipts(stage, &charges);
    witnesses(stage, &charges).await?;
    grants(stage, world).await?;
    Ok(charges)
}

async fn at_the_yard(stage: &Stage, b: &Gateway) -> anyhow::Result<Charge> {
    let id = b.plan.charge_point.context("B has a charge point")?;
    let charger = Charger::boot(&b.ocpp, id).await?;
    charger.authorize(VAN.id_tag).await?;
    let transaction = charger.start(VAN.id_tag).await?;
    stage.happened(
        "FLEET-VAN-2 plugs in at B's OCPP 1.6J charge point; A signs a grant",
        "Authorize: any gateway can check the grant, also without a network",
    );
    let metered_wh = b.meter.charge(FULL_WH, enrolled(stage)).await?;
    charger.stop(transaction, VAN.id_tag).await?;
    measured(stage, b, VAN, metered_wh).await
}

async fn at_home(stage: &Stage, c: &Gateway) -> anyhow::Result<[Charge; 2]> {
    stage.happened(
        "FLEET-CAR-1 plugs in at C's garage: no OCPP there, a card and a meter",
        "the paper's case: the fleet must pay, the household be refunded",
    );
    let metered_wh = c.charge_by_swipe(FLEET_CAR.id_tag, FULL_WH, enrolled(stage));
    let metered_wh = metered_wh.await?;
    let fleet_car = measured(stage, c, FLEET_CAR, metered_wh).await?;
    stage.happened(
        "then the household's own HOME-CAR, at the same outlet",
        "the idTag decides who pays, not the owner of the place",
    );
    let metered_wh = c.charge_by_swipe(HOME_CAR.id_tag, TOP_UP_WH, async { Ok(()) });
    let metered_wh = metered_wh.await?;
    let home_car = measured(stage, c, HOME_CAR, metered_wh).await?;
    Ok([fleet_car, home_car])
}

/// Waits for the block that enrols the groups. A charge that ended before would be as good, but its
/// group's parent could not seal it yet: it would be in the block's late section.
async fn enrolled(stage: &Stage) -> anyhow::Result<()> {
    let wire = &stage.wire;
    wire.chain_has("the block that enrols the groups", |chain| {
        (chain.state().groups.len() >= GROUPS).then_some(())
    })
    .await
}

/// Waits for what follows from a charge on the wire: its profile and its receipt.
async fn measured(
    stage: &Stage,
    gateway: &Gateway,
    guest: Guest,
    metered_wh: u64,
) -> anyhow::Result<Charge> {
    let name = gateway.plan.name;
    let charge = submitted(stage, gateway, guest.id_tag, guest.payer, metered_wh).await?;
    stage.happened(
        &format!(
            "{} unplugs after {}: signed by {name}, receipt for round {}",
            guest.id_tag,
            kwh(metered_wh),
            charge.receipt.body.round
        ),
        "",
    );
    Ok(charge)
}

/// The node's newest charge as it went over the wire, with its receipt.
pub(super) async fn submitted(
    stage: &Stage,
    gateway: &Gateway,
    id_tag: &'static str,
    payer: &'static str,
    metered_wh: u64,
) -> anyhow::Result<Charge> {
    let name = gateway.plan.name;
    // The same meter never shows the same register twice: that finds the charge.
    let ends_at = gateway.meter.register_wh();
    let what = format!("the profile of {id_tag}'s charge");
    let profile = stage.wire.find(&what, 0, |seen| match seen.sent_by(name)? {
        Frame::Profile(submission) => {
            let end = submission.profile.body.register_end()?;
            (end.0 == ends_at).then(|| submission.profile.clone())
        }
        _ => None,
    });
    let profile = profile.await?;
    let hash = profile.hash();
    let what = format!("the receipt for {id_tag}'s charge");
    let receipt = stage.wire.find(&what, 0, |seen| match seen.got_by(name)? {
        Frame::Receipt(receipt) if receipt.body.profile == hash => Some(receipt.clone()),
        _ => None,
    });
    Ok(Charge {
        id_tag,
        payer,
        node: name,
        outlet: gateway.plan.outlet,
        owner: gateway.plan.group,
        metered_wh,
        receipt: receipt.await?,
        profile,
    })
}

fn receipts(stage: &Stage, charges: &[Charge]) {
    let is_signed = |charge: &Charge| {
        let verified = stage.wire.chain(|chain| {
            let genesis = &chain.state().genesis;
            let receipt = &charge.receipt;
            receipt.verify(&genesis.provider_key, &genesis.chain_id())
        });
        matches!(verified, Some(Ok(())))
    };
    let is_exact = |charge: &Charge| u64::from(charge.profile.body.energy_wh) == charge.metered_wh;
    let facts: Vec<_> = charges
        .iter()
        .map(|charge| {
            json!({
                "idTag": charge.id_tag, "node": charge.node, "meteredWh": charge.metered_wh,
                "signedWh": charge.profile.body.energy_wh, "profile": charge.hash(),
                "round": charge.receipt.body.round,
            })
        })
        .collect();
    stage.claim(&Claim {
        name: "metered-is-signed",
        says: "each profile says what its meter counted, each has its receipt".to_owned(),
        why: "from here on nobody can change it: driver, host, parent or provider",
        holds: charges
            .iter()
            .all(|charge| is_signed(charge) && is_exact(charge)),
        facts: json!(facts),
    });
}

/// Each charge is shown to a group that does not pay for it.
async fn witnesses(stage: &Stage, charges: &[Charge]) -> anyhow::Result<()> {
    let mut facts = Vec::new();
    for charge in charges {
        let witness = match charge.payer {
            "HOUSEHOLD" => "A",
            _ => "C",
        };
        let hash = charge.hash();
        let what = format!("{}'s charge at its witness {witness}", charge.id_tag);
        let message = stage
            .wire
            .find(&what, 0, |seen| match seen.got_by(witness)? {
                Frame::Witness(shown) if shown.profile.hash() == hash => Some(seen.number),
                _ => None,
            });
        facts.push(json!({
            "profile": hash, "payer": charge.payer, "witness": witness,
            "message": message.await?,
        }));
    }
    stage.claim(&Claim {
        name: "witnessed",
        says: "each was shown to a group that does not pay for it".to_owned(),
        why: "a witness votes for no block that leaves out what it saw promised",
        holds: facts.len() == charges.len(),
        facts: json!(facts),
    });
    Ok(())
}

/// Both grants are the fleet's parent's.
async fn grants(stage: &Stage, world: &World) -> anyhow::Result<()> {
    let state = stage.wire.chain(|chain| chain.state().clone());
    let state = state.context("both charges waited for its first block")?;
    let parent = stage.wire.find("A's number", 0, |seen| {
        seen.answered_to(world.a.plan.name, "Join")?["node"].as_u64()
    });
    let parent = parent.await?;
    let mut facts = Vec::new();
    let mut holds = true;
    for node in [world.b.plan.name, world.c.plan.name] {
        let what = format!("A's grant for {node}");
        let grant = stage.wire.find(&what, 0, |seen| {
            let payload = seen.answered_to(node, "Authorize")?.clone();
            let ack: AuthorizeAck = serde_json::from_value(payload).ok()?;
            ack.grant
        });
        let grant = grant.await?;
        let key = parent_key(&state, grant.body.group);
        let is_signed = key.is_some_and(|key| grant.verify(&key, &state.chain_id()).is_ok());
        let group = state.groups.get(&grant.body.group);
        let is_parents = group.is_some_and(|group| u64::from(group.parent.0) == parent);
        holds &= is_signed && is_parents;
        facts.push(json!({
            "node": node, "grant": grant.body.id(), "group": grant.body.group,
            "parent": parent, "signedBy": key,
        }));
    }
    stage.claim(&Claim {
        name: "granted-by-the-parent",
        says: "block 1 enrols the groups: B's and C's grants have their parent's key".to_owned(),
        why: "no charge enters the chain without the word of whoever pays",
        holds,
        facts: json!(facts),
    });
    Ok(())
}
