//! Tools of an agent that registers itself: a session of its own, what it says, what it hears.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::call::{Call, ToolError};
use crate::client::{Client, ClientError, NewWork, PolledEvent};

/// Longest wait of a tool that listens, in seconds.
const LONGEST_WAIT: u64 = 3600;
/// So long one look waits, so that the client hears of progress now and then.
const LOOK: Duration = Duration::from_secs(10);
/// So long an event is tried again when nobody answers.
const TRIES: Duration = Duration::from_secs(20);
/// The pause before an attempt is made again.
const PAUSE: Duration = Duration::from_millis(500);

/// `create_session`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateSession {
    /// Your name, as the person shall see it.
    agent_name: String,
    /// What kind of agent you are, one word such as `claude_code`.
    agent_type: String,
    /// What this session is about, in a few words.
    session_name: String,
    /// Chat platform to bind the session to: telegram, slack or discord. Leave it out, or empty, for none.
    #[serde(default)]
    platform: String,
    /// The directory that you work in.
    workspace: Option<String>,
}

/// A session, as the API gives it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionObject {
    /// The session's id, which the other tools take.
    id: String,
    /// CREATED, RUNNING, AWAITING_INPUT, INTERRUPTING or ERROR.
    state: String,
    /// Everything else that the API tells of it.
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl SessionObject {
    pub fn of(session: Value) -> Result<Self, ToolError> {
        let odd = || ToolError::Text("the daemon's answer is no session".into());
        let Value::Object(mut more) = session else { return Err(odd()) };
        let mut text = |name| match more.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(odd()),
        };
        Ok(Self { id: text("id")?, state: text("state")?, more })
    }
}

pub(super) async fn create_session(input: CreateSession, call: Call) -> Result<SessionObject, ToolError> {
    let new = NewWork {
        agent_name: Some(input.agent_name).filter(|name| !name.trim().is_empty()),
        agent_type: Some(input.agent_type),
        agent_workspace: input.workspace,
        session_name: Some(input.session_name),
        platform: Some(input.platform).filter(|platform| !platform.is_empty()),
        ..NewWork::default()
    };
    if new.agent_name.is_none() {
        return Err(ToolError::Arguments("agent_name: say who you are".into()));
    }
    SessionObject::of(call.client.create_work(&new).await?)
}

/// `send_output`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendOutput {
    /// Your session.
    session_id: String,
    /// What to say (Markdown).
    text: String,
    /// Whether this is the answer of your turn: the session then waits for the person.
    #[serde(default)]
    is_final: bool,
}

/// It is done and on disk.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Done {
    /// Always true.
    ok: bool,
}

pub(super) async fn send_output(input: SendOutput, call: Call) -> Result<Done, ToolError> {
    let SendOutput { session_id, text, is_final } = input;
    push(&call.client, &session_id, "output", &json!({ "text": text, "is_final": is_final })).await?;
    if is_final {
        push(&call.client, &session_id, "status", &json!({ "status": "done" })).await?;
    }
    Ok(Done { ok: true })
}

/// Pushes an event, again and again for a while if nobody answers; it is recorded once.
pub(super) async fn push(
    client: &Client,
    session: &str,
    kind: &str,
    data: &Value,
) -> Result<(), ClientError> {
    let (key, deadline) = (Uuid::now_v7().to_string(), Instant::now() + TRIES);
    loop {
        match client.push(session, kind, data, &key).await {
            Err(error) if error.is_passing() && Instant::now() + PAUSE < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// `check_input`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckInput {
    /// Your session.
    session_id: String,
    /// The number of the last event that you know.
    #[serde(default)]
    since_seq: u64,
    /// Wait so many seconds for something new if there is nothing; 0 answers at once.
    #[serde(default)]
    #[schemars(range(max = 3600))]
    wait_s: u64,
}

/// Events, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Events {
    /// The events.
    events: Vec<Event>,
    /// Pass this on as the next `since_seq`.
    next_seq: u64,
}

/// An event.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Event {
    /// Its type.
    #[serde(rename = "type")]
    kind: String,
    /// What happened.
    data: Value,
    /// Its number in the session.
    seq: u64,
}

pub(super) async fn check_input(input: CheckInput, call: Call) -> Result<Events, ToolError> {
    let CheckInput { session_id, since_seq, wait_s } = input;
    listen(&session_id, since_seq, "user_input,permission_resolved", wait_s, call).await
}

/// Events of these types after a number, at once or as soon as there is one.
pub(super) async fn listen(
    session: &str,
    since: u64,
    types: &str,
    wait_s: u64,
    mut call: Call,
) -> Result<Events, ToolError> {
    if wait_s > LONGEST_WAIT {
        return Err(ToolError::Arguments(format!("wait_s: at most {LONGEST_WAIT}")));
    }
    let (began, whole) = (Instant::now(), Duration::from_secs(wait_s));
    loop {
        let left = whole.saturating_sub(began.elapsed());
        // Whole seconds, so that the last one is not asked for many times over.
        let look = Duration::from_secs_f64(left.min(LOOK).as_secs_f64().ceil());
        let client = call.client.clone();
        let events = tokio::select! {
            events = client.poll(session, since, types, look) => events,
            _ = call.given_up() => return Err(ToolError::Text("the client no longer waits".into())),
        };
        match events {
            Ok(events) if events.is_empty() && began.elapsed() < whole => {
                call.progress(began.elapsed(), whole, "nothing new yet".into()).await;
            }
            Ok(events) => return Ok(told(events, since)),
            Err(error) if error.is_passing() && began.elapsed() + PAUSE < whole => {
                call.progress(began.elapsed(), whole, error.to_string()).await;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn told(events: Vec<PolledEvent>, since: u64) -> Events {
    let next_seq = events.last().map_or(since, |event| event.seq);
    let event = |PolledEvent { kind, data, seq }| Event { kind, data, seq };
    Events { events: events.into_iter().map(event).collect(), next_seq }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_number_is_the_last_events_or_stays() {
        assert_eq!(told(Vec::new(), 7).next_seq, 7);
        let event = |seq| PolledEvent { kind: "output".into(), data: json!({}), seq };
        assert_eq!(told(vec![event(8), event(11)], 7).next_seq, 11);
    }

    #[test]
    fn what_is_no_session_is_told() {
        assert!(SessionObject::of(json!({"id": 3, "state": "RUNNING"})).is_err());
        let session = SessionObject::of(json!({"id": "s", "state": "RUNNING", "x": 1})).expect("a session");
        assert_eq!(
            serde_json::to_value(session).expect("JSON"),
            json!({"id": "s", "state": "RUNNING", "x": 1})
        );
    }
}
