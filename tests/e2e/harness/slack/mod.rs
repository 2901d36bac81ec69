//! A Slack that speaks the real wire formats and refuses what Slack refuses: the Web API over HTTP and Socket Mode over
//! WebSocket, with one channel, a bot in it, and people who write, press and react. Faults are scripted a method.
//!
//! What a client did wrong without being told so (late acknowledgements, texts that are too long) fails the test when
//! this is dropped.

mod rules;
mod servers;
mod state;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use self::state::{File, Out, State};
use super::chat::{self, Chat};
use super::{Home, Stage, eventually};

pub const BOT_TOKEN: &str = "xoxb-rig";
pub const APP_TOKEN: &str = "xapp-rig";
pub const CHANNEL: &str = "C0RIG";
/// The bot, and the user that it is.
pub const BOT: &str = "B0RIG";
pub const BOT_USER: &str = "U0BOT";
/// Who may act in the tests, and who may not.
pub const ALICE: &str = "U0ALICE";
pub const MALLORY: &str = "U0MALLORY";

fn name_of(user: &str) -> Option<&'static str> {
    [(ALICE, "alice"), (MALLORY, "mallory")].into_iter().find(|(id, _)| *id == user).map(|(_, name)| name)
}

/// What happens to a call instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// 429, with these seconds in `Retry-After`, if any.
    Slow(Option<u64>),
    /// This status with a page in HTML.
    Html(u16),
    /// This error, as Slack tells errors.
    Error(&'static str),
    /// The connection breaks off before anything is done, or after.
    CutBefore,
    CutAfter,
    /// It is done, and never answered.
    Silence,
}

/// The workspace.
pub struct FakeSlack {
    state: Arc<Mutex<State>>,
    /// Where the Web API is.
    api_url: String,
    /// Ends the servers when it is dropped.
    _alive: mpsc::Sender<()>,
}

impl Chat for FakeSlack {
    const NAME: &'static str = "slack";

    fn start(home: &mut Home) -> Self {
        let slack = Self::alone();
        for (name, value) in [
            ("SLACK_BOT_TOKEN", BOT_TOKEN),
            ("SLACK_APP_TOKEN", APP_TOKEN),
            ("SLACK_CHANNEL_ID", CHANNEL),
            ("SLACK_ALLOWED_USER_IDS", ALICE),
            ("SLACK_API_URL", &slack.api_url),
        ] {
            home.extra.insert(name.into(), value.into());
        }
        slack
    }

    async fn connected(&self) {
        eventually("Socket Mode is connected", 40, || async { (self.connections().0 > 0).then_some(()) })
            .await;
    }

    async fn thread_now(&self, name: &str) -> Option<Value> {
        let found = self.shown(None).into_iter().rfind(|message| text_of(message).contains(name))?;
        Some(found["ts"].clone())
    }

    async fn counts(&self) {
        self.state().counting = true;
    }

    async fn refused(&self) -> u64 {
        self.state().refused
    }

    async fn texts(&self, thread: &Value) -> Vec<String> {
        self.shown(thread.as_str()).iter().map(text_of).collect()
    }

    async fn answers(&self, thread: &Value, words: &str, label: &str) {
        let card = self.asks(thread.as_str(), words).await;
        self.press(ALICE, card["ts"].as_str().expect("a message has a time"), label);
    }
}

impl FakeSlack {
    fn alone() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (ready, started) = std::sync::mpsc::channel();
        let (alive, mut over) = mpsc::channel::<()>(1);
        let shared = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let http = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                let sockets = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
                {
                    let mut state = shared.lock().expect("nobody panicked");
                    state.base = format!("http://127.0.0.1:{}", port(&http));
                    state.socket_base = format!("ws://127.0.0.1:{}", port(&sockets));
                    state.member = true;
                    let scopes = [
                        "chat:write",
                        "channels:read",
                        "channels:history",
                        "files:read",
                        "files:write",
                        "users:read",
                        "reactions:read",
                        "im:history",
                    ];
                    state.scopes = scopes.map(str::to_owned).to_vec();
                }
                ready.send(()).expect("somebody waits");
                tokio::select! {
                    () = servers::http(http, shared.clone()) => {}
                    () = servers::sockets(sockets, shared.clone()) => {}
                    () = servers::watch(shared) => {}
                    _ = over.recv() => {}
                }
            });
        });
        started.recv().expect("the servers started");
        let api_url = format!("{}/api", state.lock().expect("nobody panicked").base);
        Self { state, api_url, _alive: alive }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    // --- what people do ---

    /// Somebody writes into the channel, or into a thread of it. Known by its time.
    pub fn say(&self, user: &str, thread: Option<&str>, text: &str) -> String {
        self.say_in(CHANNEL, user, thread, json!({ "text": text }))
    }

    /// Somebody writes to the bot alone.
    pub fn say_directly(&self, user: &str, text: &str) -> String {
        self.say_in("D0DIRECT", user, None, json!({ "text": text, "channel_type": "im" }))
    }

    /// Somebody sends a file, with words.
    pub fn send_file(&self, user: &str, thread: &str, text: &str, name: &str, bytes: &[u8]) -> String {
        let file = {
            let mut state = self.state();
            let id = format!("F{}", state.number());
            let file = File { name: name.to_owned(), bytes: bytes.to_vec(), ..File::default() };
            state.files.insert(id.clone(), file);
            let url = format!("{}/files/{id}", state.base);
            json!({ "id": id, "name": name, "size": bytes.len(), "url_private": url, "url_private_download": url })
        };
        self.say_in(
            CHANNEL,
            user,
            Some(thread),
            json!({ "text": text, "subtype": "file_share", "files": [file] }),
        )
    }

    /// A message with any fields.
    pub fn say_in(&self, channel: &str, user: &str, thread: Option<&str>, fields: Value) -> String {
        let mut state = self.state();
        let mut message =
            json!({ "user": user, "client_msg_id": format!("m{}", state.number()), "team": "T1" });
        for (name, value) in fields.as_object().expect("fields") {
            message[name] = value.clone();
        }
        if let Some(thread) = thread {
            message["thread_ts"] = thread.into();
        }
        let ts = state.put(channel, message);
        let mut event = state.messages[&(channel.to_owned(), ts.clone())].clone();
        event["channel"] = channel.into();
        event["event_ts"] = ts.clone().into();
        state.tell_event(event);
        ts
    }

    /// Somebody puts an emoji on a message of the channel.
    pub fn react(&self, user: &str, ts: &str, emoji: &str) {
        let item = json!({ "type": "message", "channel": CHANNEL, "ts": ts });
        self.state()
            .tell_event(json!({ "type": "reaction_added", "user": user, "reaction": emoji, "item": item,
            "item_user": user, "event_ts": "1.1" }));
    }

    /// Somebody presses the button (or chooses of the menu what) says this on a message.
    pub fn press(&self, user: &str, ts: &str, label: &str) {
        let payload = self.payload(user, ts, label);
        self.tell("interactive", payload);
    }

    /// What such a press tells.
    pub fn payload(&self, user: &str, ts: &str, label: &str) -> Value {
        let mut state = self.state();
        let message = state.messages[&(CHANNEL.to_owned(), ts.to_owned())].clone();
        let elements = message["blocks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|block| block["elements"].as_array());
        let mut action = None;
        for element in elements.flatten() {
            if element["text"]["text"] == label {
                action = Some(element.clone());
            }
            let options = element["options"].as_array();
            if let Some(option) =
                options.and_then(|all| all.iter().find(|option| option["text"]["text"] == label))
            {
                action = Some(json!({ "type": "static_select", "action_id": element["action_id"],
                    "selected_option": option }));
            }
        }
        let mut action = action.unwrap_or_else(|| panic!("no button says {label}: {message:#}"));
        action["action_ts"] = state.ts().into();
        let trigger = format!("trigger{}", state.number());
        state.triggers.insert(trigger.clone(), Instant::now());
        let container = json!({ "type": "message", "message_ts": ts, "channel_id": CHANNEL, "is_ephemeral": false,
            "thread_ts": message["thread_ts"] });
        let name = name_of(user).unwrap_or("somebody");
        json!({ "type": "block_actions", "user": { "id": user, "username": name, "name": name, "team_id": "T1" },
                "api_app_id": "A1", "token": "x", "trigger_id": trigger, "container": container, "enterprise": null,
                "team": { "id": "T1", "domain": "rig" }, "is_enterprise_install": false,
                "channel": { "id": CHANNEL, "name": "agents" }, "message": message, "state": { "values": {} },
                "response_url": "https://hooks.slack.example/x", "actions": [action] })
    }

    /// Waits for the form that a press opened; somebody fills it in and sends it.
    pub async fn fill(&self, user: &str, words: &str) -> Value {
        let view = eventually("a form is opened", 20, || async { self.state().views.pop() }).await;
        let mut filled = view.clone();
        let field = &view["blocks"][0];
        let (block, action) = (field["block_id"].as_str(), field["element"]["action_id"].as_str());
        let (block, action) = (block.expect("a block_id"), action.expect("an action_id"));
        filled["state"] =
            json!({ "values": { block: { action: { "type": "plain_text_input", "value": words } } } });
        self.state().tell(
            "interactive",
            json!({ "type": "view_submission", "user": { "id": user }, "view": filled, "team": { "id": "T1" } }),
        );
        view
    }

    /// Any envelope, as a forger or a newer Slack would send it.
    pub fn tell(&self, kind: &str, payload: Value) {
        self.state().tell(kind, payload);
    }

    /// Somebody deletes a message; of the head of a thread something is left.
    pub fn delete(&self, ts: &str) {
        let mut state = self.state();
        let key = (CHANNEL.to_owned(), ts.to_owned());
        let message = state.messages.remove(&key).expect("it is there");
        if message["reply_count"].as_u64().unwrap_or(0) == 0 {
            return state
                .tell_event(json!({ "type": "message", "subtype": "message_deleted", "hidden": true,
                "channel": CHANNEL, "deleted_ts": ts, "ts": ts, "previous_message": message }));
        }
        let left = json!({ "type": "message", "subtype": "tombstone", "user": "USLACKBOT", "hidden": true, "ts": ts,
            "thread_ts": ts, "text": "This message was deleted.", "reply_count": message["reply_count"],
            "latest_reply": message["latest_reply"] });
        state.messages.insert(key, left.clone());
        state.tell_event(
            json!({ "type": "message", "subtype": "message_changed", "hidden": true, "channel": CHANNEL,
            "message": left, "previous_message": message, "ts": ts }),
        );
    }

    // --- what goes wrong ---

    /// The next call of a method meets this; several one after the other.
    pub fn fault(&self, method: &str, fault: Fault) {
        self.state().faults.entry(method.to_owned()).or_default().push_back(fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Slack announces that it closes the connections.
    pub fn disconnect(&self, reason: &str) {
        let frame = json!({ "type": "disconnect", "reason": reason, "debug_info": { "host": "rig" } });
        self.state().sockets.values().for_each(|socket| drop(socket.send(Out::Frame(frame.clone()))));
    }

    /// The connections break off.
    pub fn cut(&self) {
        self.state().sockets.values().for_each(|socket| drop(socket.send(Out::Cut)));
    }

    /// The bot loses a permission, or leaves its channel.
    pub fn take_scope(&self, scope: &str) {
        self.state().scopes.retain(|has| has != scope);
    }

    /// The bot gets it again.
    pub fn give_scope(&self, scope: &str) {
        self.state().scopes.push(scope.to_owned());
    }

    pub fn set_member(&self, member: bool) {
        self.state().member = member;
    }

    /// So many other programs are connected with the same token.
    pub fn set_others(&self, others: u64) {
        self.state().others = others;
    }

    // --- what is to be seen ---

    /// Open connections, and how many were ever opened.
    pub fn connections(&self) -> (usize, u64) {
        let state = self.state();
        (state.sockets.len(), state.greeted)
    }

    /// The arguments of all calls of a method, oldest first.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let state = self.state();
        state.calls.iter().filter(|(name, _)| name == method).map(|(_, given)| given.clone()).collect()
    }

    /// The bot's messages in a thread, or those of the channel without one, as they are now.
    pub fn shown(&self, thread: Option<&str>) -> Vec<Value> {
        let state = self.state();
        let of_bot = state.messages.iter().filter(|((channel, _), message)| {
            let head = message["thread_ts"].is_null() || message["thread_ts"] == message["ts"];
            let there = match thread {
                Some(thread) => !head && message["thread_ts"] == thread,
                None => head,
            };
            channel == CHANNEL && message["user"] == BOT_USER && there
        });
        of_bot.map(|(_, message)| message.clone()).collect()
    }

    /// What was sent to one person alone.
    pub fn shown_directly(&self) -> Vec<Value> {
        let state = self.state();
        let direct = state.messages.iter().filter(|((channel, _), _)| channel == "D0DIRECT");
        direct.map(|(_, message)| message.clone()).filter(|message| message["user"] == BOT_USER).collect()
    }

    /// Waits for a message of the bot that says this; gives it.
    pub async fn says(&self, thread: Option<&str>, words: &str) -> Value {
        let found =
            || async { self.shown(thread).into_iter().rfind(|message| text_of(message).contains(words)) };
        eventually(&format!("Slack shows {words:?} in {thread:?}"), 60, found).await
    }

    /// Waits for a message of the bot that says this and has buttons; gives it.
    pub async fn asks(&self, thread: Option<&str>, words: &str) -> Value {
        let is = |message: &Value| text_of(message).contains(words) && !labels(message).is_empty();
        let found = || async { self.shown(thread).into_iter().rfind(is) };
        eventually(&format!("Slack asks {words:?} in {thread:?}"), 60, found).await
    }

    /// The bytes of a file that the bot sent, or somebody.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.files.values().find(|file| file.name == name).map(|file| file.bytes.clone())
    }
}

/// A session of an external agent that is shown on Slack; its id, and its thread.
pub async fn external(stage: &Stage, slack: &FakeSlack, name: &str) -> (String, String) {
    let (id, thread) = chat::external(stage, slack, name).await;
    (id, thread.as_str().expect("a time").to_owned())
}

/// A session of a real agent; its id, and its thread.
pub async fn working(stage: &Stage, slack: &FakeSlack) -> (String, String) {
    let (id, thread) = chat::working(stage, slack).await;
    (id, thread.as_str().expect("a time").to_owned())
}

/// All that a message says: its blocks as they are shown, and its text without blocks.
pub fn text_of(message: &Value) -> String {
    let blocks = message["blocks"].as_array().filter(|blocks| !blocks.is_empty());
    let Some(blocks) = blocks else { return message["text"].as_str().unwrap_or_default().to_owned() };
    let texts = blocks.iter().filter_map(|block| block["text"]["text"].as_str());
    texts.collect::<Vec<_>>().join("\n").replace(['\u{2060}', '\u{200b}'], "")
}

/// What the buttons of a message say.
pub fn labels(message: &Value) -> Vec<String> {
    let blocks = message["blocks"].as_array().into_iter().flatten();
    let elements = blocks.filter_map(|block| block["elements"].as_array()).flatten();
    elements.filter_map(|element| element["text"]["text"].as_str()).map(str::to_owned).collect()
}

impl Drop for FakeSlack {
    fn drop(&mut self) {
        let (complaints, calls) = {
            let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            (state.complaints.clone(), state.calls.clone())
        };
        if std::thread::panicking() {
            for (method, given) in calls.iter().rev().take(30).rev() {
                eprintln!("---- {method} {given}");
            }
            eprintln!("---- Slack complains: {complaints:#?}");
        } else {
            assert!(complaints.is_empty(), "Slack complains: {complaints:#?}");
        }
    }
}
