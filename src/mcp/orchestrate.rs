//! Tools of a program that has other agents work: start one, look at it, talk to it, stop it.

use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::call::{Call, ToolError};
use super::own::{Events, SessionObject, listen};
use crate::client::{Client, ClientError, NewWork};

/// Longest wait for a turn, in seconds.
const LONGEST_WAIT: u64 = 24 * 3600;
/// How long it waits if nobody says, in seconds.
const USUAL_WAIT: u64 = 300;
/// So long one look waits, so that the client hears of progress now and then.
const LOOK: Duration = Duration::from_secs(10);
/// The pause before a daemon that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// States in which a turn is over.
const AT_REST: [&str; 3] = ["AWAITING_INPUT", "ERROR", "CREATED"];

/// `run_agent`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunAgent {
    /// What the agent shall do.
    prompt: String,
    /// Clone this repository and work there.
    clone_url: Option<String>,
    /// The branch to clone.
    branch: Option<String>,
    /// Work in this directory of the daemon's machine (absolute, or beginning with ~/).
    directory: Option<String>,
    /// The agent: a name that `tether agents` shows. The daemon's default when left out.
    adapter: Option<String>,
    /// What the person has to approve: 0 = everything risky (the default), 1 = all but file changes, 2 = nothing.
    #[serde(default)]
    #[schemars(range(max = 2))]
    approval_mode: u8,
    /// Whether to wait until the agent has finished its turn.
    #[serde(default)]
    wait: bool,
    /// How many seconds to wait at most; the agent goes on after that.
    #[serde(default = "usual_wait")]
    #[schemars(range(min = 1, max = 86400))]
    wait_timeout_s: u64,
}

fn usual_wait() -> u64 {
    USUAL_WAIT
}

/// A session in which an agent works.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Run {
    /// The session's id.
    session_id: String,
    /// Whether the turn is over.
    finished: bool,
    /// The session.
    session: SessionObject,
}

pub(super) async fn run_agent(input: RunAgent, call: Call) -> Result<Run, ToolError> {
    check(&input)?;
    let new = NewWork {
        adapter: input.adapter,
        directory: input.directory,
        clone_url: input.clone_url,
        clone_branch: input.branch,
        approval_mode: Some(input.approval_mode),
        ..NewWork::default()
    };
    let client = call.client.clone();
    let made = client.create_work(&new).await?;
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    let session = match client.start_work(&id, &input.prompt, None).await {
        Ok(session) => session,
        Err(error) => return Err(not_started(&client, &id, error).await),
    };
    if !input.wait {
        return run(id, session);
    }
    let session = at_rest(&id, session, Duration::from_secs(input.wait_timeout_s), call).await?;
    run(id, session)
}

fn check(input: &RunAgent) -> Result<(), ToolError> {
    let wrong = |text: &str| Err(ToolError::Arguments(text.to_owned()));
    if input.prompt.trim().is_empty() {
        return wrong("prompt: say what the agent shall do");
    }
    if input.approval_mode > 2 {
        return wrong("approval_mode: 0, 1 or 2");
    }
    if input.wait_timeout_s == 0 || input.wait_timeout_s > LONGEST_WAIT {
        return wrong("wait_timeout_s: 1 to 86400");
    }
    match (&input.directory, &input.clone_url) {
        (None, None) => wrong("directory: say where the agent shall work, or give clone_url"),
        (Some(_), Some(_)) => wrong("directory: give this or clone_url, not both"),
        (Some(directory), None) if !Path::new(directory).is_absolute() && !directory.starts_with('~') => {
            wrong(
                "directory: give it absolute; this is another program than the one that has your working directory",
            )
        }
        (Some(_), None) if input.branch.is_some() => wrong("branch: goes with clone_url only"),
        _ => Ok(()),
    }
}

/// A session that was made and whose agent did not start is of no use to anybody. One of which that is not known stays.
async fn not_started(client: &Client, id: &str, error: ClientError) -> ToolError {
    if matches!(error, ClientError::Refused { .. }) && client.delete(id).await.is_ok() {
        return error.into();
    }
    let error = ToolError::from(error);
    ToolError::Text(format!("{error}. The session {id} was made; look at it with get_session_status"))
}

fn run(session_id: String, session: Value) -> Result<Run, ToolError> {
    Ok(Run { session_id, finished: is_at_rest(&session), session: SessionObject::of(session)? })
}

fn is_at_rest(session: &Value) -> bool {
    session["state"].as_str().is_some_and(|state| AT_REST.contains(&state))
}

/// Waits until the turn is over or the time is.
async fn at_rest(id: &str, mut session: Value, wait: Duration, mut call: Call) -> Result<Value, ToolError> {
    let (began, client, mut since) = (Instant::now(), call.client.clone(), 0);
    while !is_at_rest(&session) && began.elapsed() < wait {
        call.progress(began.elapsed(), wait, stands(&session)).await;
        let look =
            Duration::from_secs_f64(wait.saturating_sub(began.elapsed()).min(LOOK).as_secs_f64().ceil());
        let next = async {
            let events = client.poll(id, since, "session_state,permission_request", look).await?;
            let since = events.last().map_or(since, |event| event.seq);
            Ok::<_, ClientError>((since, client.session(id).await?))
        };
        let looked = tokio::select! {
            looked = next => looked,
            _ = call.given_up() => {
                return Err(ToolError::Text(format!("the client no longer waits; the session {id} goes on")));
            }
        };
        match looked {
            Ok(now) => (since, session) = now,
            Err(error) if error.is_passing() => {
                call.progress(began.elapsed(), wait, error.to_string()).await;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(session)
}

fn stands(session: &Value) -> String {
    match (session["has_pending_permission"].as_bool(), session["last_line"].as_str()) {
        (Some(true), _) => "the agent waits for the person's approval".into(),
        (_, Some(line)) => format!("the agent works: {line}"),
        _ => "the agent works".into(),
    }
}

/// A tool that takes a session and nothing else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OfSession {
    /// The session.
    session_id: String,
}

/// Where a session stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    /// The session.
    session_id: String,
    /// CREATED, RUNNING, AWAITING_INPUT, INTERRUPTING or ERROR.
    state: Value,
    /// Its name.
    name: Value,
    /// Always null; kept for clients of old.
    summary: Value,
    /// When it was last started.
    started_at: Value,
    /// When it entered ERROR.
    ended_at: Value,
    /// When anything last happened.
    last_activity_at: Value,
    /// The agent program's last exit code.
    exit_code: Value,
    /// Where it works.
    directory: Value,
    /// The branch made for it.
    working_branch: Value,
    /// Where its work tree was cloned from.
    clone_url: Value,
    /// Whether the person is asked something.
    has_pending_permission: Value,
    /// The agent.
    adapter: Value,
}

pub(super) async fn get_session_status(input: OfSession, call: Call) -> Result<Status, ToolError> {
    let mut session = call.client.session(&input.session_id).await?;
    let mut of = |name: &str| session.get_mut(name).map(Value::take).unwrap_or_default();
    Ok(Status {
        state: of("state"),
        name: of("name"),
        summary: of("summary"),
        started_at: of("started_at"),
        ended_at: of("ended_at"),
        last_activity_at: of("last_activity_at"),
        exit_code: of("exit_code"),
        directory: of("directory"),
        working_branch: of("working_branch"),
        clone_url: of("clone_url"),
        has_pending_permission: of("has_pending_permission"),
        adapter: of("adapter"),
        session_id: input.session_id,
    })
}

/// `get_session_output`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetOutput {
    /// The session.
    session_id: String,
    /// The number of the last event that you know.
    #[serde(default)]
    since_seq: u64,
    /// Wait so many seconds for something new if there is nothing; 0 answers at once.
    #[serde(default)]
    #[schemars(range(max = 3600))]
    wait_s: u64,
}

pub(super) async fn get_session_output(input: GetOutput, call: Call) -> Result<Events, ToolError> {
    let GetOutput { session_id, since_seq, wait_s } = input;
    listen(&session_id, since_seq, "output,session_state,error", wait_s, call).await
}

/// `send_followup`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendFollowup {
    /// The session.
    session_id: String,
    /// What to say.
    text: String,
}

pub(super) async fn send_followup(input: SendFollowup, call: Call) -> Result<SessionObject, ToolError> {
    SessionObject::of(call.client.say(&input.session_id, &input.text).await?)
}

/// What is changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Diff {
    /// Unified diff of everything; empty if nothing is changed or it is no git work tree.
    diff: String,
    /// The same by file: `path`, `hunks`, `patch`.
    files: Vec<Value>,
    /// Whether something was left out because it is too long.
    truncated: bool,
}

pub(super) async fn get_diff(input: OfSession, call: Call) -> Result<Diff, ToolError> {
    let found = call.client.diff(&input.session_id).await?;
    let files = found.files.iter().filter_map(|file| serde_json::to_value(file).ok()).collect();
    Ok(Diff { diff: found.diff, files, truncated: found.truncated })
}

pub(super) async fn stop_session(input: OfSession, call: Call) -> Result<SessionObject, ToolError> {
    SessionObject::of(call.client.stop_work(&input.session_id).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(more: Value) -> RunAgent {
        let mut whole = json!({ "prompt": "p" });
        for (name, value) in more.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        serde_json::from_value(whole).expect("arguments")
    }

    #[test]
    fn an_agent_asks_unless_it_is_said_otherwise() {
        assert_eq!(wanted(json!({})).approval_mode, 0);
    }

    #[test]
    fn where_to_work_must_be_said_once_and_clearly() {
        for fine in [
            json!({"directory": "/p"}),
            json!({"directory": "~/p"}),
            json!({"clone_url": "u", "branch": "b"}),
        ] {
            assert_eq!(check(&wanted(fine.clone())), Ok(()), "{fine}");
        }
        for wrong in [
            json!({}),
            json!({"directory": "p"}),
            json!({"directory": "/p", "clone_url": "u"}),
            json!({"directory": "/p", "branch": "b"}),
            json!({"directory": "/p", "approval_mode": 3}),
            json!({"directory": "/p", "wait_timeout_s": 0}),
            json!({"directory": "/p", "prompt": " "}),
        ] {
            assert!(check(&wanted(wrong.clone())).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_turn_is_over_when_the_session_is_at_rest() {
        assert!(!is_at_rest(&json!({"state": "RUNNING"})) && !is_at_rest(&json!({"state": "INTERRUPTING"})));
        assert!(is_at_rest(&json!({"state": "AWAITING_INPUT"})) && is_at_rest(&json!({"state": "ERROR"})));
        assert!(!is_at_rest(&json!({})));
    }
}
