//! `request_approval`: asks a person and waits.
//!
//! The question lies on the daemon's disk, and so does its answer: it may be fetched later under its id, by another
//! process too. Only an answer that says yes is a yes. Time that ran out, a question that was withdrawn, a daemon
//! that went away and an answer that cannot be read are all told as what they are.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tether_actors::domain::approval::{Actor, Answer, Approval, ApprovalState};
use tokio::time::Instant;
use uuid::Uuid;

use super::call::{Call, GivenUp, ToolError};
use super::own;
use crate::client::{Client, ClientError};

/// How long it waits if nobody says, in seconds.
const USUAL_WAIT: u64 = 300;
/// The longest that it waits in one call, in seconds.
const LONGEST_WAIT: u64 = 24 * 3600;
/// So long one look waits, so that the client hears of progress now and then.
const LOOK: Duration = Duration::from_secs(10);
/// The pause before a daemon that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// A daemon that was not there for so long is given up.
const ABSENCE: Duration = Duration::from_secs(120);
/// Longest title that is taken for a tool's name.
const TITLE: usize = 100;

/// `request_approval`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestApproval {
    /// Your session.
    session_id: String,
    /// What it is about, in a few words. Needed unless you go on waiting with request_id.
    title: Option<String>,
    /// All that the person needs to decide: what exactly would happen. Needed unless you go on waiting with request_id.
    description: Option<String>,
    /// What the person may choose. Leave it out, or empty, for a plain yes or no.
    #[serde(default)]
    options: Vec<String>,
    /// How many seconds to wait.
    #[serde(default = "usual_wait")]
    #[schemars(range(min = 1, max = 86400))]
    timeout_s: u64,
    /// Go on waiting for a question that you asked before: the request_id of its result.
    request_id: Option<String>,
}

fn usual_wait() -> u64 {
    USUAL_WAIT
}

/// What became of the question.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Decision {
    /// The question's id; with it you can go on waiting for an answer, or read it again.
    request_id: String,
    /// What happened.
    decision: Outcome,
    /// true = the person (or a standing permission of theirs) said yes to exactly what you asked. false = anything but
    /// a yes. null = the person made a choice or answered in their own words: act on `choice`.
    allowed: Option<bool>,
    /// What was chosen, or the person's own words in place of a choice.
    choice: Option<String>,
    /// What the person said with the answer.
    message: Option<String>,
    /// If the person changed what you asked for: only this is allowed.
    updated_input: Option<Value>,
    /// Who answered.
    by: Option<String>,
    /// What this means for you.
    note: String,
}

/// What can become of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Yes.
    Allowed,
    /// No.
    Denied,
    /// One of the options was chosen.
    Chosen,
    /// The person answered in their own words instead.
    Answered,
    /// Nobody answered in the time that you gave; the question is still open.
    Timeout,
    /// Nobody answered in the time that the daemon gives, which is a no.
    Expired,
    /// The question was taken back.
    Withdrawn,
}

pub(super) async fn request_approval(input: RequestApproval, call: Call) -> Result<Decision, ToolError> {
    if input.timeout_s == 0 || input.timeout_s > LONGEST_WAIT {
        return Err(ToolError::Arguments(format!("timeout_s: 1 to {LONGEST_WAIT}")));
    }
    let wait = Duration::from_secs(input.timeout_s);
    let session = input.session_id.clone();
    let approval = match &input.request_id {
        Some(request) => {
            let found = find(&call.client, &session, request).await;
            let known = found.map_err(|error| not_known(request, error))?.ok_or_else(|| {
                ToolError::Text(format!(
                    "no question {request} was asked in this session: leave request_id out to ask a new one"
                ))
            })?;
            same_question(&known, &input)?;
            known
        }
        None => ask(&call.client, &input).await?,
    };
    answer_to(approval, wait, call).await
}

/// What is pushed: the tool's name and its input.
fn question(input: &RequestApproval) -> Result<(String, Value), ToolError> {
    let given = |name: &str, text: &Option<String>| {
        let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| ToolError::Arguments(format!("{name}: say what you ask")))
    };
    let (title, description) = (given("title", &input.title)?, given("description", &input.description)?);
    if input.options.is_empty() {
        let name = title.chars().take(TITLE).collect();
        return Ok((name, json!({ "title": title, "description": description })));
    }
    if input.options.iter().any(|option| option.trim().is_empty()) {
        return Err(ToolError::Arguments("options: an option is empty".into()));
    }
    let options: Vec<Value> = input.options.iter().map(|option| json!({ "label": option })).collect();
    let question = json!({ "header": title, "question": description, "options": options });
    Ok(("AskUserQuestion".into(), json!({ "questions": [question] })))
}

async fn ask(client: &Client, input: &RequestApproval) -> Result<Approval, ToolError> {
    let (tool_name, tool_input) = question(input)?;
    // Of our own making, so that an id never means two questions and an old answer is never taken for a new one.
    let request = format!("req_{}", Uuid::now_v7().simple());
    let data = json!({ "request_id": request, "tool_name": tool_name, "tool_input": tool_input });
    own::push(client, &input.session_id, "permission_request", &data).await.map_err(|error| {
        // A refusal says all that there is to say: nothing was asked.
        if error.is_passing() { not_known(&request, error) } else { error.into() }
    })?;
    let deadline = Instant::now() + ABSENCE.min(Duration::from_secs(input.timeout_s));
    loop {
        match find(client, &input.session_id, &request).await {
            Ok(Some(approval)) => return Ok(approval),
            Ok(None) => {
                return Err(ToolError::Text(
                    "the question was asked and is gone again: it is not allowed".into(),
                ));
            }
            Err(error) if error.is_passing() && Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(not_known(&request, error)),
        }
    }
}

async fn find(client: &Client, session: &str, request: &str) -> Result<Option<Approval>, ClientError> {
    let wanted = |approval: &Approval| approval.request_id == request;
    if let Some(open) = client.approvals(true, Some(session)).await?.into_iter().find(wanted) {
        return Ok(Some(open));
    }
    // Answered already, by a mode or a grant perhaps.
    Ok(client.approvals(false, Some(session)).await?.into_iter().find(wanted))
}

/// Who goes on waiting may repeat the question, but not change it.
fn same_question(known: &Approval, input: &RequestApproval) -> Result<(), ToolError> {
    if input.title.is_none() && input.description.is_none() && input.options.is_empty() {
        return Ok(());
    }
    if question(input)? == (known.tool_name.clone(), known.tool_input.clone()) {
        return Ok(());
    }
    Err(ToolError::Text(format!(
        "{} asked something else: leave request_id out to ask this, or leave title, description and options out to \
         go on waiting",
        known.request_id
    )))
}

async fn answer_to(mut approval: Approval, wait: Duration, mut call: Call) -> Result<Decision, ToolError> {
    let (began, client) = (Instant::now(), call.client.clone());
    // When the daemon was last heard, and why not since then.
    let (mut seen, mut lost) = (began, None);
    loop {
        if approval.state != ApprovalState::Open {
            return Ok(decision(&approval));
        }
        let left = wait.saturating_sub(began.elapsed());
        let absent = lost.is_some() && seen.elapsed() > ABSENCE;
        if left.is_zero() || absent {
            return match lost {
                None => Ok(open_still(&approval)),
                Some(error) => Err(not_known(&approval.request_id, error)),
            };
        }
        let waiting = format!("waiting for the person's answer to {}: {}", approval.id, approval.title);
        call.progress(began.elapsed(), wait, waiting).await;
        let look = Duration::from_secs_f64(left.min(LOOK).as_secs_f64().ceil());
        let looked = tokio::select! {
            looked = client.await_approval(approval.id.as_str(), look) => looked,
            why = call.given_up() => return Err(given_up(why, &approval, &client).await),
        };
        match looked {
            Ok(now) => (approval, seen, lost) = (now, Instant::now(), None),
            Err(error) if error.is_status(404) => {
                return Err(ToolError::Text(format!(
                    "{} is gone, perhaps because its session was deleted: it is not allowed",
                    approval.request_id
                )));
            }
            Err(error) if error.is_passing() => {
                call.progress(began.elapsed(), wait, error.to_string()).await;
                lost = Some(error);
                tokio::time::sleep(PAUSE.min(wait.saturating_sub(began.elapsed()))).await;
            }
            Err(error) => return Err(not_known(&approval.request_id, error)),
        }
    }
}

/// The daemon cannot be asked: whether there is an answer is not known, which is no yes.
fn not_known(request: &str, error: ClientError) -> ToolError {
    let error = ToolError::from(error);
    ToolError::Text(format!(
        "{error}. It is not known whether the person answered, so it is not allowed; when the daemon is back, go on \
         waiting with request_id {request}"
    ))
}

/// A question whose asker wants no answer any more is taken back; one that may come back stays.
async fn given_up(why: GivenUp, approval: &Approval, client: &Client) -> ToolError {
    if why == GivenUp::Cancelled {
        let data = json!({ "request_id": approval.request_id });
        if let Err(error) =
            own::push(client, approval.session_id.as_str(), "permission_withdrawn", &data).await
        {
            tracing::warn!(approval = %approval.id, %error, "a cancelled question could not be taken back");
        }
    }
    ToolError::Text(format!("the client no longer waits for {}: it is not allowed", approval.request_id))
}

fn open_still(approval: &Approval) -> Decision {
    Decision {
        request_id: approval.request_id.clone(),
        decision: Outcome::Timeout,
        allowed: Some(false),
        choice: None,
        message: None,
        updated_input: None,
        by: None,
        note: "Nobody has answered yet, which is no yes: do not go ahead. The question is still open; call \
               request_approval with this request_id to go on waiting."
            .into(),
    }
}

/// What a settled approval says.
fn decision(approval: &Approval) -> Decision {
    let by = approval.resolved_by.as_ref().map(|by| match by {
        Actor::Person { .. } => format!("the person, by {by}"),
        by => by.to_string(),
    });
    let said = approval.answer.as_ref().and_then(Answer::message).map(str::to_owned);
    let told = |decision, allowed, note: &str| Decision {
        request_id: approval.request_id.clone(),
        decision,
        allowed,
        choice: None,
        message: said.clone(),
        updated_input: None,
        by: by.clone(),
        note: note.into(),
    };
    match (approval.state, &approval.answer) {
        (ApprovalState::Allowed, Some(Answer::Allow { answers: Some(answers), .. })) => {
            let chosen: Vec<&str> = answers.values().flatten().map(String::as_str).collect();
            let choice = chosen.join(", ");
            let offered = |option: &str| {
                approval.questions.iter().any(|question| question.options.iter().any(|o| o.label == option))
            };
            if choice.is_empty() {
                return told(Outcome::Denied, Some(false), "The answer is empty: do not go ahead.");
            }
            let (outcome, note) = match chosen.iter().all(|option| offered(option)) {
                true => (Outcome::Chosen, "The person chose this: act on what it says, which may be a no."),
                false => (Outcome::Answered, "The person answered in their own words: act on them."),
            };
            Decision { choice: Some(choice), ..told(outcome, None, note) }
        }
        (ApprovalState::Allowed, Some(Answer::Allow { updated_input: Some(input), .. }))
            if *input != approval.tool_input =>
        {
            // A yes to something else is no yes to what was asked.
            let note = "The person allowed something else than you asked: do only what `updated_input` says.";
            Decision { updated_input: Some(input.clone()), ..told(Outcome::Answered, None, note) }
        }
        (ApprovalState::Allowed, Some(Answer::Allow { .. })) => {
            told(Outcome::Allowed, Some(true), "Go ahead with what you asked, and with nothing else.")
        }
        (ApprovalState::Expired, _) => {
            told(Outcome::Expired, Some(false), "Nobody answered in time, which is a no: do not go ahead.")
        }
        (ApprovalState::Cancelled, _) => {
            told(Outcome::Withdrawn, Some(false), "The question was taken back: do not go ahead.")
        }
        _ => {
            told(Outcome::Denied, Some(false), "The person said no: do not go ahead. `message` may say why.")
        }
    }
}

#[cfg(test)]
#[path = "approval_tests.rs"]
mod tests;
