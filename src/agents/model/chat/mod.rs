//! Chat completions of any server that speaks OpenAI's API, streamed.

mod assemble;
mod body;
mod failure;
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell};

use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

pub use assemble::{Assembly, Delta, Finish, Reply, Tokens};
pub use body::{Quirks, body};
pub use failure::{Failure, Kind};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a server may be silent: local models read a long prompt for minutes before the first word.
const SILENCE: Duration = Duration::from_secs(600);
/// How long the list of models may take.
const LIST: Duration = Duration::from_secs(20);
/// So much of an error's body is read.
const ERROR_BODY: usize = 64 * 1024;

/// A server.
pub struct Chat {
    place: Place,
    /// Made when it is first needed: reading the system's certificates takes a while.
    client: OnceCell<Client<Place>>,
    quirks: Cell<Quirks>,
}

/// A model that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// How many tokens it can take, where the server says it.
    pub context: Option<u64>,
}

/// An answer as it comes.
pub struct Answer(async_openai::types::stream::StreamResponse<Value>);

impl Answer {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Value, Failure>> {
        self.0.next().await.map(|piece| piece.map_err(of_error))
    }
}

impl Chat {
    /// A server at this base URL.
    pub fn new(base_url: String, key: Option<SecretString>) -> Self {
        let place = Place { base_url, key: key.unwrap_or_default() };
        Self { place, client: OnceCell::new(), quirks: Cell::default() }
    }

    /// Where it is.
    pub fn base_url(&self) -> &str {
        &self.place.base_url
    }

    /// What it cannot take, as far as it is known.
    pub fn quirks(&self) -> Quirks {
        self.quirks.get()
    }

    /// Learns from a refusal; whether another try makes sense.
    pub fn learn(&self, failure: &Failure) -> bool {
        let Failure::Refused { status: 400 | 422, message, .. } = failure else { return false };
        let mut quirks = self.quirks.get();
        let learned = quirks.learn(message);
        self.quirks.set(quirks);
        learned
    }

    /// Asks for an answer; gives it back as soon as it begins.
    pub async fn ask(&self, body: Value) -> Result<Answer, Failure> {
        let client = self.client()?;
        match client.chat().create_stream_byot::<_, Value>(body).await {
            Ok(stream) => Ok(Answer(stream)),
            Err(error) => Err(self.without_key(of_error(error))),
        }
    }

    /// The models that it has.
    pub async fn models(&self) -> Result<Vec<Model>, Failure> {
        let list = tokio::time::timeout(LIST, async {
            self.client()?.models().list_byot::<Value>().await.map_err(of_error)
        });
        let list = list.await.unwrap_or_else(|_| Err(Failure::Network("it does not answer".into())));
        let list = list.map_err(|failure| self.without_key(failure))?;
        // Some give the bare list.
        let models = list["data"].as_array().or_else(|| list.as_array());
        let size = |model: &Value| {
            ["context_length", "max_model_len", "context_window", "max_context_length"]
                .iter()
                .find_map(|name| model[*name].as_u64())
        };
        Ok(models
            .into_iter()
            .flatten()
            .filter_map(|model| Some(Model { id: model["id"].as_str()?.to_owned(), context: size(model) }))
            .collect())
    }

    fn client(&self) -> Result<&Client<Place>, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = self.make()?;
        Ok(self.client.get_or_init(|| made))
    }

    fn make(&self) -> Result<Client<Place>, Failure> {
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("tether/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            // A key must not follow to wherever a server points.
            .redirect(reqwest::redirect::Policy::none());
        if self.place.base_url.starts_with("http://") {
            // Without TLS no certificates are needed, and a machine may have none.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| Failure::Network(causes(&error)))?;
        let sender = http.clone();
        // Instead of the crate's own way: see Cargo.toml.
        let service = tower::service_fn(move |request: HttpRequestFactory| send(sender.clone(), request));
        Ok(Client::build(http, self.place.clone()).with_http_service(service))
    }

    /// A server may repeat the key in what it says; nobody shall read it.
    fn without_key(&self, failure: Failure) -> Failure {
        let key = self.place.key.expose_secret();
        match failure {
            Failure::Refused { status, message, code, wait } if !key.is_empty() => {
                Failure::Refused { status, message: message.replace(key, "•••"), code, wait }
            }
            other => other,
        }
    }
}

/// Where a server is, and with what one gets in.
#[derive(Clone)]
struct Place {
    base_url: String,
    /// Empty = none.
    key: SecretString,
}

impl Config for Place {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let key = self.key.expose_secret();
        if !key.is_empty()
            && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {key}"))
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

/// A [`Failure`] on its way through async-openai.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Told(Failure);

async fn send(http: reqwest::Client, request: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
    let mut response = http.execute(request.build().await?).await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let wait = wait(response.headers());
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await
        && body.len() < ERROR_BODY
    {
        body.extend_from_slice(&piece);
    }
    let mut failure = Failure::of_answer(status.as_u16(), wait, &body);
    if let Failure::Refused { message, .. } = &mut failure
        && status.is_redirection()
    {
        *message = format!("it points elsewhere: set the base URL to where it points {message}");
    }
    Err(OpenAIError::Boxed(Box::new(Told(failure))))
}

fn of_error(error: OpenAIError) -> Failure {
    match error {
        OpenAIError::Boxed(error) => match error.downcast::<Told>() {
            Ok(told) => told.0,
            Err(other) => Failure::Network(other.to_string()),
        },
        OpenAIError::Reqwest(error) => Failure::Network(causes(&error)),
        OpenAIError::JSONDeserialize(error, text) => Failure::Odd(format!(
            "an answer that is no JSON ({error}): {}",
            text.chars().take(200).collect::<String>()
        )),
        // The stream broke.
        OpenAIError::StreamError(error) => Failure::Network(error.to_string()),
        other => Failure::Odd(other.to_string()),
    }
}

/// What the system said, without the request's address that reqwest puts before it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(below) = last.source() {
        last = below;
    }
    last.to_string()
}

/// How long a server wants us to wait: seconds or a date, or milliseconds under another name.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(millis / 1000.0).ok();
    }
    let after = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = after.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::parse(after).ok()?;
    Some(Timestamp::now().duration_until(date.timestamp()).try_into().unwrap_or_default())
}

/// How long to wait before the try after this many failed ones: twice as long each time, from half a second to half
/// a minute, a fifth more or less, or as the server says.
pub fn pause(failed: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let usual = Duration::from_millis(500).saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    let usual = usual.min(Duration::from_secs(30)).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0));
    asked.map_or(usual, |asked| asked.max(Duration::from_millis(100)))
}
