//! What programs ask of the daemon that drive a session from outside, or have agents work for them.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tether_actors::domain::approval::Approval;

use super::{Client, ClientError, LOOKING};

/// How long a clone may take. The daemon has a limit of its own, which is shorter.
const CLONING: Duration = Duration::from_secs(10 * 60);
/// Longest wait that the daemon takes in one request, in seconds.
const LONGEST_WAIT: u64 = 60;
/// What an answer may take beyond the wait that was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// A session that an agent of the person's own drives, or that is to work for a program (`POST /api/sessions`).
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewWork {
    /// Marks a session that an external agent drives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    /// What kind of agent it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// Where it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_workspace: Option<String>,
    /// The session's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// The chat platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The agent that shall run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Where it works, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// What to clone instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clone_url: Option<String>,
    /// Its branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clone_branch: Option<String>,
    /// 0 ask, 1 auto-approve edits, 2 approve all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_mode: Option<u8>,
}

/// An event as a poll gives it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct PolledEvent {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub data: Value,
    /// Its number in the session.
    pub seq: u64,
}

impl Client {
    /// Makes a session; answers it as the API gives it.
    pub async fn create_work(&self, new: &NewWork) -> Result<Value, ClientError> {
        let mut request = self.request(Method::POST, &["api", "sessions"]).json(new);
        if new.clone_url.is_some() {
            request = request.timeout(CLONING);
        }
        self.call(request).await
    }

    /// Starts a session with a first prompt, in its approval mode or in this one.
    pub async fn start_work(
        &self,
        session: &str,
        prompt: &str,
        mode: Option<u8>,
    ) -> Result<Value, ClientError> {
        let mut body = json!({ "prompt": prompt });
        if let Some(mode) = mode {
            body["approval_choice"] = mode.into();
        }
        let request = self.request(Method::POST, &["api", "sessions", session, "start"]);
        self.call(request.timeout(LOOKING).json(&body)).await
    }

    /// A session as the API gives it.
    pub async fn session(&self, session: &str) -> Result<Value, ClientError> {
        self.call(self.request(Method::GET, &["api", "sessions", session])).await
    }

    /// Says something to a session; answers it as the API gives it.
    pub async fn say(&self, session: &str, text: &str) -> Result<Value, ClientError> {
        let request = self.request(Method::POST, &["api", "sessions", session, "input"]);
        self.call(request.json(&json!({ "text": text }))).await
    }

    /// Stops the running turn; answers the session as the API gives it.
    pub async fn stop_work(&self, session: &str) -> Result<Value, ClientError> {
        self.call(self.request(Method::POST, &["api", "sessions", session, "interrupt"])).await
    }

    /// Tells what an external agent did. Sent again under the same key, it is recorded once.
    pub async fn push(&self, session: &str, kind: &str, data: &Value, key: &str) -> Result<(), ClientError> {
        let request = self.request(Method::POST, &["api", "sessions", session, "events"]);
        let body = json!({ "type": kind, "data": data, "idempotency_key": key });
        self.call::<Value>(request.json(&body)).await.map(drop)
    }

    /// Events of these types (commas between them) after a number; waits up to `wait` for one if there is none,
    /// at most a minute.
    pub async fn poll(
        &self,
        session: &str,
        since: u64,
        types: &str,
        wait: Duration,
    ) -> Result<Vec<PolledEvent>, ClientError> {
        #[derive(Deserialize)]
        struct Polled {
            events: Vec<PolledEvent>,
        }
        let wait = wait.as_secs().min(LONGEST_WAIT);
        let query =
            [("since_seq", since.to_string()), ("types", types.to_owned()), ("wait_s", wait.to_string())];
        let request =
            self.request(Method::GET, &["api", "sessions", session, "events", "poll"]).query(&query);
        let polled: Polled = self.call(request.timeout(Duration::from_secs(wait) + GRACE)).await?;
        Ok(polled.events)
    }

    /// One approval, as soon as it is no longer open or `wait` is over (at most a minute).
    pub async fn await_approval(&self, id: &str, wait: Duration) -> Result<Approval, ClientError> {
        let wait = wait.as_secs().min(LONGEST_WAIT);
        let request = self.request(Method::GET, &["api", "approvals", id]).query(&[("wait_s", wait)]);
        self.call(request.timeout(Duration::from_secs(wait) + GRACE)).await
    }
}
