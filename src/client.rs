//! Typed client of our own API, for the command line and whatever else of ours talks to a daemon.
//!
//! Plain HTTP, as the daemon speaks; a proxy in the environment is not used, because the daemon is on
//! this machine or on one that the person named.

mod data;
mod external;
mod feed;
mod git;
mod log_tail;
mod setup;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tether_actors::bridge::ChatPerson;
use tether_actors::domain::approval::{Answer, Approval, Grant};
use tether_actors::domain::elsewhere::Runner;
use tether_actors::domain::session::Session;
use tether_actors::domain::time::Stamp;
use tether_actors::domain::trust::TrustedDirectory;

pub use external::{NewWork, PolledEvent};
pub use feed::{Feed, FeedItem};
pub use log_tail::LogTail;

use crate::api::{AgentView, ChatCode, ExternalSession, PersonRemoved, SyncAnswer};
use crate::config::Connection;
use crate::config::servers::Target;

/// How long an answer may take. The daemon answers when a thing is recorded, not when it is done.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the daemon may take to look at the agent programs.
const LOOKING: Duration = Duration::from_secs(30);
/// How long a file may take.
const LONG_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// As many approvals as the API gives at once.
const MOST: &str = "1000";

/// Header that tells the daemon through which surface a person acts.
pub const SURFACE_HEADER: &str = "X-Tether-Surface";

/// The surface of what a person does on the command line.
const SURFACE: &str = "cli";
/// The surface of what an agent does through the MCP server.
const MCP_SURFACE: &str = "mcp";

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// Nobody answered.
    #[error("Cannot connect to the Tether server at {url}: {cause}")]
    Unreachable {
        /// The server's address.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// The server said no.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The API's stable word for it, if it gave one.
        code: Option<String>,
        /// For people.
        message: String,
    },
    /// The answer is not what our API gives.
    #[error("the answer of {url} is not one of a Tether server: {cause}")]
    Odd {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        cause: String,
    },
}

impl ClientError {
    /// Whether the server refused with this HTTP status.
    pub fn is_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    /// Whether trying again later may help: nobody is there, or the daemon is on its way up or down.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. }) || self.is_status(503)
    }
}

/// `GET /api/health`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Health {
    /// Whether all is well.
    pub ok: bool,
    /// The daemon's version.
    #[serde(default)]
    pub version: String,
    /// What is wrong and what to do.
    #[serde(default)]
    pub problem: Option<String>,
}

/// What became of an input.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Said {
    /// The session after it.
    #[serde(flatten)]
    pub session: Session,
    /// Whether it waits for the running turn to end.
    pub queued: bool,
    /// Whether it went into the running turn.
    #[serde(default)]
    pub steered: bool,
}

/// A chat platform, as `GET /api/bridges` tells of it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct BridgeStatus {
    /// `telegram`, `slack`, `discord`.
    pub platform: String,
    /// `running`, `not_configured`, `error`.
    pub status: String,
    /// What is wrong.
    #[serde(default)]
    pub error_message: Option<String>,
    /// Who the bot is and where it talks.
    #[serde(default)]
    pub identity: Option<String>,
    /// Messages that wait to be sent.
    #[serde(default)]
    pub outbox: usize,
}

/// What a new session is to be (`POST /api/sessions`).
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewSession {
    /// Absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// What it may do without asking: null or 0 nothing, 1 edits, 2 everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_mode: Option<u8>,
    /// The chat platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// A repository to clone for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clone_url: Option<String>,
    /// The branch to begin at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clone_branch: Option<String>,
    /// Without history.
    pub shallow: bool,
    /// A branch of its own also in a plain clone.
    pub auto_branch: bool,
    /// A clone that no other session shares.
    pub force_clone: bool,
    /// A work tree of its own, beside the repository at `directory`.
    pub worktree: bool,
    /// Whether its work tree is saved after each turn; `None` = as configured there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_checkpoint: Option<bool>,
}

/// Which conversation of an agent's own program to go on with (`POST /api/sessions/attach`).
#[derive(Clone, Debug, Serialize)]
pub struct AttachSession {
    /// The agent's own id of it.
    pub external_id: String,
    /// Whose.
    pub runner_type: Runner,
    /// Where its agent is to work, absolute.
    pub directory: String,
    /// The chat platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Whether to end the program that has it open in a terminal.
    pub take_over: bool,
}

/// A code that logs one browser in, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pairing {
    /// The code.
    pub code: String,
    /// What a browser opens.
    pub link: String,
    /// Until when it is good.
    pub expires_at: Stamp,
    /// Where the daemon can be reached, the best for a phone first.
    pub addresses: Vec<PairingAddress>,
    /// What to do so that a phone can reach it.
    pub hint: Option<String>,
}

/// An address of the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PairingAddress {
    /// Without a slash at its end.
    pub url: String,
    /// `named`, `tailscale`, `lan` or `loopback`.
    pub kind: String,
    /// What to know before it is used.
    pub warning: Option<String>,
}

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    url: String,
}

impl Download {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>, ClientError> {
        self.response.chunk().await.map_err(|error| ClientError::Unreachable {
            url: self.url.clone(),
            cause: format!("the file broke off: {}", root_cause(&error)),
        })
    }
}

/// A daemon to talk to.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    connection: Connection,
    surface: &'static str,
}

impl Client {
    /// A client of the daemon there. Nothing is sent yet.
    ///
    /// # Errors
    /// The address makes no URL.
    pub fn new(connection: Connection) -> Result<Self, ClientError> {
        let url = connection.url();
        let base = Url::parse(&url).map_err(|error| ClientError::Odd { url, cause: error.to_string() })?;
        Self::at(base, connection, SURFACE)
    }

    /// A client for agents that come through the MCP server. With an address, the daemon is there, `http` or
    /// `https`, and the connection's own host and port do not count.
    ///
    /// # Errors
    /// The address makes no URL.
    pub fn for_agents(connection: Connection, address: Option<&str>) -> Result<Self, ClientError> {
        let url = address.map_or_else(|| connection.url(), str::to_owned);
        let base = Url::parse(&url).map_err(|error| ClientError::Odd { url, cause: error.to_string() })?;
        Self::at(base, connection, MCP_SURFACE)
    }

    /// A client of the daemon that a command means.
    ///
    /// # Errors
    /// The address makes no URL.
    pub fn of(target: Target) -> Result<Self, ClientError> {
        let base = Url::parse(&target.url)
            .map_err(|error| ClientError::Odd { url: target.url.clone(), cause: error.to_string() })?;
        Self::at(base, target.connection, SURFACE)
    }

    fn at(base: Url, connection: Connection, surface: &'static str) -> Result<Self, ClientError> {
        let odd = |cause: String| ClientError::Odd { url: base.to_string(), cause };
        let mut builder = reqwest::Client::builder().no_proxy();
        if base.scheme() == "http" {
            // Plain HTTP needs no certificates. Reading the system's takes longer than most commands, and some
            // machines have none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            // A command asks a few times at the most, and an idle connection would hold up a daemon that stops.
            .pool_max_idle_per_host(0)
            .timeout(PATIENCE)
            .build()
            .map_err(|error| odd(error.to_string()))?;
        Ok(Self { http, base, connection, surface })
    }

    /// The daemon's base address, without a slash at its end.
    pub fn url(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// The address that logs a browser in with this code. The code is behind `#`, so that no server,
    /// proxy or log sees it.
    pub fn login_url(&self, code: &str) -> String {
        login_url(&self.url(), code)
    }

    /// `GET /api/health`.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.call(self.request(Method::GET, &["api", "health"])).await
    }

    /// All sessions.
    pub async fn sessions(&self) -> Result<Vec<Session>, ClientError> {
        self.call(self.request(Method::GET, &["api", "sessions"])).await
    }

    /// Makes a session.
    pub async fn create(&self, new: &NewSession) -> Result<Session, ClientError> {
        let request = self.request(Method::POST, &["api", "sessions"]).json(new);
        // A clone takes its time.
        let patience = if new.clone_url.is_some() || new.worktree { LONG_PATIENCE } else { PATIENCE };
        self.call(request.timeout(patience)).await
    }

    /// Starts a session with a first prompt.
    pub async fn start(&self, session: &str, prompt: &str) -> Result<Session, ClientError> {
        let request = self.request(Method::POST, &["api", "sessions", session, "start"]);
        self.call(request.json(&json!({ "prompt": prompt }))).await
    }

    /// Says something to a session; with `steer` into the running turn, if the agent takes words while it works.
    pub async fn input(&self, session: &str, text: &str, steer: bool) -> Result<Said, ClientError> {
        let request = self.request(Method::POST, &["api", "sessions", session, "input"]);
        let body = if steer { json!({ "text": text, "steer": true }) } else { json!({ "text": text }) };
        self.call(request.json(&body)).await
    }

    /// Stops the running turn; with `force`, an agent that has not stopped is ended.
    pub async fn interrupt(&self, session: &str, force: bool) -> Result<Session, ClientError> {
        let request = self.request(Method::POST, &["api", "sessions", session, "interrupt"]);
        self.call(if force { request.query(&[("force", "true")]) } else { request }).await
    }

    /// Deletes a session with all that belongs to it.
    pub async fn delete(&self, session: &str) -> Result<(), ClientError> {
        self.call::<Value>(self.request(Method::DELETE, &["api", "sessions", session])).await.map(drop)
    }

    /// Conversations of agents' own programs on the daemon's machine, at most 200, last written to first. Slow when the
    /// daemon looks for the first time.
    pub async fn external_sessions(
        &self,
        runner: Option<Runner>,
        directory: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ExternalSession>, ClientError> {
        let mut query = vec![("limit", limit.clamp(1, 200).to_string())];
        query.extend(runner.map(|runner| ("runner_type", runner.to_string())));
        query.extend(directory.map(|directory| ("directory", directory.to_owned())));
        self.call(self.request(Method::GET, &["api", "external-sessions"]).query(&query).timeout(LOOKING))
            .await
    }

    /// Goes on with a conversation of an agent's own program.
    pub async fn attach(&self, wanted: &AttachSession) -> Result<Session, ClientError> {
        let request = self.request(Method::POST, &["api", "sessions", "attach"]);
        self.call(request.timeout(LOOKING).json(wanted)).await
    }

    /// Reads what an attached session's own program wrote meanwhile; with `force` the newest messages are told again.
    pub async fn sync(&self, session: &str, force: bool) -> Result<SyncAnswer, ClientError> {
        let request = self.request(Method::POST, &["api", "sessions", session, "sync"]);
        self.call(request.timeout(LOOKING).query(&[("force", force)])).await
    }

    /// All agents, with what the daemon's machine has of each. Slow where programs are asked for their versions.
    pub async fn agents(&self) -> Result<Vec<AgentView>, ClientError> {
        self.call(self.request(Method::GET, &["api", "agents"]).timeout(LOOKING)).await
    }

    /// What was said about directories.
    pub async fn trust(&self) -> Result<Vec<TrustedDirectory>, ClientError> {
        self.call(self.request(Method::GET, &["api", "trusted-directories"])).await
    }

    /// Says whether a directory is trusted.
    pub async fn set_trust(&self, path: &str, trusted: bool) -> Result<TrustedDirectory, ClientError> {
        let body = json!({ "path": path, "trusted": trusted });
        self.call(self.request(Method::PUT, &["api", "trusted-directories"]).json(&body)).await
    }

    /// Has what was said about a directory forgotten.
    pub async fn forget_trust(&self, path: &str) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, &["api", "trusted-directories"]).query(&[("path", path)]);
        self.call::<Value>(request).await.map(drop)
    }

    /// A session as a file, chunk by chunk.
    pub async fn export(&self, session: &str, format: &str) -> Result<Download, ClientError> {
        let request = self.request(Method::GET, &["api", "sessions", session, "export"]);
        self.download(request.query(&[("format", format)])).await
    }

    async fn download(&self, request: RequestBuilder) -> Result<Download, ClientError> {
        let response = request.timeout(LONG_PATIENCE).send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        if !status.is_success() {
            let body = response.bytes().await.map_err(|error| self.failed(&error))?;
            return Err(refusal(status.as_u16(), &body));
        }
        Ok(Download { response, url: self.url() })
    }

    /// The chat platforms; `None` from a server that does not tell.
    pub async fn bridges(&self) -> Result<Option<Vec<BridgeStatus>>, ClientError> {
        #[derive(Deserialize)]
        struct Bridges {
            bridges: Vec<BridgeStatus>,
        }
        match self.call::<Bridges>(self.request(Method::GET, &["api", "bridges"])).await {
            Ok(found) => Ok(Some(found.bridges)),
            Err(ClientError::Refused { .. } | ClientError::Odd { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Approvals, the open ones alone or all, of one session or of all.
    pub async fn approvals(&self, open: bool, session: Option<&str>) -> Result<Vec<Approval>, ClientError> {
        let mut query = vec![("state", if open { "open" } else { "all" }), ("limit", MOST)];
        query.extend(session.map(|session| ("session_id", session)));
        self.call(self.request(Method::GET, &["api", "approvals"]).query(&query)).await
    }

    /// One approval.
    pub async fn approval(&self, id: &str) -> Result<Approval, ClientError> {
        self.call(self.request(Method::GET, &["api", "approvals", id])).await
    }

    /// Answers an approval; answers it as it then stands.
    pub async fn answer(&self, id: &str, answer: &Answer) -> Result<Approval, ClientError> {
        self.call(self.request(Method::POST, &["api", "approvals", id, "answer"]).json(answer)).await
    }

    /// Standing permissions.
    pub async fn grants(&self) -> Result<Vec<Grant>, ClientError> {
        self.call(self.request(Method::GET, &["api", "approvals", "grants"])).await
    }

    /// Ends a standing permission.
    pub async fn revoke(&self, grant: &str) -> Result<(), ClientError> {
        self.call::<Value>(self.request(Method::DELETE, &["api", "approvals", "grants", grant]))
            .await
            .map(drop)
    }

    /// A code that logs a browser in; with an address, its link leads there.
    pub async fn pair(&self, address: Option<&str>) -> Result<Pairing, ClientError> {
        self.call(self.request(Method::POST, &["api", "pairing"]).json(&json!({ "address": address }))).await
    }

    /// A code with which one person on a chat platform is let in.
    pub async fn pair_chat(&self) -> Result<ChatCode, ClientError> {
        self.call(self.request(Method::POST, &["api", "bridges", "pair"])).await
    }

    /// The people who may use the bots of the chat platforms.
    pub async fn chat_people(&self) -> Result<Vec<ChatPerson>, ClientError> {
        self.call(self.request(Method::GET, &["api", "bridges", "people"])).await
    }

    /// Throws one of them out.
    pub async fn remove_chat_person(&self, platform: &str, id: &str) -> Result<PersonRemoved, ClientError> {
        self.call(self.request(Method::DELETE, &["api", "bridges", platform, "people", id])).await
    }

    /// Shows a session on a chat platform, or (`None`) on none.
    pub async fn bind(&self, session: &str, platform: Option<&str>) -> Result<(), ClientError> {
        let path = ["api", "sessions", session, "platform"];
        let request = match platform {
            Some(platform) => self.request(Method::POST, &path).json(&json!({ "platform": platform })),
            None => self.request(Method::DELETE, &path),
        };
        self.call::<Value>(request).await.map(drop)
    }

    /// Stops the daemon; with `agents` the agent programs too.
    pub async fn shutdown(&self, agents: bool) -> Result<(), ClientError> {
        let request = self.request(Method::POST, &["api", "shutdown"]);
        self.call::<Value>(request.json(&json!({ "agents": agents }))).await.map(drop)
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.http.request(method, url).header(SURFACE_HEADER, self.surface);
        match &self.connection.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let (status, url) = (response.status(), response.url().to_string());
        let body = response.bytes().await.map_err(|error| self.failed(&error))?;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &body));
        }
        serde_json::from_slice(&body).map_err(|error| ClientError::Odd { url, cause: error.to_string() })
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        let cause = if error.is_timeout() {
            format!("no answer within {} s", PATIENCE.as_secs())
        } else {
            root_cause(error)
        };
        ClientError::Unreachable { url: self.url(), cause }
    }
}

/// The address that logs a browser in with this code.
pub fn login_url(base: &str, code: &str) -> String {
    format!("{base}/login#code={code}")
}

/// The innermost cause, which is the one that says something to people ("Connection refused").
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Reads the two shapes in which servers say no: `{"error":{"code","message"}}` and `{"detail":..}`.
fn refusal(status: u16, body: &[u8]) -> ClientError {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let detail = parsed.get("detail").unwrap_or(&Value::Null);
    let message = parsed
        .pointer("/error/message")
        .and_then(text)
        .or_else(|| detail.get("message").or_else(|| detail.get("msg")).and_then(text))
        .or_else(|| text(detail))
        .or_else(|| detail.as_array()?.iter().find_map(|item| text(item.get("msg")?)))
        .or_else(|| Some(String::from_utf8_lossy(body).trim().to_owned()).filter(|body| !body.is_empty()))
        .unwrap_or_else(|| format!("HTTP {status}"));
    let code = parsed.pointer("/error/code").and_then(text);
    ClientError::Refused { status, code, message }
}

#[cfg(test)]
mod tests;
