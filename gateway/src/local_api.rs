//! The local API: status, charges, and presenting an idTag, for people and programs on this
//! machine.

mod current_limit;
mod meter_exchange;
mod resume;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ledger::node::{Input, NeighbourCounts, Node, Stage};
use ledger::store::Engine;
use protocol::IdTag;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::charges::{ChargeError, Charges};
use crate::meters::{Meters, Quality};
use crate::modbus_charger::{ModbusCharger, SwipeError, Swiped};

/// What the API looks at.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) engine: Engine<Node>,
    pub(crate) charges: Arc<Charges>,
    pub(crate) meters: Meters,
    pub(crate) modbus_chargers: Arc<BTreeMap<String, Arc<ModbusCharger>>>,
}

impl Api {
    /// Gives the node an input, and waits until it is durable.
    async fn give(&self, input: Input) -> Result<(), Refused> {
        let (done, durable) = oneshot::channel();
        let given = self.engine.durably(Vec::new(), vec![input], move || {
            // Whoever asked may be gone; it is done all the same.
            let _ = done.send(());
        });
        given.map_err(|_| stopping())?;
        durable.await.map_err(|_| stopping())
    }

    /// Looks at the node between two batches.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        let looked = self.engine.look(move |node, _| {
            // Whoever asked may be gone.
            let _ = reply.send(look(node));
        });
        looked.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

fn stopping() -> Refused {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    node: Option<u32>,
    /// This gateway's key, by which others name it.
    node_key: String,
    chain: Option<Chain>,
    neighbours: Neighbours,
    meters: BTreeMap<String, Meter>,
    power: BTreeMap<String, Power>,
    running: Vec<Running>,
    outbox: Vec<Waiting>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chain {
    chain_id: String,
    /// `blocks`, or `headers` where this node is the parent of no group.
    keeps: &'static str,
    height: u64,
    tip: String,
    state_root: String,
    /// The newest final block; where only headers are kept, the newest one that a charge of this
    /// node was proven to be final in.
    final_height: u64,
    /// Why nothing is built on it any more, where the provider broke a rule.
    stopped: Option<String>,
}

/// Other gateways: how many are remembered and linked, and what came of them since the start.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Neighbours {
    known: usize,
    linked: usize,
    heads_compared: u64,
    authorize_answered: u64,
    foreign_headers: u64,
    false_evidence: u64,
}

impl From<NeighbourCounts> for Neighbours {
    fn from(counts: NeighbourCounts) -> Self {
        Self {
            known: counts.known,
            linked: counts.up,
            heads_compared: counts.heads_compared,
            authorize_answered: counts.authorize_answered,
            foreign_headers: counts.foreign_headers,
            false_evidence: counts.false_evidence,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meter {
    register_wh: Option<u64>,
    power_w: Option<u32>,
    read_at: Option<String>,
    quality: Quality,
    fault: Option<String>,
}

/// What switches and limits a charger without OCPP.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Power {
    /// Whether a charge is to have power.
    wanted: bool,
    /// As its devices said last; `null` where they did not.
    on: Option<bool>,
    current_limit_ma: Option<u32>,
    /// Why it is not known to be as it is wanted. It is tried again until it is.
    fault: Option<String>,
    /// Why the last charge lost its power; gone when the next one gets some.
    lost: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    transaction: i32,
    charge_point: String,
    outlet: String,
    register_start_wh: u64,
    register_wh: u64,
    saved_register_wh: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    /// Names the charge, to release it where it is held.
    number: u64,
    outlet: String,
    energy_wh: u64,
    stage: &'static str,
    held_because: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Swipe {
    id_tag: IdTag,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "did")]
enum SwipeAnswer {
    Began { transaction: i32 },
    Ended { energy_wh: u64 },
}

#[derive(Serialize)]
struct Released {
    number: u64,
}

#[derive(Serialize)]
struct Problem {
    error: String,
}

type Refused = (StatusCode, Json<Problem>);

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, api: Api) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/chargers/{id}/swipe", post(swipe))
        .route("/v1/outbox/{number}/release", post(release))
        .route(
            "/v1/outlets/{outlet}/meter-exchange",
            post(meter_exchange::exchange),
        )
        .route(
            "/v1/outlets/{outlet}/current-limit",
            post(current_limit::set),
        )
        .route("/v1/resume/pick", post(resume::pick))
        .route("/v1/resume", post(resume::resume))
        .with_state(api)
        .layer(middleware::from_fn(only_for_this_machine));
    axum::serve(listener, router).await
}

/// Refuses what a web page elsewhere sends through somebody's browser under a name of its own.
async fn only_for_this_machine(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    match host.is_some_and(is_this_machine) {
        true => next.run(request).await,
        false => refuse(
            StatusCode::FORBIDDEN,
            "call this machine by 127.0.0.1, [::1] or localhost",
        )
        .into_response(),
    }
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    // Every address the configuration lets it listen on; a rebound name is never a bare address.
    let address = name.trim_start_matches('[').trim_end_matches(']').parse();
    name == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

async fn status(State(api): State<Api>) -> Result<Json<Status>, Refused> {
    let looked = api.look(|node| {
        let counts = node.neighbour_counts();
        (node.id(), node.key(), chain(node), counts, outbox(node))
    });
    let (node, key, chain, counts, outbox) = looked.await?;
    Ok(Json(Status {
        node: node.map(|id| id.0),
        node_key: key.to_string(),
        chain,
        neighbours: counts.into(),
        meters: meters(&api.meters),
        power: power(&api.modbus_chargers),
        running: running(&api.charges),
        outbox,
    }))
}

fn chain(node: &Node) -> Option<Chain> {
    let progress = node.progress()?;
    Some(Chain {
        chain_id: progress.chain_id.to_string(),
        keeps: match progress.is_headers_only {
            true => "headers",
            false => "blocks",
        },
        height: progress.height,
        tip: progress.tip.to_string(),
        state_root: progress.state_root.to_string(),
        final_height: progress.final_height,
        stopped: node.stopped().map(str::to_owned),
    })
}

fn outbox(node: &Node) -> Vec<Waiting> {
    node.charges()
        .map(|charge| {
            let (stage, held_because) = match &charge.stage {
                Stage::Measured => ("measured", None),
                Stage::Held { reason } => ("held", Some(reason.clone())),
                Stage::Signed { receipt: None, .. } => ("signed", None),
                Stage::Signed { .. } => ("receipted", None),
            };
            Waiting {
                number: charge.number,
                outlet: charge.measured.outlet.clone(),
                energy_wh: charge.measured.energy.0,
                stage,
                held_because,
            }
        })
        .collect()
}

fn meters(meters: &Meters) -> BTreeMap<String, Meter> {
    meters
        .states()
        .map(|(name, state)| {
            let quality = state.quality();
            let reading = state.newest.map(|newest| newest.reading);
            let meter = Meter {
                register_wh: reading.as_ref().map(|reading| reading.register.0),
                power_w: reading.as_ref().and_then(|reading| Some(reading.power?.0)),
                read_at: reading.map(|reading| reading.taken_at.to_string()),
                quality,
                fault: state.fault,
            };
            (name.to_owned(), meter)
        })
        .collect()
}

fn power(chargers: &BTreeMap<String, Arc<ModbusCharger>>) -> BTreeMap<String, Power> {
    let states = chargers.iter().filter_map(|(id, charger)| {
        let state = charger.power()?.state();
        let power = Power {
            wanted: state.is_wanted,
            on: state.is_on,
            current_limit_ma: state.limit_ma,
            fault: state.fault,
            lost: state.lost,
        };
        Some((id.clone(), power))
    });
    states.collect()
}

fn running(charges: &Charges) -> Vec<Running> {
    let mut records = charges.all();
    records.retain(|record| record.ended.is_none());
    records
        .into_iter()
        .map(|record| Running {
            transaction: record.charge.transaction_id,
            charge_point: record.charge.charge_point,
            outlet: record.outlet,
            register_start_wh: record.charge.register_start.0,
            register_wh: record.charge.last.register.0,
            saved_register_wh: record.saved.register.0,
        })
        .collect()
}

async fn swipe(
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(swipe): Json<Swipe>,
) -> Result<Json<SwipeAnswer>, Refused> {
    let Some(charger) = api.modbus_chargers.get(&id) else {
        let text = "no [[modbus_charger]] has this id";
        return Err(refuse(StatusCode::NOT_FOUND, text));
    };
    // On its own: whoever asked may go away, and what has begun is done to its end.
    let charger = Arc::clone(charger);
    let swiped = tokio::spawn(async move { charger.swipe(&swipe.id_tag).await });
    let swiped = swiped.await.map_err(|_| {
        let text = "the swipe has failed; this is a bug, please report it with the log";
        refuse(StatusCode::INTERNAL_SERVER_ERROR, text)
    })?;
    match swiped {
        Ok(Swiped::Began { transaction }) => Ok(Json(SwipeAnswer::Began { transaction })),
        Ok(Swiped::Ended(ended)) => Ok(Json(SwipeAnswer::Ended {
            energy_wh: ended.energy.0,
        })),
        Err(error) => Err(refuse(status_of(&error), &error.to_string())),
    }
}

/// Lets a held charge be billed as it was measured; answers when that is durable.
async fn release(
    State(api): State<Api>,
    Path(number): Path<u64>,
) -> Result<Json<Released>, Refused> {
    match stage_of(&api, number).await? {
        None => {
            let text = "no charge of this number waits here";
            return Err(refuse(StatusCode::NOT_FOUND, text));
        }
        Some(Stage::Held { .. }) => {}
        Some(_) => {
            let text = "this charge is not held";
            return Err(refuse(StatusCode::CONFLICT, text));
        }
    }
    api.give(Input::Release { number }).await?;
    match stage_of(&api, number).await? {
        Some(Stage::Held { reason }) => Err(refuse(StatusCode::CONFLICT, &reason)),
        _ => Ok(Json(Released { number })),
    }
}

/// How far a charge of the outbox is.
async fn stage_of(api: &Api, number: u64) -> Result<Option<Stage>, Refused> {
    let looked = api.look(move |node| {
        let mut charges = node.charges();
        let charge = charges.find(|charge| charge.number == number);
        charge.map(|charge| charge.stage.clone())
    });
    looked.await
}

fn status_of(error: &SwipeError) -> StatusCode {
    match error {
        SwipeError::Refused(_) => StatusCode::FORBIDDEN,
        SwipeError::NotYours
        | SwipeError::OutOfService
        | SwipeError::Charge(ChargeError::Busy(_) | ChargeError::Idle(_)) => StatusCode::CONFLICT,
        SwipeError::Power(_) | SwipeError::Charge(ChargeError::Meter(_)) => StatusCode::BAD_GATEWAY,
        SwipeError::Charge(ChargeError::Stopped | ChargeError::Interrupted(_)) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

fn refuse(status: StatusCode, error: &str) -> Refused {
    let error = error.to_owned();
    (status, Json(Problem { error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_own_names_are_served() {
        for own in [
            "127.0.0.1:7410",
            "127.0.0.2:7410",
            "[::1]:7410",
            "localhost",
            "[::1]",
        ] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in [
            "evil.example:7410",
            "127.0.0.1.evil.example",
            "10.0.0.1:7410",
            "",
            ":7410",
        ] {
            assert!(!is_this_machine(other), "{other}");
        }
    }
}
