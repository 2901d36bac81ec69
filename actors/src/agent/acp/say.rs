//! What is said to the agent.

use serde_json::{Value, json};

use super::state::{Later, Stage, State, short};
use super::turn::{Turn, nobody, prompt_id, remember_reason};
use super::wire::{answer, notification, request};
use super::{ask, form};
use crate::agent::protocol::Outgoing;
use crate::domain::agent::AgentCommand;
use crate::domain::approval::{Answer, Ask};
use crate::domain::session::Image;

/// The lines that carry out a command. `again`: see [`crate::agent::protocol::Protocol::say`].
pub(super) fn say(state: &mut State, command: &AgentCommand, again: bool) -> Vec<Outgoing> {
    match command {
        AgentCommand::Prompt { input, text, images } => prompt(state, input.as_str(), text, images, again),
        AgentCommand::Answer { ask, answer } => answered(state, ask, answer),
        AgentCommand::Interrupt => interrupt(state),
        AgentCommand::SetModel(model) => set_model(state, model.as_deref()),
        AgentCommand::SetPlanning(planning) => set_planning(state, *planning),
        // What the agent was given is what it works on: that is stopped by an interrupt.
        AgentCommand::CancelInput(_) => Vec::new(),
        // No agent ends of it; it ends by a signal soon after.
        AgentCommand::End => match state.session.clone().filter(|_| state.agent.close) {
            Some(session) => {
                vec![request(&state.fresh("close"), "session/close", &json!({ "sessionId": session }))]
            }
            None => Vec::new(),
        },
    }
}

fn prompt(state: &mut State, input: &str, text: &str, images: &[Image], again: bool) -> Vec<Outgoing> {
    let Some(session) = state.session.clone() else { return Vec::new() };
    let mut lines = Vec::new();
    if again {
        // An agent that says anything in a turn has the prompt. The protocol has no way to ask for it.
        match &state.turn {
            Some(turn) if turn.begun && turn.input == input => return lines,
            None if state.loose => {
                state.turn = Some(Turn::adopted(input, state.cost));
                return lines;
            }
            _ => {}
        }
        // It was silent: if it has it all the same, it has done nothing yet that is to be seen. That is stopped,
        // so that the prompt does not run twice. Where nothing runs, this changes nothing.
        lines.push(notification("session/cancel", &json!({ "sessionId": session })));
    }
    let id = prompt_id(state, input, again);
    state.turn = Some(Turn::new(input, id.clone(), state.cost));
    state.loose = false;
    let taken = images.is_empty() || state.agent.images;
    if !taken {
        let message = format!("{} takes no pictures, so it got the words alone", state.agent_name());
        state.later.push(Later::Notice("IMAGES_UNAVAILABLE".to_owned(), message));
    }
    let words = (!text.is_empty() || !taken).then(|| json!({ "type": "text", "text": text }));
    let pictures = images
        .iter()
        .filter(|_| taken)
        .map(|image| json!({ "type": "image", "mimeType": image.media_type, "data": image.data }));
    let prompt: Vec<Value> = words.into_iter().chain(pictures).collect();
    lines.push(request(&id, "session/prompt", &json!({ "sessionId": session, "prompt": prompt })));
    lines
}

fn answered(state: &mut State, ask: &Ask, given: &Answer) -> Vec<Outgoing> {
    let Ok(id) = serde_json::from_str::<Value>(&ask.request) else { return Vec::new() };
    let (mut result, words) = match ask.tool_name == form::TOOL && ask.suggestions.is_none() {
        true => form::answer(ask, given),
        false => ask::answer(ask, given),
    };
    state.close(&id);
    if !given.allowed() {
        ask.tool_use_id.iter().for_each(|call| state.calls.refuse(call));
    }
    if let Some(words) = words {
        // The protocol's place for what it has no place for. Our own agents read it there.
        result["_meta"] = json!({ "tether": { "reason": words } });
        if !state.agent.reasons {
            remember_reason(state, &ask.title, &words);
        }
    }
    vec![answer(&id, &result)]
}

fn interrupt(state: &mut State) -> Vec<Outgoing> {
    let Some(session) = state.session.clone() else { return Vec::new() };
    if let Some(turn) = &mut state.turn {
        turn.cancelling = true;
        turn.reasons.clear();
    }
    let mut lines = vec![notification("session/cancel", &json!({ "sessionId": session }))];
    // Gemini does not end its turn before it has an answer to what it asked.
    lines.extend(state.withdraw_all().iter().map(|open| answer(&open.id, &nobody(open.form))));
    lines
}

fn set_model(state: &mut State, model: Option<&str>) -> Vec<Outgoing> {
    if state.stage != Stage::Ready {
        state.start.model = model.map(short);
        return Vec::new();
    }
    let wanted = model.map(short).or_else(|| state.knobs.model.as_ref()?.first.clone());
    let id = state.fresh("model");
    let line = wanted.and_then(|model| {
        let id = format!("{id}/{model}");
        state.knobs.turn(&super::state::Step::Model(model), &id, state.session.as_deref()?)
    });
    if line.is_none() {
        let message = "this agent offers no choice of models".to_owned();
        state.later.push(Later::Notice("MODEL_UNAVAILABLE".to_owned(), message));
    }
    line.into_iter().collect()
}

fn set_planning(state: &mut State, planning: bool) -> Vec<Outgoing> {
    if state.stage != Stage::Ready {
        state.start.planning = planning;
        return Vec::new();
    }
    let id = format!("{}/{planning}", state.fresh("planning"));
    let session = state.session.clone().unwrap_or_default();
    let line = state.knobs.set_planning(planning, &id, &session);
    if line.is_none() {
        let message = "this agent has no mode in which it only plans".to_owned();
        state.later.push(Later::Notice("PLANNING_UNAVAILABLE".to_owned(), message));
    }
    line.into_iter().collect()
}
