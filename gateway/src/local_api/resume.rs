//! After the provider told two stories: the owner of a gateway picks one, and hands over what the
//! owners of others have picked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ledger::node::{Input, Pick};
use ledger::resume::Resume;
use protocol::{Hash, Signed};
use serde::{Deserialize, Serialize};

use super::{Api, Refused, refuse};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    height: u64,
    header: Hash,
}

/// Words of voters, one for each group that this gateway votes for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    words: Vec<Signed<Resume>>,
}

#[derive(Serialize)]
pub(super) struct Resumed {
    height: u64,
}

/// This gateway's voters go on with a header; answers with their words, for all other gateways.
pub(super) async fn pick(
    State(api): State<Api>,
    Json(header): Json<Header>,
) -> Result<Json<Words>, Refused> {
    let pick = Pick {
        height: header.height,
        header: header.header,
    };
    let asked = pick.clone();
    let checked = api.look(move |node| node.check_pick(&asked)).await?;
    checked.map_err(|refusal| refuse(StatusCode::CONFLICT, &refusal.to_string()))?;
    api.give(Input::Pick(pick)).await?;
    let words = api.look(|node| node.words()).await?;
    Ok(Json(Words { words }))
}

/// Goes on with what the words of all gateways, in one list and in any order, have picked.
pub(super) async fn resume(
    State(api): State<Api>,
    Json(given): Json<Words>,
) -> Result<Json<Resumed>, Refused> {
    let mut words = given.words;
    words.sort_by_key(|word| word.body.voter);
    words.dedup();
    let asked = words.clone();
    let checked = api.look(move |node| node.check_resume(&asked)).await?;
    checked.map_err(|refusal| refuse(StatusCode::CONFLICT, &refusal.to_string()))?;
    let height = words.first().map_or(0, |word| word.body.height);
    api.give(Input::Resume(words)).await?;
    Ok(Json(Resumed { height }))
}
