//! Slack's Web API over HTTP (`https://docs.slack.dev/apis/web-api`). Every error comes out as what is to be done about it,
//! and none names a token.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect};
use serde_json::Value;

use super::failures;
use crate::bridge::platform::{Failure, causes};

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(40);
/// No answer of the Web API is larger.
const LONGEST: u64 = 16 << 20;

/// An answer with `"ok": true`.
#[derive(Debug)]
pub struct Answer {
    /// All of it.
    pub value: Value,
    /// What the token may do, where Slack says it (the header `x-oauth-scopes`).
    pub scopes: Option<Vec<String>>,
}

/// A connection to the Web API.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    bot: String,
    app: String,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Api {
    /// Of the server at `base`, with the two tokens. A server on this machine is never reached through a proxy.
    pub fn new(base: &str, bot: &str, app: &str) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        // Nothing is followed: a redirect could lead a file with the token in its header to another host.
        let mut client = Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(Duration::from_secs(15))
            .redirect(redirect::Policy::none());
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        if local.iter().any(|local| base.starts_with(local)) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| Failure::Broken(error.to_string()))?;
        Ok(Self { client, base, bot: bot.to_owned(), app: app.to_owned() })
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Calls a method that takes JSON.
    pub async fn post(&self, method: &str, body: &Value) -> Result<Value, Failure> {
        // With a charset Slack has nothing to warn of.
        let request = self
            .client
            .post(self.url(method))
            .bearer_auth(&self.bot)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body.to_string());
        Ok(answer(method, request).await?.value)
    }

    /// Calls a method that takes arguments, as all do that only read.
    pub async fn get(&self, method: &str, arguments: &[(&str, &str)]) -> Result<Value, Failure> {
        let request = self.client.get(self.url(method)).bearer_auth(&self.bot).query(arguments);
        Ok(answer(method, request).await?.value)
    }

    /// Who the bot is, and what it may do.
    pub async fn whoami(&self) -> Result<Answer, Failure> {
        answer("auth.test", self.client.post(self.url("auth.test")).bearer_auth(&self.bot)).await
    }

    /// An address for one connection of Socket Mode.
    pub async fn socket_address(&self) -> Result<String, Failure> {
        let method = "apps.connections.open";
        let answer = answer(method, self.client.post(self.url(method)).bearer_auth(&self.app)).await?;
        let url = answer.value.get("url").and_then(Value::as_str).unwrap_or_default();
        match url.starts_with("wss://") || (url.starts_with("ws://") && self.base.starts_with("http://")) {
            true => Ok(url.to_owned()),
            false => Err(Failure::Unsure("Slack gave no address for Socket Mode".to_owned())),
        }
    }

    /// Brings a file's bytes to the address that Slack gave for it, without a token.
    pub async fn upload(&self, url: &str, bytes: Bytes) -> Result<(), Failure> {
        let request =
            self.client.post(url).header(header::CONTENT_TYPE, "application/octet-stream").body(bytes);
        let response = request.send().await.map_err(broken_off)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS => Err(failures::slow("an upload", retry_after(&response))),
            status => Err(Failure::Unsure(format!("Slack did not take a file: it answered {status}"))),
        }
    }

    /// Fetches a file with the bot's token. The address was checked.
    pub async fn download(&self, url: &str, limit: u64) -> Result<(Option<String>, Bytes), Failure> {
        let response = self.client.get(url).bearer_auth(&self.bot).send().await.map_err(broken_off)?;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            return Err(failures::slow("a download", retry_after(&response)));
        }
        if !response.status().is_success() {
            return Err(Failure::Refused(format!("Slack answered {}", response.status())));
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        Ok((kind, read(response, limit).await?))
    }

    fn url(&self, method: &str) -> String {
        format!("{}/{method}", self.base)
    }
}

async fn answer(method: &str, request: RequestBuilder) -> Result<Answer, Failure> {
    let response = request.send().await.map_err(broken_off)?;
    let (status, after) = (response.status(), retry_after(&response));
    let scopes = response.headers().get("x-oauth-scopes").and_then(|scopes| scopes.to_str().ok());
    let scopes = scopes
        .map(|scopes| scopes.split(',').map(|scope| scope.trim().to_owned()).collect())
        .filter(|scopes: &Vec<String>| scopes.iter().any(|scope| !scope.is_empty()));
    let bytes = read(response, LONGEST).await;
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(failures::slow(method, after));
    }
    let value: Option<Value> = bytes.as_ref().ok().and_then(|bytes| serde_json::from_slice(bytes).ok());
    let Some(value) = value.filter(Value::is_object) else {
        // An edge in front of Slack answers in HTML; what was asked may have happened or not.
        bytes?;
        return Err(Failure::Unsure(format!("Slack is ill: it answered {method} with {status} and no JSON")));
    };
    match value.get("ok").and_then(Value::as_bool) {
        Some(true) if status.is_success() => Ok(Answer { value, scopes }),
        Some(false) => match failures::of(method, &value) {
            Failure::Slow { .. } => Err(failures::slow(method, after)),
            failure => Err(failure),
        },
        _ => Err(Failure::Unsure(format!("Slack is ill: it answered {method} with {status}"))),
    }
}

/// What `Retry-After` says, however long it is.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    // Slack gives whole seconds; a proxy may give others.
    let seconds: f64 = value.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads a body, but no more than `limit` bytes of it.
async fn read(mut response: Response, limit: u64) -> Result<Bytes, Failure> {
    let mut read = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(broken_off)? {
        if read.len() as u64 + chunk.len() as u64 > limit {
            return Err(Failure::Refused(format!("it is larger than {} MiB", limit >> 20)));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}

/// It is not known whether it happened.
fn broken_off(error: reqwest::Error) -> Failure {
    Failure::Unsure(format!("Slack cannot be reached: {}", causes(error)))
}
