//! The opening: greeting, conversation, mode and model, until a prompt can be taken.

use serde_json::{Value, json};

use super::state::{Agent, Join, Stage, Start, State, Step, Tuning, short};
use super::wire::{AUTH_REQUIRED, Failure, request};
use super::{CONVERSATION_LOST, PROTOCOL_VERSION, knobs::Knobs};
use crate::agent::fields::Fields;
use crate::agent::protocol::{Heard, Outgoing, Work};
use crate::domain::agent::AgentEvent;
use crate::domain::restart::EndCause;

/// Begins a life. May come again in the same one, when a daemon that died may have sent it: the agent is then
/// greeted twice, which changes nothing, and what the first greeting led to is not heard any more.
pub(super) fn open(state: &mut State, work: &Work, nonce: String) -> Vec<Outgoing> {
    let start = Start {
        cwd: work.directory.to_string_lossy().into_owned(),
        resume: work.resume.then(|| work.conversation.clone()),
        model: work.model.clone(),
        planning: work.planning,
    };
    state.begin_life(nonce, start);
    let id = state.fresh("hello");
    let params = json!({
        "protocolVersion": PROTOCOL_VERSION,
        // Without these the agent reads, writes and runs things itself, under its own approvals.
        "clientCapabilities": {
            "fs": { "readTextFile": false, "writeTextFile": false },
            "terminal": false,
            // Without this Claude has no way to ask a question.
            "elicitation": { "form": {} },
        },
        "clientInfo": { "name": "tether", "title": "Tether", "version": env!("CARGO_PKG_VERSION") },
    });
    vec![request(&id, "initialize", &params)]
}

/// The answer to the greeting.
pub(super) fn greeted(state: &mut State, id: &str, result: Result<Value, Failure>, heard: &mut Heard) {
    if state.stage != Stage::Greeting || !of_this_opening(state, id) {
        return;
    }
    let greeting = match result {
        Ok(greeting) => greeting,
        Err(failure) => {
            return give_up(state, &failure, "the agent did not take our greeting", heard);
        }
    };
    state.agent = read_agent(&greeting);
    let version = greeting.number("protocolVersion");
    if version != Some(PROTOCOL_VERSION) {
        let told = version.map_or("no version".to_owned(), |version| format!("version {version}"));
        let message = format!(
            "{} speaks {told} of the Agent Client Protocol, and version {PROTOCOL_VERSION} is needed: update it, or \
             choose another version of it",
            state.agent_name()
        );
        return unusable(state, EndCause::BadConfiguration, message, heard);
    }
    let how = match &state.start.resume {
        None => Join::New,
        Some(_) if state.agent.resume => Join::Resume,
        Some(_) if state.agent.load => Join::Load,
        Some(_) => return lost(state, "it keeps no conversations after its end", heard),
    };
    heard.replies.push(join(state, how));
}

fn read_agent(greeting: &Value) -> Agent {
    let info = greeting.get("agentInfo").unwrap_or(&Value::Null);
    let can = greeting.get("agentCapabilities").unwrap_or(&Value::Null);
    let sessions = can.get("sessionCapabilities").unwrap_or(&Value::Null);
    let prompts = can.get("promptCapabilities").unwrap_or(&Value::Null);
    let ways = greeting.list("authMethods").iter().filter_map(|method| {
        let name = method.word("name")?;
        Some(match method.word("description") {
            Some(description) => format!("{name} ({description})"),
            None => name.to_owned(),
        })
    });
    let ways = ways.collect::<Vec<_>>().join(", ");
    let key = greeting.list("authMethods").iter().find(|method| method.pointer("/_meta/api-key").is_some());
    Agent {
        name: info.word("name").map(short),
        title: info.word("title").map(short),
        version: info.word("version").map(short),
        load: can.flag("loadSession"),
        resume: sessions.has("resume"),
        close: sessions.has("close"),
        images: prompts.flag("image"),
        reasons: can.pointer("/_meta/tether/reasons") == Some(&Value::Bool(true)),
        sign_in: Some(short(&ways)).filter(|ways| !ways.is_empty()),
        key: key.and_then(|method| method.word("id")).map(short),
    }
}

/// The request for a conversation.
fn join(state: &mut State, how: Join) -> Outgoing {
    let id = state.fresh("join");
    let mut params = json!({ "cwd": state.start.cwd, "mcpServers": [] });
    let method = match how {
        Join::New => "session/new",
        Join::Resume => "session/resume",
        Join::Load => "session/load",
    };
    if let Some(conversation) = state.start.resume.as_ref().filter(|_| how != Join::New) {
        params["sessionId"] = conversation.clone().into();
        // Known before the answer, because questions may come before it.
        state.session = Some(conversation.clone());
    }
    state.stage = Stage::Joining { id: id.clone(), how };
    request(&id, method, &params)
}

/// The answer to the request for a conversation.
pub(super) fn joined(state: &mut State, id: &str, result: Result<Value, Failure>, heard: &mut Heard) {
    let Stage::Joining { id: waited, how } = &state.stage else { return };
    if waited != id {
        return;
    }
    let how = *how;
    let result = match (result, how) {
        (Ok(result), _) => result,
        // Gemini takes up a conversation only when it was told how to sign in, though it began it with the key alone.
        (Err(failure), Join::Resume | Join::Load)
            if failure.code == AUTH_REQUIRED && state.agent.key.is_some() =>
        {
            let id = state.fresh("sign-in");
            let method = state.agent.key.take();
            state.stage = Stage::SigningIn { id: id.clone(), how };
            heard.replies.push(request(&id, "authenticate", &json!({ "methodId": method })));
            return;
        }
        (Err(failure), _) if failure.code == AUTH_REQUIRED => {
            return give_up(state, &failure, "the agent could not begin", heard);
        }
        (Err(_), Join::Resume) if state.agent.load => {
            heard.replies.push(join(state, Join::Load));
            return;
        }
        (Err(failure), Join::Resume | Join::Load) => {
            return lost(state, &super::turn::words(&failure), heard);
        }
        (Err(failure), Join::New) => {
            return give_up(state, &failure, "the agent could not begin a conversation", heard);
        }
    };
    let named = result.word("sessionId").map(short);
    let Some(session) = named.or_else(|| state.start.resume.clone()) else {
        let failure = Failure { message: "it told no id for it".to_owned(), ..Failure::default() };
        return give_up(state, &failure, "the agent could not begin a conversation", heard);
    };
    state.session = Some(session.clone());
    heard.events.push(AgentEvent::Conversation(session));
    if how == Join::New && !state.agent.load && !state.agent.resume {
        let message = "this agent keeps its conversation only as long as its program runs";
        heard.events.push(super::notice("NO_RESUME", message));
    }
    state.knobs = Knobs::read(&result);
    let rest = steps(state, how, heard);
    state.stage = Stage::Tuning(Tuning { rest, history: how == Join::Load, ..Tuning::default() });
    next_step(state, heard);
}

/// The answer to the request to use the key.
pub(super) fn signed_in(state: &mut State, id: &str, result: Result<Value, Failure>, heard: &mut Heard) {
    let Stage::SigningIn { id: waited, how } = &state.stage else { return };
    if waited != id {
        return;
    }
    let how = *how;
    match result {
        Ok(_) => heard.replies.push(join(state, how)),
        Err(failure) => {
            let failure = Failure { code: AUTH_REQUIRED, ..failure };
            give_up(state, &failure, "the agent could not begin", heard);
        }
    }
}

/// What is to be set, in order.
fn steps(state: &State, how: Join, heard: &mut Heard) -> Vec<Step> {
    let knobs = &state.knobs;
    let mut steps = Vec::new();
    match knobs.asking_mode() {
        Ok(Some(mode)) => steps.push(Step::Mode(mode)),
        Ok(None) => {}
        Err(mode) => heard.events.push(super::unasking(&mode)),
    }
    if state.start.planning != knobs.planning() {
        if state.start.planning && !knobs.can_plan() {
            heard
                .events
                .push(super::notice("PLANNING_UNAVAILABLE", "this agent has no mode in which it only plans"));
        } else {
            steps.push(if state.start.planning { Step::Plan } else { Step::Work });
        }
    }
    if let Some(model) = &state.start.model {
        match &knobs.model {
            Some(knob) if knob.current.as_deref() != Some(model) => steps.push(Step::Model(model.clone())),
            Some(_) => {}
            None => heard.events.push(super::notice(
                "MODEL_UNAVAILABLE",
                format!("this agent offers no choice of models, so {model} was not set"),
            )),
        }
    }
    if how == Join::Load {
        steps.push(Step::Settle);
    }
    steps
}

/// Sends the next step; after the last one it is ready.
fn next_step(state: &mut State, heard: &mut Heard) {
    let Some(session) = state.session.clone() else { return };
    loop {
        let id = state.fresh("tune");
        let Stage::Tuning(tuning) = &mut state.stage else { return };
        if tuning.rest.is_empty() {
            return ready(state, heard);
        }
        let step = tuning.rest.remove(0);
        if let Some(line) = state.knobs.turn(&step, &id, &session) {
            (tuning.id, tuning.step, tuning.noisy) = (id, step, false);
            heard.replies.push(line);
            return;
        }
    }
}

/// The answer to a step.
pub(super) fn tuned(state: &mut State, id: &str, result: Result<Value, Failure>, heard: &mut Heard) {
    let Stage::Tuning(tuning) = &mut state.stage else { return };
    if tuning.id != id {
        return;
    }
    let step = tuning.step.clone();
    match (&step, result) {
        // Gemini answers `session/load` first and tells the history then. It comes without a pause, so an answer
        // with none of it before means that all has come.
        (Step::Settle, _) if tuning.noisy => tuning.rest.insert(0, Step::Settle),
        (Step::Settle, _) => {}
        (Step::Mode(mode), Ok(_)) => state.knobs.mode_is(mode),
        (Step::Mode(mode), Err(failure)) => {
            let message = format!(
                "{} does not ask before every tool in the mode that it is in, and could not be put into its mode \
                 {mode} ({}): choose that mode in its settings, then send an input",
                state.agent_name(),
                failure.message
            );
            return unusable(state, EndCause::BadConfiguration, message, heard);
        }
        (Step::Plan | Step::Work, Ok(_)) => state.knobs.planned(step == Step::Plan),
        (Step::Plan | Step::Work, Err(failure)) => {
            let message = format!("the agent did not change its mode: {}", failure.message);
            heard.events.push(super::notice("PLANNING_UNAVAILABLE", message));
        }
        (Step::Model(model), Ok(_)) => {
            if let Some(knob) = &mut state.knobs.model {
                knob.current = Some(short(model));
            }
        }
        (Step::Model(model), Err(failure)) => {
            let message = format!("the agent did not take the model {model}: {}", failure.message);
            heard.events.push(super::notice("MODEL_UNAVAILABLE", message));
        }
    }
    next_step(state, heard);
}

fn ready(state: &mut State, heard: &mut Heard) {
    state.stage = Stage::Ready;
    heard.events.push(AgentEvent::Ready { version: state.agent.version.clone(), model: model(state) });
    if state.start.planning != state.knobs.planning() {
        heard.events.push(AgentEvent::Planning(state.knobs.planning()));
    }
}

/// The model in use, where the agent tells it.
pub(super) fn model(state: &State) -> Option<String> {
    state.knobs.model.as_ref()?.current.clone()
}

/// The conversation to go on with is not there.
fn lost(state: &mut State, why: &str, heard: &mut Heard) {
    state.stage = Stage::Over;
    let name = state.agent_name();
    let message = format!("{name} cannot go on with this conversation ({why}), so a new one is begun");
    heard.events.push(super::notice(CONVERSATION_LOST, message));
}

/// It could not begin, for a reason of its own.
fn give_up(state: &mut State, failure: &Failure, what: &str, heard: &mut Heard) {
    let words = super::turn::words(failure);
    let cause = super::turn::cause(failure, &words).unwrap_or(EndCause::BadConfiguration);
    let message = match cause {
        EndCause::Authentication => {
            let ways = state.agent.sign_in.as_deref().map(|ways| format!(" (it offers: {ways})"));
            format!(
                "{} is not signed in: {words}; sign in with the agent's own program{}, then send an input",
                state.agent_name(),
                ways.unwrap_or_default()
            )
        }
        _ => format!("{what}: {words}"),
    };
    unusable(state, cause, message, heard);
}

fn unusable(state: &mut State, cause: EndCause, message: String, heard: &mut Heard) {
    state.stage = Stage::Over;
    state.last_cause = Some(cause);
    heard.events.push(AgentEvent::Unable { cause, message });
}

/// Whether an id is of a request of this opening.
fn of_this_opening(state: &State, id: &str) -> bool {
    id.split_once('/').is_some_and(|(_, rest)| rest.starts_with(&state.nonce))
}
