//! Discord's API over HTTP (v10, `https://discord.com/developers/docs/reference`). Routes, forms and the limiter are
//! twilight's. The transport is ours, because twilight's repeats a call at once and for ever when it is told to wait
//! by other words than those of its limiter, and loses the status of an error that is no JSON.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::header::HeaderMap;
use reqwest::{Client, Url, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;
use twilight_http::request::Request;
use twilight_http_ratelimiting::{Endpoint, Method, Permit, RateLimitHeaders, RateLimiter};

use super::words::{Trouble, complaint};
use crate::bridge::platform::{Failure, causes};

/// A call ends within this; an upload may need most of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A pause that is waited for in the call itself; a longer one is handed on, so that others have their turn meanwhile.
const SHORT: Duration = Duration::from_millis(1_500);
/// So often is one call made when Discord asks for short pauses.
const TRIES: usize = 3;
/// No answer is larger.
const LONGEST: usize = 8 << 20;
/// Where Discord keeps what people attach.
const FILE_HOSTS: [&str; 2] = ["cdn.discordapp.com", "media.discordapp.net"];
/// As Discord wants bots to call themselves.
const AGENT: &str = concat!("DiscordBot (tether, ", env!("CARGO_PKG_VERSION"), ")");

/// A connection to the API. Clones are the same one.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    client: Client,
    base: Url,
    token: String,
    /// Made in the runtime that uses it, and anew when it fails.
    limiter: Mutex<Option<RateLimiter>>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("base", &self.0.base.as_str()).finish_non_exhaustive()
    }
}

impl Http {
    /// Of the server at `base` (with or without `/api/v10` behind), for the bot of this token.
    pub fn new(base: &str, token: &str) -> Result<Self, Failure> {
        let trimmed = base.trim_end_matches('/');
        let trimmed = trimmed.strip_suffix("/api/v10").unwrap_or(trimmed);
        let base: Url = trimmed
            .parse()
            .map_err(|error| Failure::Broken(format!("DISCORD_API_URL is no address: {error}")))?;
        // No redirect: a file's address must not lead to another host than the one that was looked at.
        let mut client = Client::builder()
            .user_agent(AGENT)
            .timeout(PATIENCE)
            .connect_timeout(Duration::from_secs(15))
            .redirect(redirect::Policy::none());
        if matches!(base.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| Failure::Broken(error.to_string()))?;
        let token = token.trim_start_matches("Bot ").to_owned();
        Ok(Self(Arc::new(Inner { client, base, token, limiter: Mutex::default() })))
    }

    /// Begins with a limiter that belongs to the runtime of now.
    pub fn renew(&self) {
        *self.0.limiter.lock().unwrap_or_else(PoisonError::into_inner) = Some(RateLimiter::default());
    }

    /// Makes a call.
    pub fn call<T: DeserializeOwned + Send + 'static>(
        &self,
        request: Result<Request, twilight_http::Error>,
    ) -> Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send>> {
        let http = self.clone();
        Box::pin(async move {
            let request = request.map_err(|error| Trouble::Unsure(error.to_string()))?;
            let inner = http.0.clone();
            // By itself, because the limiter panics when its own task is gone.
            let called = tokio::spawn(async move { inner.exchange(&request).await }).await;
            let body = called.unwrap_or_else(|_| {
                http.renew();
                Err(Trouble::Unsure("the limiter of calls to Discord had to be made anew".to_owned()))
            })?;
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            serde_json::from_slice(body)
                .map_err(|error| Trouble::Unsure(format!("Discord's answer is not understood: {error}")))
        })
    }

    /// Whether files may be fetched from this address: from Discord's own hosts, or the configured one.
    pub fn may_fetch(&self, url: &Url) -> bool {
        let base = &self.0.base;
        let ours = url.origin() == base.origin();
        let theirs = url.scheme() == "https"
            && url.port().is_none()
            && url.host_str().is_some_and(|host| FILE_HOSTS.contains(&host));
        ours || theirs
    }

    /// Fetches a file. The token is not shown: the address itself is signed.
    pub async fn fetch(&self, address: &str, limit: u64) -> Result<Bytes, Failure> {
        let url: Url = address.parse().map_err(|_| Failure::Refused("its address is none".to_owned()))?;
        if !self.may_fetch(&url) {
            let host = url.host_str().unwrap_or_default();
            return Err(Failure::Refused(format!("{host} is not where Discord keeps files")));
        }
        let unsure = |error: reqwest::Error| Failure::Unsure(causes(error));
        let response = self.0.client.get(url).send().await.map_err(unsure)?;
        if !response.status().is_success() {
            return Err(Failure::Refused(format!(
                "Discord does not hand it out (HTTP {})",
                response.status().as_u16()
            )));
        }
        let mut bytes = BytesMut::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.map_err(unsure)?);
            if bytes.len() as u64 > limit {
                return Err(Failure::Refused(format!("it is larger than {} MiB", limit >> 20)));
            }
        }
        Ok(bytes.freeze())
    }
}

impl Inner {
    async fn exchange(&self, request: &Request) -> Result<Bytes, Trouble> {
        let mut tries = 1;
        loop {
            match self.once(request).await {
                Err(Trouble::Slow { after: Some(after), why, all: false })
                    if after <= SHORT && tries < TRIES =>
                {
                    tracing::debug!(why, ?after, "Discord wants a pause");
                    tries += 1;
                    tokio::time::sleep(after).await;
                }
                answer => return answer,
            }
        }
    }

    async fn once(&self, request: &Request) -> Result<Bytes, Trouble> {
        let permit = self.permit(request).await?;
        let unsure =
            |error: reqwest::Error| Trouble::Unsure(format!("Discord is not reached: {}", causes(error)));
        let response = self.build(request).send().await.map_err(unsure)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        permit.complete(limits(&headers));
        let mut body = BytesMut::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk.map_err(unsure)?);
            if body.len() > LONGEST {
                return Err(Trouble::Unsure("Discord's answer is too long".to_owned()));
            }
        }
        if (200..300).contains(&status) {
            return Ok(body.freeze());
        }
        Err(trouble(status, &headers, &body))
    }

    /// Waits until the limiter lets the call through; not for long.
    async fn permit(&self, request: &Request) -> Result<Permit, Trouble> {
        let limiter =
            self.limiter.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().clone();
        let path = request.path().split('?').next().unwrap_or_default().to_owned();
        let endpoint = Endpoint { method: request.method(), path };
        let (tell, mut told) = oneshot::channel();
        let acquired = limiter.acquire_if(endpoint, move |bucket| {
            let reset = bucket.filter(|bucket| bucket.remaining == 0).map(|bucket| bucket.reset_at);
            let wait =
                reset.map(|at| at.saturating_duration_since(Instant::now())).filter(|wait| *wait > SHORT);
            let goes = wait.is_none();
            let _ = tell.send(wait);
            goes
        });
        let slow = |after, why: &str| Trouble::Slow { after, why: why.to_owned(), all: false };
        match tokio::time::timeout(PATIENCE / 2, acquired).await {
            Ok(Some(permit)) => Ok(permit),
            Ok(None) => Err(slow(told.try_recv().ok().flatten(), "the allowance for this is used up")),
            Err(_) => Err(slow(None, "too many calls wait for their turn")),
        }
    }

    fn build(&self, request: &Request) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v10/{}", self.base.as_str().trim_end_matches('/'), request.path());
        let verb = match request.method() {
            Method::Delete => reqwest::Method::DELETE,
            Method::Patch => reqwest::Method::PATCH,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            _ => reqwest::Method::GET,
        };
        let mut built = self.client.request(verb, url);
        if request.use_authorization_token() {
            built = built.header("authorization", format!("Bot {}", self.token));
        }
        if let Some(form) = request.form() {
            return built.header("content-type", form.content_type()).body(form.clone().build());
        }
        match request.body() {
            Some(body) => built.header("content-type", "application/json").body(body.to_vec()),
            None => built,
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn pause(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// What an answer says of the allowance of its kind.
fn limits(headers: &HeaderMap) -> Option<RateLimitHeaders> {
    let bucket = headers.get(RateLimitHeaders::BUCKET)?.as_bytes().to_vec();
    let small = |name| number(headers, name).map(|number| number.clamp(0.0, f64::from(u16::MAX)) as u16);
    let reset = number(headers, RateLimitHeaders::RESET_AFTER).and_then(pause)?;
    Some(RateLimitHeaders {
        bucket,
        limit: small(RateLimitHeaders::LIMIT)?,
        remaining: small(RateLimitHeaders::REMAINING)?,
        reset_at: Instant::now().checked_add(reset)?,
    })
}

/// What an answer means that is no success.
fn trouble(status: u16, headers: &HeaderMap, body: &[u8]) -> Trouble {
    let json: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
    let code = json.as_ref().and_then(|json| json.get("code")).and_then(Value::as_u64).unwrap_or(0);
    let message = match &json {
        Some(json) => complaint(json),
        None => format!("HTTP {status} without an explanation"),
    };
    match (status, code) {
        // Edits of old messages have a limit that no waiting ends soon.
        (429, code) if code != 30_046 => {
            let said = json.as_ref().and_then(|json| json.get("retry_after")).and_then(Value::as_f64);
            let after = said.or_else(|| number(headers, "retry-after")).and_then(pause);
            let global = json.as_ref().and_then(|json| json.get("global")).and_then(Value::as_bool);
            let all = global.unwrap_or(json.is_none()) || headers.contains_key("x-ratelimit-global");
            Trouble::Slow { after, why: message, all }
        }
        (500.., _) | (408, _) => Trouble::Unsure(format!("Discord is ill (HTTP {status})")),
        _ => Trouble::Refused { status, code, message },
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
