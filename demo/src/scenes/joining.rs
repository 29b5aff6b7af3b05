//! Act 1: a provider, three gateways, two groups.

use serde_json::{Value, json};

use super::is_accepted;
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
pub(super) async fn play(stage: &Stage) -> anyhow::Result<World> {
    stage.act("Joining: a provider, three gateways, two groups");
    let provider = Provider::start(&stage.dir, &stage.pace, &stage.children).await?;
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
    stage.happened(
        "A, a fleet's depot, is parent of FLEET; C, a home, of HOUSEHOLD",
        "each is a process with its own key and disk, let in by a one-time token",
    );
    let b = start(stage, B, &provider, &upstream).await?;
    vouched(stage).await?;
    Ok(World {
        provider,
        _upstream: upstream,
        a,
        b,
        c,
    })
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
