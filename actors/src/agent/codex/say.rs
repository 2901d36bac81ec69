//! What is said to the agent.

use serde_json::{Value, json};

use super::state::State;
use super::wire::{line_end, request};
use super::{Desk, answer};
use crate::agent::protocol::Outgoing;
use crate::domain::agent::AgentCommand;
use crate::domain::session::Image;

/// The lines that carry out a command.
pub(super) fn say(state: &mut State, desk: &mut Desk, command: &AgentCommand, again: bool) -> Vec<Outgoing> {
    match command {
        AgentCommand::Prompt { input, text, images } => {
            prompt(state, desk, input.as_str(), content(text, images), again)
        }
        AgentCommand::Answer { ask, answer } => answer::say(state, desk, ask, answer, again),
        AgentCommand::Interrupt => interrupt(state),
        AgentCommand::SetModel(model) => set_model(state, model.as_deref()),
        AgentCommand::SetPlanning(planning) => set_mode(state, *planning),
        // There is no way to take back what the next turn begins with; an interrupt ends that turn.
        AgentCommand::CancelInput(_) => Vec::new(),
        // It has no word for the end: a signal is one, and is taken as one.
        AgentCommand::End => Vec::new(),
    }
}

fn content(text: &str, images: &[Image]) -> Value {
    let words = (!text.is_empty()).then(|| json!({ "type": "text", "text": text, "text_elements": [] }));
    let pictures = images.iter().map(
        |image| json!({ "type": "image", "url": format!("data:{};base64,{}", image.media_type, image.data) }),
    );
    words.into_iter().chain(pictures).collect()
}

/// Begins a turn with a prompt.
///
/// Codex takes a prompt twice under the same id, so one that may be there already is held back, and a
/// question is asked in its place that the agent works off in order with the prompts of its thread: when that is
/// answered, the answer to the prompt was heard before, or there never was one.
pub(super) fn prompt(
    state: &mut State,
    desk: &mut Desk,
    input: &str,
    content: Value,
    again: bool,
) -> Vec<Outgoing> {
    let thread = state.conversation.clone().unwrap_or_default();
    if again && state.given(input).is_some_and(|given| given.turn.is_some()) {
        return Vec::new();
    }
    let mut params = json!({
        "threadId": thread,
        "clientUserMessageId": input,
        "input": content,
        // Said each time, so that no resumed thread has another.
        "approvalPolicy": "untrusted",
        "approvalsReviewer": "user",
    });
    if let Some(sandbox) = &state.sandbox {
        params["sandboxPolicy"] = sandbox.clone();
    }
    let line = request(&format!("{TURN}{input}"), "turn/start", params);
    state.give(input);
    if !again {
        return vec![line];
    }
    desk.held.retain(|(known, _)| known != input);
    desk.held.push((input.to_owned(), line));
    let question =
        request(&format!("{AGAIN}{input}"), "thread/backgroundTerminals/list", json!({ "threadId": thread }));
    vec![line_end(), question]
}

/// How the ids begin of requests that begin a turn, and of questions whether one was begun.
pub(super) const TURN: &str = "turn-";
pub(super) const AGAIN: &str = "again-";

/// Interrupts what runs, now or as soon as it has begun.
pub(super) fn interrupt(state: &mut State) -> Vec<Outgoing> {
    if state.turn.is_none() && state.given.is_empty() {
        return Vec::new();
    }
    state.interrupting = true;
    let running = state.conversation.clone().zip(state.turn.clone());
    let children = state.children.iter();
    let below: Vec<_> =
        children.filter_map(|child| Some((child.thread.clone(), child.turn.clone()?))).collect();
    let all = running.into_iter().chain(below);
    all.map(|(thread, turn)| {
        let id = state.next_id("interrupt");
        request(&id, "turn/interrupt", json!({ "threadId": thread, "turnId": turn }))
    })
    .collect()
}

fn set_model(state: &mut State, model: Option<&str>) -> Vec<Outgoing> {
    let Some(model) = model.map(str::to_owned).or_else(|| state.default_model.clone()) else {
        return Vec::new();
    };
    let id = state.next_id("set-model");
    let thread = state.conversation.as_deref().unwrap_or_default();
    vec![request(&id, "thread/settings/update", json!({ "threadId": thread, "model": model }))]
}

/// Between planning and working.
pub(super) fn set_mode(state: &mut State, planning: bool) -> Vec<Outgoing> {
    // The mode's settings replace the thread's, so what is in force is said again.
    let Some(model) = state.model.clone().or_else(|| state.default_model.clone()) else { return Vec::new() };
    let mode = json!({
        "mode": if planning { "plan" } else { "default" },
        "settings": {
            "model": model, "reasoning_effort": state.effort, "developer_instructions": null,
        },
    });
    let id = state.next_id("set-mode");
    let thread = state.conversation.as_deref().unwrap_or_default();
    vec![request(&id, "thread/settings/update", json!({ "threadId": thread, "collaborationMode": mode }))]
}
