//! A stand-in for the server that knows what the recorded events tell, and the recordings themselves.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::*;
use crate::agent::recordings;
use crate::agent::server::wire::{News, Request};
use crate::domain::agent::AgentEvent;
use crate::domain::approval::{Answer, Ask, Scope};
use crate::domain::ids::InputId;

/// One line of a recording.
#[derive(Clone)]
pub struct Recorded {
    pub line: Value,
}

impl Recorded {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&Value> {
        self.line.get("sse")?;
        self.line.get("body")
    }

    /// Method, path without query, and body of what the recorded supervisor sent.
    fn sent(&self) -> Option<(&str, &str, &Value)> {
        if self.line["dir"] != "in" {
            return None;
        }
        let path = self.line["path"].as_str()?.split('?').next()?;
        Some((self.line["method"].as_str()?, path, &self.line["body"]))
    }

    fn is_restart(&self) -> bool {
        self.line["note"].as_str().is_some_and(|note| note.contains("SIGKILL"))
    }
}

pub fn cases() -> Vec<(PathBuf, Vec<Recorded>)> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("it can be read");
        let line = |line: &str| Recorded { line: serde_json::from_str(line).expect("a recording is JSON") };
        text.lines().map(line).collect()
    };
    recordings::paths("opencode", 20).into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// What the server would answer, from the events that it sent so far.
#[derive(Default)]
struct Server {
    sessions: BTreeMap<String, Value>,
    status: BTreeMap<String, Value>,
    messages: BTreeMap<String, Vec<Value>>,
    asked: [Vec<Value>; 2],
    created: Value,
}

impl Server {
    fn take(&mut self, event: &Value) {
        let properties = &event["properties"];
        let session = properties["sessionID"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap_or_default() {
            "session.created" | "session.updated" => {
                self.sessions.insert(session, properties["info"].clone());
            }
            "session.status" => {
                if properties["status"]["type"] == "idle" {
                    self.status.remove(&session);
                } else {
                    self.status.insert(session, properties["status"].clone());
                }
            }
            "message.updated" => {
                let info = &properties["info"];
                let list = self.messages.entry(session).or_default();
                match list.iter_mut().find(|message| message["info"]["id"] == info["id"]) {
                    Some(message) => message["info"] = info.clone(),
                    None => list.push(json!({ "info": info, "parts": [] })),
                }
            }
            "message.part.updated" => {
                let part = &properties["part"];
                let list = self.messages.entry(session).or_default();
                let message = list.iter_mut().find(|message| message["info"]["id"] == part["messageID"]);
                let Some(parts) = message.and_then(|message| message["parts"].as_array_mut()) else { return };
                match parts.iter_mut().find(|known| known["id"] == part["id"]) {
                    Some(known) => *known = part.clone(),
                    None => parts.push(part.clone()),
                }
            }
            "permission.asked" => self.asked[0].push(properties.clone()),
            "question.asked" => self.asked[1].push(properties.clone()),
            "permission.replied" | "question.replied" | "question.rejected" => {
                for list in &mut self.asked {
                    list.retain(|asked| asked["id"] != properties["requestID"]);
                }
            }
            _ => {}
        }
    }

    fn answer(&self, request: &Request) -> (u16, Value) {
        let pieces: Vec<&str> = request.path.split('/').skip(1).collect();
        let list = |list: &[Value]| (200, Value::from(list.to_vec()));
        match (request.method.as_str(), pieces.as_slice()) {
            ("GET", ["global", "config"]) => (200, json!({ "permission": { "webfetch": "deny" } })),
            ("GET", ["session"]) => (200, json!([])),
            ("POST", ["session"]) => (200, self.created.clone()),
            ("GET", ["session", "status"]) => (200, json!(self.status)),
            ("GET", ["session", id, "message"]) => {
                let all = self.messages.get(*id).cloned().unwrap_or_default();
                let limit = request.query.iter().find(|(name, _)| name == "limit");
                let limit = limit.and_then(|(_, value)| value.parse().ok()).unwrap_or(usize::MAX);
                list(&all[all.len().saturating_sub(limit)..])
            }
            ("GET", ["session", id]) => match self.sessions.get(*id) {
                Some(info) => (200, info.clone()),
                None if self.created["id"] == **id => (200, self.created.clone()),
                None => (404, json!({ "name": "NotFoundError", "data": { "message": "no session" } })),
            },
            ("PATCH", _) => (200, self.created.clone()),
            ("GET", ["permission"]) => list(&self.asked[0]),
            ("GET", ["question"]) => list(&self.asked[1]),
            ("POST", [.., "prompt_async"]) => (204, Value::Null),
            ("POST", _) => (200, Value::Bool(true)),
            other => panic!("no such request: {other:?}"),
        }
    }
}

/// A recording, played to the protocol.
pub struct Play {
    pub protocol: OpencodeProtocol,
    /// What came of it.
    pub events: Vec<AgentEvent>,
    /// All of it in words.
    pub log: String,
    server: Server,
    later: VecDeque<Request>,
    asks: BTreeMap<String, Box<Ask>>,
    /// The person's messages, as recorded, oldest first.
    users: VecDeque<String>,
    /// Their ids, as recorded and as we make them.
    renamed: Vec<(String, String)>,
    inputs: usize,
    /// Store and restore the protocol before each line, and compare.
    pub restoring: bool,
}

impl Play {
    pub fn new(lines: &[Recorded]) -> Self {
        let created = lines.iter().find(|recorded| {
            recorded.line["dir"] == "out"
                && recorded.line["method"] == "POST"
                && recorded.line["body"]["id"].is_string()
        });
        let created = created.map(|recorded| recorded.line["body"].clone()).expect("a session is made");
        let mut users = VecDeque::new();
        for event in lines.iter().filter_map(Recorded::event) {
            let info = &event["properties"]["info"];
            let id = info["id"].as_str().unwrap_or_default();
            let mine = info["role"] == "user" && info["sessionID"] == created["id"];
            if event["type"] == "message.updated" && mine && !users.iter().any(|known| known == id) {
                users.push_back(id.to_owned());
            }
        }
        Self {
            protocol: OpencodeProtocol::new(),
            events: Vec::new(),
            log: String::new(),
            server: Server { created, ..Server::default() },
            later: VecDeque::new(),
            asks: BTreeMap::new(),
            users,
            renamed: Vec::new(),
            inputs: 0,
            restoring: false,
        }
    }

    fn work(&self, conversation: &str) -> Work {
        Work { directory: "/home/dev/project".into(), conversation: conversation.into(), ..Work::default() }
    }

    /// Plays it all; the events of the lines in `cut` are not heard, as if the connection was down.
    pub fn play(&mut self, lines: &[Recorded], cut: std::ops::Range<usize>) {
        let opening = self.protocol.opening(&self.work("0194-wanted"));
        self.ask_server(opening);
        self.hear(&News::Connected.line());
        for (number, recorded) in lines.iter().enumerate() {
            if number == cut.end && !cut.is_empty() {
                self.note("connected again");
                self.hear(&News::Connected.line());
            }
            if let Some(event) = recorded.event() {
                let (event, text) = self.rename(event);
                self.server.take(&event);
                if !cut.contains(&number) {
                    self.hear(text.as_bytes());
                }
            } else if recorded.is_restart() {
                self.restart();
            } else if let Some((method, path, body)) = recorded.sent() {
                self.command(method, path, body);
            }
        }
        if cut.end >= lines.len() && !cut.is_empty() {
            self.hear(&News::Connected.line());
        }
        for _ in 0..100 {
            let Some(request) = self.later.pop_front() else { break };
            self.answer(request);
        }
    }

    /// Another program went on with the conversation, which this server finds in the database.
    pub fn written_elsewhere(&mut self, words: &str) {
        let session = self.server.created["id"].as_str().expect("it has an id").to_owned();
        let message = |id: &str, role: &str| {
            json!({ "info": { "id": id, "sessionID": session, "role": role, "parentID": "msg_fffffffffff0x",
                "time": { "created": 1, "completed": 2 }, "finish": "stop" },
                "parts": [{ "id": format!("prt_{id}"), "messageID": id, "sessionID": session, "type": "text",
                    "text": words, "time": { "start": 1, "end": 2 } }] })
        };
        let list = self.server.messages.entry(session.clone()).or_default();
        list.push(message("msg_fffffffffff0x", "user"));
        list.push(message("msg_fffffffffff1x", "assistant"));
    }

    /// The server died and was started again.
    pub fn restart(&mut self) {
        self.note("the server is another one");
        self.server.status.clear();
        self.server.asked = [Vec::new(), Vec::new()];
        self.later.clear();
        let conversation = self.server.created["id"].as_str().expect("it has an id").to_owned();
        let opening = self.protocol.opening(&Work { resume: true, ..self.work(&conversation) });
        self.ask_server(opening);
        self.hear(&News::Connected.line());
    }

    /// The event with our ids in it, and its text.
    fn rename(&self, event: &Value) -> (Value, String) {
        let text = event.to_string();
        let known: Vec<_> = self.renamed.iter().filter(|(recorded, _)| text.contains(recorded)).collect();
        if known.is_empty() {
            return (event.clone(), text);
        }
        let text = known.into_iter().fold(text, |text, (recorded, ours)| text.replace(recorded, ours));
        (serde_json::from_str(&text).expect("it is still JSON"), text)
    }

    fn note(&mut self, what: &str) {
        writeln!(self.log, "-- {what}").expect("a text takes it");
    }

    /// What the recorded supervisor did, done by ours.
    fn command(&mut self, method: &str, path: &str, body: &Value) {
        let pieces: Vec<&str> = path.split('/').skip(1).collect();
        let allow =
            |answers| Answer::Allow { scope: Scope::Tool, updated_input: None, answers, message: None };
        let message = body["message"].as_str().map(str::to_owned);
        let command = match (method, pieces.as_slice()) {
            ("POST", ["session", _, "prompt_async"]) => {
                self.inputs += 1;
                let text = body["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
                let input = InputId::from(format!("0000-{}", self.inputs).as_str());
                if body["model"].is_object() {
                    let model = format!("{}/{}", body["model"]["providerID"], body["model"]["modelID"]);
                    let model = AgentCommand::SetModel(Some(model.replace('"', "")));
                    self.protocol.say(&model, false);
                }
                AgentCommand::Prompt { input, text, images: Vec::new() }
            }
            ("POST", ["session", _, "abort"]) => AgentCommand::Interrupt,
            ("POST", ["permission", id, "reply"] | ["session", _, "permissions", id]) => {
                let Some(ask) = self.asks.get(*id).cloned() else { return };
                let reply = body.get("reply").or(body.get("response")).expect("there is an answer");
                let answer = if reply == "reject" { Answer::Deny { message } } else { allow(None) };
                AgentCommand::Answer { ask, answer }
            }
            ("POST", ["question", id, what]) => {
                let Some(ask) = self.asks.get(*id).cloned() else { return };
                let chosen = body["answers"][0][0].as_str().map(str::to_owned);
                let question = ask.questions[0].question.clone();
                let answer = match (*what, chosen) {
                    ("reply", Some(chosen)) => allow(Some([(question, vec![chosen])].into())),
                    _ => Answer::Deny { message: None },
                };
                AgentCommand::Answer { ask, answer }
            }
            _ => return,
        };
        writeln!(self.log, "> {}", crate::agent::fields::head(&format!("{command:?}"), 200))
            .expect("a text takes it");
        let prompt = matches!(command, AgentCommand::Prompt { .. });
        let said = self.protocol.say(&command, false);
        if prompt && let Some(recorded) = self.users.pop_front() {
            let request: Request = serde_json::from_str(&said[0].line).expect("a line is a request");
            let ours = request.body["messageID"].as_str().expect("a prompt has an id").to_owned();
            self.renamed.push((recorded, ours));
        }
        self.ask_server(said);
    }

    fn ask_server(&mut self, lines: Vec<Outgoing>) {
        let requests = lines.into_iter().map(|outgoing| serde_json::from_str(&outgoing.line));
        let mut open: VecDeque<Request> =
            requests.map(|request| request.expect("a line is a request")).collect();
        while let Some(request) = open.pop_front() {
            let body = crate::agent::fields::head(&request.body.to_string(), 300).to_owned();
            let query: Vec<String> =
                request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let (method, path) = (&request.method, &request.path);
            writeln!(self.log, "reply {method} {path} {} {body}", query.join("&")).expect("a text takes it");
            if request.delay_ms > 0 {
                self.later.push_back(request);
                continue;
            }
            let (status, body) = self.server.answer(&request);
            let news = News::Reply { tag: request.tag, status, body };
            let replies = self.hear_one(&news.line());
            open.extend(
                replies.into_iter().map(|reply| serde_json::from_str(&reply.line).expect("a request")),
            );
        }
    }

    fn answer(&mut self, request: Request) {
        let now = Request { delay_ms: 0, ..request };
        self.ask_server(vec![now.into()]);
    }

    pub fn hear(&mut self, line: &[u8]) {
        let replies = self.hear_one(line);
        self.ask_server(replies);
    }

    fn hear_one(&mut self, line: &[u8]) -> Vec<Outgoing> {
        let mut other = self.restoring.then(|| {
            let stored = serde_json::to_string(&self.protocol.state()).expect("a state is JSON");
            let stored = serde_json::from_str(&stored).expect("and comes back");
            OpencodeProtocol::restore(stored).expect("it is a state")
        });
        let heard = self.protocol.hear(line);
        if let Some(other) = &mut other {
            assert_eq!(other.hear(line), heard, "{}", String::from_utf8_lossy(line));
            assert_eq!(other.state(), self.protocol.state(), "{}", String::from_utf8_lossy(line));
        }
        for event in heard.events {
            writeln!(self.log, "{event:?}").expect("a text takes it");
            if let AgentEvent::Asked(ask) = &event {
                self.asks.insert(ask.request.clone(), ask.clone());
            }
            self.events.push(event);
        }
        heard.replies
    }
}
