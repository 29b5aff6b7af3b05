//! The operator API: HTTP/1.1 on loopback, JSON, authorised by the operator's token.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ledger::Provider;
use ledger::provider::{Input, Standing};
use ledger::store::Engine;
use protocol::{Hash, IdTag};
use tokio::sync::oneshot;

use crate::api::{Chain, NewToken, Overridden, Refusal, Sealing, Token};
use crate::bill::{BillError, gather};
use crate::evidence::{EvidenceError, list};
use crate::fanout::now;
use crate::state_dir::random;
use crate::store::Blocks;

/// Groups that one token may claim.
const MAX_GROUPS: usize = 64;

/// What the API needs.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) engine: Engine<Provider>,
    pub(crate) blocks: Arc<Blocks>,
    /// SHA-256 of the operator's token: comparing hashes tells no one how much was right.
    pub(crate) token: Hash,
}

/// The API's routes.
pub(crate) fn router(operator: Operator) -> Router {
    let operator = Arc::new(operator);
    Router::new()
        .route("/v1/tokens", post(create_token))
        .route("/v1/bills/{group}", get(bill))
        .route("/v1/chain", get(chain))
        .route("/v1/evidence", get(evidence))
        .route("/v1/seal-without-reports", post(seal_without_reports))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .layer(from_fn_with_state(Arc::clone(&operator), authorise))
        .with_state(operator)
}

async fn authorise(
    State(operator): State<Arc<Operator>>,
    request: Request,
    next: Next,
) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    let token = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if token.is_some_and(|token| Hash::of(token.as_bytes()) == operator.token) {
        return next.run(request).await;
    }
    refusal(
        StatusCode::UNAUTHORIZED,
        "send Authorization: Bearer and the text in state_dir/operator.token",
    )
}

async fn create_token(
    State(operator): State<Arc<Operator>>,
    asked: Result<Json<NewToken>, JsonRejection>,
) -> Response {
    let groups: BTreeSet<IdTag> = match asked {
        Ok(Json(asked)) => asked.groups.into_iter().collect(),
        Err(rejection) => return refusal(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    if groups.is_empty() || groups.len() > MAX_GROUPS {
        let words = format!("name 1 to {MAX_GROUPS} groups for a token");
        return refusal(StatusCode::BAD_REQUEST, &words);
    }
    let token = match random::<16>() {
        Ok(bytes) => hex::encode(bytes),
        Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.line()),
    };
    let input = Input::CreateToken {
        token: Hash::of(token.as_bytes()),
        groups,
    };
    let (sender, durable) = oneshot::channel();
    let done = move || {
        // Whoever asked may have gone away; the token is then never known to anyone.
        let _ = sender.send(());
    };
    if operator
        .engine
        .durably(Vec::new(), vec![input], done)
        .is_err()
        || durable.await.is_err()
    {
        return stopping();
    }
    Json(Token { token }).into_response()
}

async fn bill(State(operator): State<Arc<Operator>>, Path(group): Path<String>) -> Response {
    let Ok(group) = IdTag::parse(&group) else {
        return refused(&BillError::UnknownGroup);
    };
    match gather(&operator.engine, &operator.blocks, group).await {
        Ok(bill) => Json(bill).into_response(),
        Err(error) => refused(&error),
    }
}

async fn chain(State(operator): State<Arc<Operator>>) -> Response {
    let (sender, seen) = oneshot::channel();
    let look = move |provider: &Provider, _: &_| {
        let state = provider.state();
        // Whoever asked may have gone away.
        let _ = sender.send(Chain {
            chain_id: state.chain_id(),
            provider_key: state.genesis.provider_key,
            height: state.height,
            tip: state.tip,
            final_height: state.final_height,
            round: state.round,
            state_root: state.root(),
            voters: state.groups.len() as u64,
            sealing: sealing(provider.standing(now())),
        });
    };
    if operator.engine.look(look).is_err() {
        return stopping();
    }
    match seen.await {
        Ok(chain) => Json(chain).into_response(),
        Err(_) => stopping(),
    }
}

/// If the store is an older copy of the provider's, this convicts it; see the command of this name.
async fn seal_without_reports(State(operator): State<Arc<Operator>>) -> Response {
    tracing::warn!("the operator has it seal without the reports of its gateways");
    match operator.engine.input(Input::SealWithoutReports) {
        Ok(()) => Json(Overridden {}).into_response(),
        Err(_) => stopping(),
    }
}

async fn evidence(State(operator): State<Arc<Operator>>) -> Response {
    match list(&operator.engine, &operator.blocks).await {
        Ok(convictions) => Json(convictions).into_response(),
        Err(error @ EvidenceError::Stopping) => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
        Err(error @ EvidenceError::Store(_)) => {
            refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
    }
}

fn sealing(standing: Standing) -> Sealing {
    Sealing {
        goes_on: standing.goes_on,
        voters: standing.voters,
        heard: standing.heard,
        behind: standing.behind,
        two_headers: standing.contradicted,
        missing: standing.missing,
    }
}

fn refused(error: &BillError) -> Response {
    let status = match error {
        BillError::UnknownGroup => StatusCode::NOT_FOUND,
        BillError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        BillError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refusal(status, &error.to_string())
}

fn stopping() -> Response {
    refused(&BillError::Stopping)
}

fn refusal(status: StatusCode, words: &str) -> Response {
    let error = words.to_owned();
    (status, Json(Refusal { error })).into_response()
}
