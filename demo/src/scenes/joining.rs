//! A provider, three gateways, three groups.

use serde_json::{Value, json};

use super::{Attacker, altered_profile, is_accepted};
use crate::claims::Claim;
use crate::stage::Stage;
use crate::wire::Upstream;
use crate::world::{
    CREDIT_PER_KWH_CENTS, Gateway, GatewayPlan, Meter, PRICE_PER_KWH_CENTS, Provider, World,
};

const A: GatewayPlan = GatewayPlan {
    name: "A",
    place: "depot",
    group: "FLEET",
    id_tags: &["FLEET-CAR-1"],
    member_id_tags: &["FLEET-VAN-2"],
    outlet: "depot",
    charge_point: None,
    serial: 21_070_001,
    register_wh: 812_004,
};
const B: GatewayPlan = GatewayPlan {
    name: "B",
    place: "yard",
    group: "FLEET",
    id_tags: &["FLEET-VAN-2"],
    member_id_tags: &[],
    outlet: "yard",
    charge_point: Some("CP-1"),
    serial: 21_070_002,
    register_wh: 350_120,
};
const C: GatewayPlan = GatewayPlan {
    name: "C",
    place: "home",
    group: "HOUSEHOLD",
    id_tags: &["HOME-CAR"],
    member_id_tags: &[],
    outlet: "garage",
    charge_point: None,
    serial: 21_070_003,
    register_wh: 1_234_567,
};

/// Starts everyone.
pub(super) async fn play(stage: &Stage) -> anyhow::Result<(World, Attacker)> {
    stage.act("Joining: a provider, three gateways, three groups");
    let provider = Provider::start(stage).await?;
    stage.happened(
        &format!(
            "a provider: rounds of {} s, 0.{PRICE_PER_KWH_CENTS} EUR a kWh, \
             0.{CREDIT_PER_KWH_CENTS} of it for the host",
            stage.pace.interval_s
        ),
        "it orders, enrols and prices; no charge has to be trusted to it",
    );
    let upstream = Upstream::new(provider.links);
    let (a, c) = tokio::try_join!(
        start(stage, A, &provider, &upstream),
        start(stage, C, &provider, &upstream),
    )?;
    registered(stage, "A").await?;
    registered(stage, "C").await?;
    let attacker = altered_profile::join(stage, &provider, &upstream).await?;
    stage.happened(
        "A, a depot, is parent of FLEET; C, a home, of HOUSEHOLD; T of TAXI",
        "each is a process with its own key and disk, let in by a one-time token",
    );
    let b = start(stage, B, &provider, &upstream).await?;
    vouched(stage).await?;
    let world = World {
        provider,
        upstream,
        a,
        b,
        c,
    };
    meters(stage, &world).await?;
    Ok((world, attacker))
}

async fn start(
    stage: &Stage,
    plan: GatewayPlan,
    provider: &Provider,
    upstream: &Upstream,
) -> anyhow::Result<Gateway> {
    let meter = Meter::start(plan.serial, plan.register_wh, stage.pace.full).await?;
    Gateway::start(stage, plan, meter, provider, upstream).await
}

/// Each gateway reads what its meter shows.
async fn meters(stage: &Stage, world: &World) -> anyhow::Result<()> {
    let mut holds = true;
    let mut facts = Vec::new();
    for gateway in world.gateways() {
        let shown = gateway.meter.register_wh();
        let read = gateway.register_once(shown).await?;
        holds &= read == shown;
        facts.push(json!({"node": gateway.plan.name, "shownWh": shown, "readWh": read}));
    }
    stage.claim(&Claim {
        name: "meters-read",
        says: "A, B and C each read an SDM630, register by register, on Modbus TCP".to_owned(),
        why: "of all that follows, what these registers count is billed",
        holds,
        facts: json!(facts),
    });
    Ok(())
}

/// Waits until the node's own idTag is registered.
async fn registered(stage: &Stage, node: &str) -> anyhow::Result<()> {
    let what = format!("the registration of {node}'s idTag");
    let wire = &stage.wire;
    wire.find(&what, 0, |seen| {
        let ack = seen.answered_to(node, "Register")?;
        is_accepted(ack).then_some(())
    })
    .await
}

/// The paper's sequence for a group's later member.
async fn vouched(stage: &Stage) -> anyhow::Result<()> {
    let wire = &stage.wire;
    let find = async |what: &str, is_it: &dyn Fn(&crate::wire::Seen) -> Option<Value>| {
        let found = |seen: &crate::wire::Seen| Some((seen.number, is_it(seen)?));
        wire.find(what, 0, found).await
    };
    let (register, asked) = find("B's Register", &|seen| {
        seen.asked_by("B", "Register").cloned()
    })
    .await?;
    let (check, checked) = find("CheckAuth to A", &|seen| {
        seen.asked_of("A", "CheckAuth").cloned()
    })
    .await?;
    let (word, said) = find("A's CheckAuthAck", &|seen| {
        seen.answered_by("A", "CheckAuth").cloned()
    })
    .await?;
    let (ack, answered) = find("B's RegisterAck", &|seen| {
        seen.answered_to("B", "Register").cloned()
    })
    .await?;
    let is_same = asked["idTag"] == checked["idTag"] && asked["groupId"] == checked["groupId"];
    let is_in_order = register < check && check < word && word < ack;
    stage.claim(&Claim {
        name: "the-parent-vouches",
        says: "B, the fleet's yard, registers FLEET-VAN-2: A is asked and vouches".to_owned(),
        why: "Register, CheckAuth, RegisterAck: who pays decides who belongs",
        holds: is_same && is_in_order && is_accepted(&said) && is_accepted(&answered),
        facts: json!({
            "idTag": asked["idTag"], "groupId": asked["groupId"],
            "messages": [register, check, word, ack],
            "parentSaid": said["status"],
        }),
    });
    Ok(())
}
