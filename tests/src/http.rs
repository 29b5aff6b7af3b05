//! Calls to the local and the operator API.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// A person at an outlet waits no longer either.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a call brought: its status code and its JSON.
pub(crate) type Answer = (u16, Value);

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        // A proxy of the environment is for the world outside this machine.
        .proxy(None)
        .build()
        .into()
}

/// `None` where nobody answers, such as after a kill.
pub(crate) fn get(url: &str, token: Option<&str>) -> Option<Answer> {
    let mut request = agent().get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut answer = request.call().ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.body_mut().read_json().ok()?))
}

/// As [`get`], with a body.
pub(crate) fn post(url: &str, token: Option<&str>, body: &Value) -> Option<Answer> {
    let mut request = agent().post(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut answer = request.send_json(body).ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.body_mut().read_json().ok()?))
}
