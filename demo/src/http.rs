//! Calls to the operator API and the local APIs.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use ureq::{Agent, RequestBuilder};

/// A person at an outlet waits no longer either.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What is served at an address.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// Such as `http://127.0.0.1:7410/v1`.
    pub(crate) base: String,
    /// The operator's token, where one is asked for.
    pub(crate) token: Option<String>,
}

impl Api {
    /// Asks for `path`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(path, None).await
    }

    /// Gives `body` to `path`.
    pub(crate) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(path, Some(body)).await
    }

    async fn call(&self, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let (url, token) = (format!("{}/{path}", self.base), self.token.clone());
        let called = tokio::task::spawn_blocking(move || call(&url, token.as_deref(), body));
        called.await.context("the call was cancelled")?
    }
}

fn call(url: &str, token: Option<&str>, body: Option<Value>) -> anyhow::Result<Value> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        // A proxy of the environment is for the world outside this machine.
        .proxy(None)
        .build()
        .into();
    let bearer = token.map(|token| format!("Bearer {token}"));
    let answer = match body {
        None => authorised(agent.get(url), bearer).call(),
        Some(body) => authorised(agent.post(url), bearer).send_json(body),
    };
    let mut answer = answer.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    let said: Value = answer.body_mut().read_json()?;
    ensure!(status.is_success(), "{url} answers {status}: {said}");
    Ok(said)
}

fn authorised<B>(request: RequestBuilder<B>, bearer: Option<String>) -> RequestBuilder<B> {
    match bearer {
        Some(bearer) => request.header("authorization", bearer),
        None => request,
    }
}
