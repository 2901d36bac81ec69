//! What the server is asked, and what its answers mean: opening the conversation, reading what was missed after
//! the stream of events begins (again), and making sure of the end of a turn.
//!
//! Nothing waits for an answer: each request carries a [`Tag`] that comes back with it and says what it was for.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::hear::{asked, from_user, notice};
use super::say::{SentPrompt, rules};
use super::state::{Phase, State, word};
use super::wire::piece;
use super::{CONVERSATION_LOST, parts, turn};
use crate::agent::fields::Fields;
use crate::agent::protocol::{Heard, Outgoing};
use crate::agent::server::wire::{News, Request};
use crate::domain::agent::{AgentEvent, InputProgress};
use crate::domain::ids::InputId;
use crate::domain::restart::EndCause;

/// Messages that are read at first to find what was missed; more when the place is not among them.
const MANY: u64 = 100;
/// Messages that are read when none should have been missed.
pub(super) const FEW: u64 = 4;
/// How much more is read each time that the place is not found.
const MORE: u64 = 10;
/// Our name for a session in OpenCode's metadata of it.
const MARK: &str = "tether";
/// How often it is looked whether a prompt was taken up after an interrupt.
const LOOKS: u32 = 4;
/// How long between these looks, milliseconds.
const BETWEEN_LOOKS: u64 = 300;

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub(super) enum Tag {
    /// The person's own settings, for what they forbid.
    Settings,
    /// A conversation that was begun for this session already, before a crash.
    Find { rules: Vec<Value> },
    /// A new conversation.
    Create,
    /// The conversation to go on with.
    Open { rules: Vec<Value> },
    /// The conversation was told what is forbidden.
    Forbid,
    /// Which sessions are at work: the first step of reading what was missed.
    Sync,
    /// The messages of a conversation.
    Messages { session: String, limit: u64, busy: Vec<String>, then: Then },
    /// What is asked. `open`: what was open when this was sent.
    Asked { question: bool, busy: Vec<String>, open: Vec<String> },
    /// Whether the turn is over.
    Settle { looks: u32 },
    /// A prompt.
    Prompt { input: InputId },
    /// A prompt that the server had already.
    Found { input: InputId },
    /// An answer.
    Answer { request: String },
    /// An interrupt.
    Abort,
    /// Whose sub-agent asks.
    Whose { asked: Box<Value>, question: bool },
}

impl Tag {
    /// As it goes with a request.
    pub(super) fn value(&self) -> Value {
        // Plain data with text keys: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// What messages are read for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Then {
    /// Only to tell the rest of them.
    Rest,
    /// To go on reading what was missed.
    Sync,
    /// To end the turn.
    Settle(u32),
}

/// Opens the conversation: first it is asked what the person's own settings forbid.
pub(super) fn opening() -> Outgoing {
    Request::get("/global/config", Tag::Settings.value()).into()
}

/// Reads what was missed.
pub(super) fn start() -> Outgoing {
    Request::get("/session/status", Tag::Sync.value()).into()
}

/// Looks whether the turn is over.
pub(super) fn settle(looks: u32) -> Outgoing {
    settle_again(looks, 0)
}

/// The same, a little later.
pub(super) fn settle_after(delay_ms: u64) -> Outgoing {
    settle_again(0, delay_ms)
}

/// The same, with how often it was looked already.
pub(super) fn settle_again(looks: u32, delay_ms: u64) -> Outgoing {
    Request::get("/session/status", Tag::Settle { looks }.value()).after(delay_ms).into()
}

/// The newest messages of a conversation.
pub(super) fn messages(session: &str, limit: u64, busy: &[String], then: Then) -> Outgoing {
    let tag = Tag::Messages { session: session.to_owned(), limit, busy: busy.to_vec(), then };
    let path = format!("/session/{}/message", piece(session));
    Request::get(path, tag.value()).query("limit", limit).into()
}

/// Whose sub-agent it is that asks something.
pub(super) fn whose(session: &str, asked: &Value, question: bool) -> Outgoing {
    let tag = Tag::Whose { asked: Box::new(asked.clone()), question };
    Request::get(format!("/session/{}", piece(session)), tag.value()).into()
}

/// Something of the link's.
pub(super) fn news(state: &mut State, news: News, heard: &mut Heard) {
    let (tag, result) = match news {
        News::Connected => {
            state.seal();
            if state.phase != Phase::Opening {
                heard.replies.push(start());
            }
            return;
        }
        News::Reply { tag, status, body } if status < 400 => (tag, Ok(body)),
        News::Reply { tag, status, body } => (tag, Err((status, said(&body)))),
        News::Failed { tag, error } => (tag, Err((0, error))),
    };
    let Ok(tag) = serde_json::from_value(tag) else { return };
    match result {
        Ok(body) => answered(state, tag, body, heard),
        Err((status, words)) => refused(state, tag, status, &words, heard),
    }
}

/// What an error answer says.
fn said(body: &Value) -> String {
    let message = body.get("data").and_then(|data| data.text("message")).or(body.text("message"));
    let words = message.or(body.as_str()).unwrap_or_default();
    words.lines().next().unwrap_or_default().chars().take(500).collect()
}

fn answered(state: &mut State, tag: Tag, body: Value, heard: &mut Heard) {
    let list = || body.as_array().map_or(&[][..], Vec::as_slice);
    match tag {
        Tag::Settings => settings(state, &body, heard),
        Tag::Find { rules } => found(state, list(), rules, heard),
        Tag::Create => opened(state, &body, &[], heard),
        Tag::Open { rules } => opened(state, &body, &rules, heard),
        Tag::Forbid | Tag::Prompt { .. } | Tag::Answer { .. } => {}
        Tag::Sync => {
            let busy = busy(&body);
            let root = state.root().to_owned();
            heard.replies.push(messages(&root, MANY, &busy, Then::Sync));
        }
        Tag::Messages { session, limit, busy, then } => {
            read(state, (&session, limit), list(), &busy, &then, heard);
        }
        Tag::Asked { question, busy, open } => {
            still_asked(state, list(), question, &busy, &open, heard);
            if question {
                all_read(state, &busy, heard);
            }
        }
        Tag::Settle { looks } => {
            let busy = busy(&body);
            if !busy.iter().any(|session| state.is_root(session)) {
                nothing_runs(state, &busy, looks, heard);
            }
        }
        Tag::Found { input } => {
            let progress = if state.in_turn { InputProgress::Started } else { InputProgress::Completed };
            heard.events.push(AgentEvent::InputProgress { input, progress });
        }
        Tag::Abort => heard.replies.push(settle(0)),
        Tag::Whose { asked: request, question } => {
            let session = request.text("sessionID").unwrap_or_default();
            let parent = body.text("parentID");
            if parent.is_some_and(|parent| state.thread(parent).is_some()) {
                let (at, _) = state.thread_of(session);
                if let (Some(thread), Some(title)) = (state.threads.get_mut(at), body.text("title")) {
                    thread.title = word(title);
                }
                asked(state, &request, question, heard);
            } else {
                state.note_stranger(session);
            }
        }
    }
}

/// A request failed; `status` is 0 where there was no answer at all.
fn refused(state: &mut State, tag: Tag, status: u16, words: &str, heard: &mut Heard) {
    match tag {
        Tag::Open { .. } if status == 404 => lost(heard),
        Tag::Settings | Tag::Find { .. } | Tag::Create | Tag::Open { .. } | Tag::Forbid if status != 0 => {
            let message = format!(
                "OpenCode cannot open a conversation here ({status}: {words}): look at its settings, then send an input"
            );
            heard.events.push(AgentEvent::Unable { cause: EndCause::BadConfiguration, message });
        }
        Tag::Settings | Tag::Find { .. } | Tag::Create | Tag::Open { .. } | Tag::Forbid => {
            let words = format!("OpenCode's server did not open the conversation ({words})");
            heard.replies.push(Request::new(super::END_RUN, words, Value::Null).into());
        }
        Tag::Messages { session, .. } if status == 404 && state.is_root(&session) => lost(heard),
        Tag::Prompt { .. } if status == 404 => lost(heard),
        // Without an answer the server is gone, and what becomes of the prompt is decided after its return.
        Tag::Prompt { input } if status != 0 => {
            turn::refused(state, &input, &format!("OpenCode refused the input ({status}: {words})"), heard);
        }
        // A request that is over, or was answered: nobody waits for it.
        Tag::Answer { .. } if status == 404 => {}
        Tag::Answer { request } => heard.events.push(notice(
            super::ANSWER_REFUSED,
            format!(
                "OpenCode did not take the answer to {request} ({status} {words}): interrupt it if it waits"
            ),
        )),
        Tag::Whose { asked, .. } if status == 404 => {
            state.note_stranger(asked.text("sessionID").unwrap_or_default());
        }
        // The next connection reads it again.
        _ => {}
    }
}

fn lost(heard: &mut Heard) {
    heard.events.push(notice(CONVERSATION_LOST, "OpenCode has no record of this conversation any more"));
}

fn settings(state: &State, settings: &Value, heard: &mut Heard) {
    let rules = rules(settings);
    let next = match &state.conversation {
        Some(id) => Request::get(format!("/session/{}", piece(id)), Tag::Open { rules }.value()),
        None => Request::get("/session", Tag::Find { rules }.value()).query("roots", true).query("limit", 20),
    };
    heard.replies.push(next.into());
}

/// The newest conversations in this directory: one of them may have been made for us before a crash.
fn found(state: &mut State, list: &[Value], rules: Vec<Value>, heard: &mut Heard) {
    let mark = |info: &&Value| info.get("metadata").and_then(|data| data.text(MARK)) == Some(&state.wanted);
    if let Some(info) = list.iter().find(mark) {
        return opened(state, info, &rules, heard);
    }
    let body = json!({ "metadata": { MARK: state.wanted }, "permission": rules });
    heard.replies.push(Request::post("/session", Tag::Create.value()).with(body).into());
}

/// The conversation is there.
fn opened(state: &mut State, info: &Value, rules: &[Value], heard: &mut Heard) {
    let Some(id) = info.text("id") else {
        let words = "OpenCode gave a conversation without an id";
        return heard.replies.push(Request::new(super::END_RUN, words, Value::Null).into());
    };
    state.conversation = Some(word(id));
    state.version = info.text("version").map(word);
    let created = info.get("time").and_then(|time| time.number("created")).unwrap_or(0);
    // In the same form as the front of an id: the last 48 bits of milliseconds and a count.
    state.newest = state.newest.max((created << 12) & 0xffff_ffff_ffff);
    state.phase = Phase::Reading;
    let root = state.threads.first().is_some_and(|thread| thread.id == id);
    if !root {
        state.threads.clear();
        state.thread_of(id);
    }
    heard.events.push(AgentEvent::Conversation(id.to_owned()));
    let has = |rule: &&Value| info.list("permission").contains(rule);
    if !rules.iter().all(|rule| has(&rule)) {
        let all: Vec<&Value> = info.list("permission").iter().chain(rules).collect();
        let path = format!("/session/{}", piece(id));
        let request = Request::new("PATCH", path, Tag::Forbid.value()).with(json!({ "permission": all }));
        heard.replies.push(request.into());
    }
    heard.replies.push(start());
}

/// The sessions that are at work, from `{<session>: {"type": "busy" | "retry" | ...}}`.
fn busy(body: &Value) -> Vec<String> {
    let all = body.as_object().into_iter().flatten();
    let works = |status: &Value| status.text("type").is_some_and(|kind| kind != "idle");
    all.filter(|(_, status)| works(status)).map(|(session, _)| session.clone()).collect()
}

/// The newest messages of a conversation: tells what was not told yet.
fn read(
    state: &mut State,
    (session, limit): (&str, u64),
    list: &[Value],
    busy: &[String],
    then: &Then,
    heard: &mut Heard,
) {
    let Some(at) = state.thread(session) else { return };
    let done = |message: &Value| {
        let id = message.get("info").and_then(|info| info.text("id"));
        state.threads.get(at).zip(id).is_some_and(|(thread, id)| thread.is_done(id))
    };
    let place = list.iter().rposition(done).map(|place| place + 1);
    let full = u64::try_from(list.len()).is_ok_and(|length| length >= limit);
    if place.is_none() && full && !state.look_only {
        // What was told last is further back.
        heard.replies.push(messages(session, limit.saturating_mul(MORE), busy, then.clone()));
        return;
    }
    if let Some(thread) = state.threads.get_mut(at) {
        thread.unread = false;
    }
    let works = busy.iter().any(|id| id == session);
    // What another program wrote between two lives is history, which is told elsewhere.
    let known: Vec<String> = state.users.iter().chain(&state.sent).cloned().collect();
    let elsewhere = |state: &State, info: &Value| {
        let parent = info.text("parentID").unwrap_or_default();
        let id = info.text("id").unwrap_or_default();
        let heard = state.threads.get(at).is_some_and(|thread| thread.knows(id));
        state.new_life && at == 0 && !heard && !known.iter().any(|known| known == parent)
    };
    for message in list.get(place.unwrap_or(0)..).unwrap_or_default() {
        let Some(info) = message.get("info") else { continue };
        let Some(id) = info.text("id") else { continue };
        match info.text("role") {
            Some("user") if state.is_root(session) => from_user(state, id, heard),
            Some("assistant") if elsewhere(state, info) => pass_over(state, at, info),
            Some("assistant") => from_agent(state, at, message, works, heard),
            _ => {}
        }
    }
    match then {
        Then::Rest => {}
        Then::Settle(looks) => turn::settle(state, list, *looks, heard),
        Then::Sync if state.is_root(session) => {
            if works {
                turn::begin(state, heard);
            }
            state.look_only = false;
            state.new_life = false;
            read_on(state, busy, heard);
        }
        Then::Sync => {}
    }
}

/// A message that is not told, here at least.
fn pass_over(state: &mut State, at: usize, info: &Value) {
    // Before all is read, the model is only remembered.
    turn::look_at(state, info, &mut Heard::default());
    if let Some(thread) = state.threads.get_mut(at) {
        thread.finish(info.text("id").unwrap_or_default());
    }
}

/// One of the agent's messages, read back.
fn from_agent(state: &mut State, at: usize, message: &Value, works: bool, heard: &mut Heard) {
    let Some(info) = message.get("info") else { return };
    let id = info.text("id").unwrap_or_default();
    let complete = turn::is_complete(info);
    // Nothing more comes of a message that an earlier life left unfinished.
    let left = state.new_life && !works;
    if state.look_only && (complete || !works) {
        return pass_over(state, at, info);
    }
    if turn::is_summary(info) {
        match complete && !state.new_life {
            true => turn::summed_up(state, at, info, heard),
            false if complete || left => {
                state.threads.get_mut(at).into_iter().for_each(|thread| thread.finish(id));
            }
            false => {}
        }
        return;
    }
    let Some(thread) = state.threads.get_mut(at) else { return };
    let known = thread.knows(id);
    thread.message(id);
    if !known && at == 0 && !left && !state.new_life {
        // A turn of which nothing was heard.
        turn::begin(state, heard);
    }
    turn::look_at(state, info, heard);
    for part in message.list("parts") {
        parts::updated(state, at, part, complete || left, false, &mut heard.events);
    }
    if complete && !state.new_life {
        turn::account(state, at, info, heard);
    } else if (complete || left)
        && let Some(thread) = state.threads.get_mut(at)
    {
        thread.finish(id);
    }
}

/// After the conversation itself: those of sub-agents where something may have been missed, then what is asked.
fn read_on(state: &State, busy: &[String], heard: &mut Heard) {
    for thread in state.threads.iter().skip(1) {
        let open = !thread.messages.is_empty() || thread.done.is_empty();
        if thread.unread || open || busy.contains(&thread.id) {
            heard.replies.push(messages(&thread.id, MANY, busy, Then::Sync));
        }
    }
    for question in [false, true] {
        let open = state.open.iter().filter(|open| open.question == question);
        let open = open.map(|open| open.id.clone()).collect();
        let tag = Tag::Asked { question, busy: busy.to_vec(), open };
        let path = if question { "/question" } else { "/permission" };
        heard.replies.push(Request::get(path, tag.value()).into());
    }
}

/// What is asked now: what is new is asked, and what was open and is not among it was answered elsewhere.
fn still_asked(
    state: &mut State,
    list: &[Value],
    question: bool,
    busy: &[String],
    open: &[String],
    heard: &mut Heard,
) {
    for request in list {
        // The server goes on listing what an interrupted turn asked, and nobody waits for that.
        if request.text("sessionID").is_some_and(|session| busy.iter().any(|id| id == session)) {
            asked(state, request, question, heard);
        }
    }
    let listed = |id: &str| list.iter().any(|request| request.text("id") == Some(id));
    for id in open.iter().filter(|id| !listed(id)) {
        if state.settle_request(id) {
            heard.events.push(AgentEvent::Withdrew(id.clone()));
        }
    }
}

/// Everything that was missed is told.
fn all_read(state: &mut State, busy: &[String], heard: &mut Heard) {
    if state.phase == Phase::Reading {
        state.phase = Phase::Ready;
        let (version, model) = (state.version.clone(), state.told_model.clone());
        heard.events.push(AgentEvent::Ready { version, model });
    }
    let works = busy.iter().any(|session| state.is_root(session));
    if !works && (state.in_turn || !state.waiting.is_empty()) {
        heard.replies.push(settle(0));
    }
}

/// Nothing runs in the conversation: the turn is over, or a prompt was never taken up.
fn nothing_runs(state: &mut State, busy: &[String], looks: u32, heard: &mut Heard) {
    if state.in_turn {
        let root = state.root().to_owned();
        heard.replies.push(messages(&root, FEW, busy, Then::Settle(looks)));
        return;
    }
    if state.waiting.is_empty() {
        return;
    }
    if looks < LOOKS {
        heard.replies.push(settle_again(looks + 1, BETWEEN_LOOKS));
        return;
    }
    let interrupted = std::mem::take(&mut state.interrupt_next);
    if !interrupted && state.waiting.iter().any(|waiting| waiting.arrived) {
        // It was over before anything of it was heard.
        turn::begin(state, heard);
        nothing_runs(state, busy, looks, heard);
        return;
    }
    for waiting in std::mem::take(&mut state.waiting) {
        let progress = if waiting.arrived { InputProgress::Completed } else { InputProgress::Cancelled };
        heard.events.push(AgentEvent::InputProgress { input: waiting.input, progress });
    }
}

/// A prompt that the server had already, as far as we know: what became of it is told.
pub(super) fn found_again(input: &InputId) -> Outgoing {
    Request::get("/session/status", Tag::Found { input: input.clone() }.value()).into()
}

/// A prompt on its way.
pub(super) fn prompt(root: &str, sent: SentPrompt) -> Outgoing {
    let path = format!("/session/{}/prompt_async", piece(root));
    Request::post(path, Tag::Prompt { input: sent.input }.value()).with(sent.body).into()
}
