//! What the workspace holds, and what each method does to it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::rules::{self, METHODS, error};
use super::wire::{Request, Response};
use super::{APP_TOKEN, BOT, BOT_TOKEN, BOT_USER, CHANNEL, Fault};

/// How long a press allows to open a form, and an envelope may wait for its acknowledgement.
pub const PROMPTLY: Duration = Duration::from_secs(3);

/// What goes to a connection of Socket Mode.
pub enum Out {
    Frame(Value),
    Cut,
}

/// An envelope that was not acknowledged yet.
pub struct Waiting {
    pub frame: Value,
    pub sent: Instant,
    pub socket: u64,
}

/// An uploaded file, or one that somebody sent.
#[derive(Clone, Default)]
pub struct File {
    pub name: String,
    pub bytes: Vec<u8>,
    pub length: usize,
}

#[derive(Default)]
pub struct State {
    /// `http://127.0.0.1:PORT`, and where Socket Mode is.
    pub base: String,
    pub socket_base: String,
    pub scopes: Vec<String>,
    pub member: bool,
    pub messages: BTreeMap<(String, String), Value>,
    pub calls: Vec<(String, Value)>,
    pub faults: HashMap<String, VecDeque<Fault>>,
    pub tickets: HashSet<String>,
    pub sockets: BTreeMap<u64, UnboundedSender<Out>>,
    /// Connections of others with the same token.
    pub others: u64,
    /// How many connections were ever greeted.
    pub greeted: u64,
    pub waiting: HashMap<String, Waiting>,
    pub files: HashMap<String, File>,
    pub triggers: HashMap<String, Instant>,
    pub views: Vec<Value>,
    pub complaints: Vec<String>,
    /// Whether calls count against what Slack allows; when they were, by what they count as; how many were too many.
    pub counting: bool,
    counted: HashMap<&'static str, VecDeque<Instant>>,
    pub refused: u64,
    last: u64,
    next: u64,
}

impl State {
    /// Counts a call; the seconds to wait if it is one too many.
    pub fn count(&mut self, method: &str) -> Option<u64> {
        // A message a second for a channel, with short bursts; tier 3 is fifty a minute and more.
        let (name, most, within) = match method {
            "chat.postMessage" => ("posts", 10, 10),
            "chat.update" => ("updates", 50, 60),
            "conversations.history" | "conversations.replies" => ("reading", 50, 60),
            _ => return None,
        };
        let (within, now) = (Duration::from_secs(within), Instant::now());
        let counted = self.counted.entry(name).or_default();
        counted.retain(|at| now.duration_since(*at) < within);
        let first = counted.front().filter(|_| counted.len() >= most);
        let wait = first.map(|at| (within - now.duration_since(*at)).as_secs() + 1);
        match wait {
            Some(_) => self.refused += 1,
            None => counted.push_back(now),
        }
        wait
    }

    /// A number that was not given before.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The time of a new message: later than all before.
    pub fn ts(&mut self) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
        self.last = (self.last + 100).max(now.as_micros() as u64);
        format!("{}.{:06}", self.last / 1_000_000, self.last % 1_000_000)
    }

    /// Puts a message where it belongs.
    pub fn put(&mut self, channel: &str, mut message: Value) -> String {
        let ts = self.ts();
        message["ts"] = ts.clone().into();
        message["type"] = "message".into();
        if let Some(thread) = message["thread_ts"].as_str().map(str::to_owned)
            && let Some(head) = self.messages.get_mut(&(channel.to_owned(), thread.clone()))
        {
            head["thread_ts"] = thread.into();
            head["reply_count"] = (head["reply_count"].as_u64().unwrap_or(0) + 1).into();
            head["latest_reply"] = ts.clone().into();
        }
        self.messages.insert((channel.to_owned(), ts.clone()), message);
        ts
    }

    /// Sends an envelope to the newest connection; lost without one.
    pub fn tell(&mut self, kind: &str, payload: Value) {
        let Some((socket, sender)) = self.sockets.iter().next_back() else { return };
        let (socket, sender) = (*socket, sender.clone());
        let id = format!("env-{}", self.number());
        let frame = json!({ "type": kind, "envelope_id": id, "accepts_response_payload": false, "payload": payload,
            "retry_attempt": 0, "retry_reason": "" });
        let _ = sender.send(Out::Frame(frame.clone()));
        self.waiting.insert(id, Waiting { frame, sent: Instant::now(), socket });
    }

    pub fn tell_event(&mut self, event: Value) {
        let id = format!("Ev{}", self.number());
        self.tell(
            "events_api",
            json!({ "token": "x", "team_id": "T1", "api_app_id": "A1", "type": "event_callback", "event_id": id,
                "event": event, "is_ext_shared_channel": false }),
        );
    }

    /// Answers a call.
    pub fn answer(&mut self, request: &Request) -> Response {
        if let Some(id) = request.path.strip_prefix("/upload/") {
            let Some(file) = self.files.get_mut(id) else { return not_found() };
            if request.body.len() != file.length || !request.token.is_empty() {
                self.complaints.push(format!(
                    "an upload of {} bytes, not {}",
                    request.body.len(),
                    file.length
                ));
            }
            file.bytes.clone_from(&request.body);
            return Response::Raw { status: 200, kind: "text/plain".into(), body: b"OK".to_vec() };
        }
        if let Some(id) = request.path.strip_prefix("/files/") {
            return match self.files.get(id) {
                Some(file) if request.token == BOT_TOKEN => Response::Raw {
                    status: 200,
                    kind: "application/octet-stream".into(),
                    body: file.bytes.clone(),
                },
                Some(_) => Response::Raw {
                    status: 200,
                    kind: "text/html; charset=utf-8".into(),
                    body: b"<html>Sign in to Slack</html>".to_vec(),
                },
                None => not_found(),
            };
        }
        let Some(name) = request.path.strip_prefix("/api/") else { return not_found() };
        let given = match self.arguments(name, request) {
            Ok(given) => given,
            Err(refusal) => return Response::ok(refusal),
        };
        self.calls.push((name.to_owned(), Value::Object(given.clone())));
        let body = match self.call(name, &given) {
            Ok(mut body) => {
                body["ok"] = true.into();
                body
            }
            Err(refusal) => {
                // What a strict server refuses is told by the test that made it, even if the client goes on.
                let error = refusal["error"].as_str().unwrap_or_default();
                if error.starts_with("invalid_") || error.starts_with("rig_") || error == "msg_too_long" {
                    self.complaints.push(format!("{name}: {refusal}"));
                }
                refusal
            }
        };
        let headers = vec![("x-oauth-scopes".to_owned(), self.scopes.join(","))];
        Response::Json { status: 200, body, headers }
    }

    fn arguments(&mut self, name: &str, request: &Request) -> Result<Map<String, Value>, Value> {
        let Some(method) = METHODS.iter().find(|method| method.name == name) else {
            return Err(error("unknown_method", name));
        };
        let wanted = if name == "apps.connections.open" { APP_TOKEN } else { BOT_TOKEN };
        if request.token != wanted {
            let kind = if request.token == APP_TOKEN || request.token == BOT_TOKEN {
                "not_allowed_token_type"
            } else {
                "invalid_auth"
            };
            return Err(error(kind, name));
        }
        if !method.scope.is_empty() && !self.scopes.iter().any(|scope| scope == method.scope) {
            return Err(json!({ "ok": false, "error": "missing_scope", "needed": method.scope,
                "provided": self.scopes.join(",") }));
        }
        let mut given = request.query.clone();
        if !request.body.is_empty() {
            if !method.json || !request.content_type.starts_with("application/json") {
                self.complaints.push(format!("{name} takes no {}", request.content_type));
                return Err(error("invalid_arguments", "JSON is not understood here"));
            }
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let Some(body) = body.as_object() else { return Err(error("invalid_json", "no object")) };
            given.extend(body.clone());
        }
        rules::arguments(method, &given).inspect_err(|refusal| {
            self.complaints.push(format!("{name}: {refusal}"));
        })?;
        Ok(given)
    }

    fn call(&mut self, name: &str, given: &Map<String, Value>) -> Result<Value, Value> {
        let text = |field: &str| given.get(field).and_then(Value::as_str).unwrap_or_default();
        let channel = match text("channel") {
            "" => text("channel_id"),
            channel => channel,
        };
        if !channel.is_empty() {
            if channel != CHANNEL && !channel.starts_with('D') {
                return Err(error("channel_not_found", channel));
            }
            if !self.member && name != "conversations.info" && channel == CHANNEL {
                return Err(error("not_in_channel", channel));
            }
        }
        match name {
            "auth.test" => Ok(json!({ "url": "https://rig.slack.example/", "team": "Rig", "user": "tether",
                "team_id": "T1", "user_id": BOT_USER, "bot_id": BOT, "is_enterprise_install": false })),
            "apps.connections.open" => {
                let ticket = format!("t{}", self.number());
                self.tickets.insert(ticket.clone());
                Ok(json!({ "url": format!("{}/link?ticket={ticket}", self.socket_base) }))
            }
            "conversations.info" => {
                Ok(json!({ "channel": { "id": channel, "name": "agents", "is_channel": true,
                "is_private": false, "is_archived": false, "is_member": self.member } }))
            }
            "conversations.history" | "conversations.replies" => self.history(name, given),
            "users.info" => {
                let name =
                    super::name_of(text("user")).ok_or_else(|| error("user_not_found", text("user")))?;
                Ok(json!({ "user": { "id": text("user"), "name": name, "real_name": name,
                    "profile": { "display_name": name } } }))
            }
            "chat.postMessage" => {
                rules::content(given)?;
                let mut message = json!({ "user": BOT_USER, "bot_id": BOT, "app_id": "A1", "team": "T1" });
                for field in ["text", "blocks", "metadata"] {
                    given.get(field).into_iter().for_each(|value| message[field] = value.clone());
                }
                let thread = (channel.to_owned(), text("thread_ts").to_owned());
                // A reply to nothing becomes a message of the channel.
                if self.messages.contains_key(&thread) {
                    message["thread_ts"] = thread.1.into();
                }
                let ts = self.put(channel, message);
                let message = self.messages[&(channel.to_owned(), ts.clone())].clone();
                Ok(json!({ "channel": channel, "ts": ts, "message": message }))
            }
            "chat.update" => {
                rules::content(given)?;
                let key = (channel.to_owned(), text("ts").to_owned());
                let message = self.messages.get_mut(&key).filter(|message| message["user"] == BOT_USER);
                let message = message.ok_or_else(|| error("message_not_found", text("ts")))?;
                for field in ["text", "blocks", "metadata"] {
                    given.get(field).into_iter().for_each(|value| message[field] = value.clone());
                }
                if !given.contains_key("blocks") {
                    message.as_object_mut().map(|message| message.remove("blocks"));
                }
                Ok(json!({ "channel": channel, "ts": text("ts"), "text": text("text") }))
            }
            "chat.delete" => {
                let gone = self.messages.remove(&(channel.to_owned(), text("ts").to_owned()));
                gone.map(|_| json!({})).ok_or_else(|| error("message_not_found", text("ts")))
            }
            "chat.postEphemeral" => {
                rules::content(given)?;
                Ok(json!({ "message_ts": self.ts() }))
            }
            "views.open" => {
                let pressed = self.triggers.remove(text("trigger_id"));
                let pressed = pressed.ok_or_else(|| error("exchanged_trigger_id", text("trigger_id")))?;
                if pressed.elapsed() > PROMPTLY {
                    self.complaints.push("a form was opened too late".to_owned());
                    return Err(error("expired_trigger_id", text("trigger_id")));
                }
                rules::view(&given["view"])?;
                let mut view = given["view"].clone();
                view["id"] = format!("V{}", self.number()).into();
                view["bot_id"] = BOT.into();
                self.views.push(view.clone());
                Ok(json!({ "view": view }))
            }
            "files.getUploadURLExternal" => {
                let length = text("length").parse().ok().filter(|length| *length > 0);
                let length: usize = length.ok_or_else(|| error("invalid_arguments", "length"))?;
                let id = format!("F{}", self.number());
                let file = File { name: text("filename").to_owned(), bytes: Vec::new(), length };
                self.files.insert(id.clone(), file);
                Ok(json!({ "upload_url": format!("{}/upload/{id}", self.base), "file_id": id }))
            }
            "files.completeUploadExternal" => {
                let mut files = Vec::new();
                for file in given["files"].as_array().ok_or_else(|| error("invalid_arguments", "files"))? {
                    let id = file["id"].as_str().unwrap_or_default();
                    let kept = self.files.get(id).filter(|kept| kept.bytes.len() == kept.length);
                    let kept = kept.ok_or_else(|| error("file_not_found", id))?;
                    files.push(
                        json!({ "id": id, "title": file["title"], "name": kept.name, "size": kept.length }),
                    );
                }
                let mut message = json!({ "user": BOT_USER, "bot_id": BOT, "files": files,
                    "text": text("initial_comment") });
                if !text("thread_ts").is_empty() {
                    message["thread_ts"] = text("thread_ts").into();
                }
                self.put(channel, message);
                // Slack shares it a little later, and does not say where.
                Ok(json!({ "files": [{ "id": files[0]["id"], "title": files[0]["title"] }] }))
            }
            _ => Err(error("unknown_method", name)),
        }
    }

    fn history(&self, name: &str, given: &Map<String, Value>) -> Result<Value, Value> {
        let text = |field: &str| given.get(field).and_then(Value::as_str).unwrap_or_default();
        let thread = text("ts");
        let inclusive = text("inclusive") == "true";
        let within = |ts: &str| {
            let (oldest, latest) = (text("oldest"), text("latest"));
            (ts > oldest || (inclusive && ts == oldest))
                && (latest.is_empty() || ts < latest || (inclusive && ts == latest))
        };
        let of_channel = self.messages.iter().filter(|((channel, _), _)| channel == text("channel"));
        let mut found: Vec<Value> = of_channel
            .filter(|((_, ts), message)| match name {
                "conversations.replies" => ts == thread || (message["thread_ts"] == thread && within(ts)),
                _ => within(ts) && (message["thread_ts"].is_null() || message["thread_ts"] == ts.as_str()),
            })
            .map(|(_, message)| message.clone())
            .collect();
        if name == "conversations.history" {
            found.reverse();
        } else if found.first().is_none_or(|head| head["ts"] != thread) {
            return Err(error("thread_not_found", thread));
        }
        if text("include_all_metadata") != "true" {
            found.iter_mut().filter_map(Value::as_object_mut).for_each(|message| {
                message.remove("metadata");
            });
        }
        let limit: usize = text("limit").parse().unwrap_or(100);
        if limit == 0 || limit >= 1_000 {
            return Err(error("invalid_limit", text("limit")));
        }
        let from: usize = text("cursor").parse().unwrap_or(0);
        let more = found.len() > from + limit;
        let page: Vec<Value> = found.into_iter().skip(from).take(limit).collect();
        let cursor = if more { (from + limit).to_string() } else { String::new() };
        Ok(json!({ "messages": page, "has_more": more, "response_metadata": { "next_cursor": cursor } }))
    }
}

fn not_found() -> Response {
    Response::Raw { status: 404, kind: "text/html".into(), body: b"<html>404</html>".to_vec() }
}
