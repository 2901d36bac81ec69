//! The frames of `GET /api/ws`: text in, typed requests out, and the text of what is sent. Pure.
//!
//! Every frame is one JSON object in one text message. A client's frame may carry an `id`, which its
//! reply repeats. What cannot be taken is answered with what is wrong and changes nothing.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::approval::{Answer, Approval};
use crate::domain::code::Code;
use crate::domain::event::Frame;
use crate::domain::ids::{ApprovalId, InputId, SessionId};
use crate::domain::session::{Image, Session};
use crate::log::Condition;

/// How long an `id` that a client chose may be, in bytes; it is kept until its reply is out.
const MAX_ID: usize = 128;
/// How many pictures may go with an input (`contract`: images).
const MAX_IMAGES: usize = 4;
/// How large a picture may be, in bytes before base64 (`contract`: images).
const MAX_IMAGE: usize = 8 << 20;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Follow a session from a cursor; takes the place of an earlier subscription of it.
    Subscribe {
        /// Which.
        session: SessionId,
        /// Send the events after this one.
        after: u64,
    },
    /// Follow it no more.
    Unsubscribe {
        /// Which.
        session: SessionId,
    },
    /// All sessions and open approvals, then what changes.
    Overview,
    /// Say something to a session.
    Input {
        /// Which.
        session: SessionId,
        /// The words.
        text: String,
        /// Pictures with them.
        images: Vec<Image>,
        /// The same id again is the same input.
        input: Option<InputId>,
    },
    /// Stop the running turn.
    Interrupt {
        /// Which.
        session: SessionId,
        /// Of a turn that does not stop: end the agent's program.
        force: bool,
    },
    /// Answer an approval.
    Answer {
        /// Which.
        approval: ApprovalId,
        /// What.
        answer: Answer,
    },
    /// Is anybody there?
    Ping,
}

impl Request {
    /// Whether it is for a session, not for the socket itself.
    pub fn is_command(&self) -> bool {
        matches!(self, Self::Input { .. } | Self::Interrupt { .. } | Self::Answer { .. })
    }
}

/// The `id` that a client put into a frame: a string or a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FrameId(Value);

/// A client's frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What its reply repeats.
    pub id: Option<FrameId>,
    /// What it asks for.
    pub request: Request,
}

/// Why something was not done, in the API's error shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// The stable word.
    pub code: Code,
    /// For people.
    pub message: String,
    /// More, where there is more.
    pub details: Value,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Value::Null }
    }

    /// What was sent cannot be taken.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::ValidationError, message)
    }

    /// There is no such session.
    pub fn no_session() -> Self {
        Self::new(Code::NotFound, "Session not found")
    }
}

/// Read a client's frame. A refusal carries the frame's `id` when it could be read.
pub fn parse(text: &str) -> Result<Asked, (Option<FrameId>, Refusal)> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| (None, Refusal::invalid(format!("the frame is not JSON: {error}"))))?;
    let Value::Object(mut fields) = value else {
        return Err((None, Refusal::invalid("the frame is not a JSON object")));
    };
    // A null is an absent field: clients in many languages write their empty values so.
    fields.retain(|_, value| !value.is_null());
    let id = match fields.remove("id") {
        None => None,
        Some(id @ Value::Number(_)) => Some(FrameId(id)),
        Some(Value::String(id)) if id.len() <= MAX_ID => Some(FrameId(Value::String(id))),
        Some(Value::String(_)) => {
            return Err((None, Refusal::invalid(format!("id is longer than {MAX_ID} bytes"))));
        }
        Some(_) => return Err((None, Refusal::invalid("id is neither a string nor a number"))),
    };
    match request(fields) {
        Ok(request) => Ok(Asked { id, request }),
        Err(refusal) => Err((id, refusal)),
    }
}

fn request(mut fields: Map<String, Value>) -> Result<Request, Refusal> {
    let kind: String = required(&mut fields, "type")?;
    match kind.as_str() {
        "subscribe" => {
            let after = optional(&mut fields, "after")?.unwrap_or(0);
            Ok(Request::Subscribe { session: session(&mut fields)?, after })
        }
        "unsubscribe" => Ok(Request::Unsubscribe { session: session(&mut fields)? }),
        "overview" => Ok(Request::Overview),
        "input" => input(fields),
        "interrupt" => {
            let force = optional(&mut fields, "force")?.unwrap_or(false);
            Ok(Request::Interrupt { session: session(&mut fields)?, force })
        }
        "answer" => answer(fields),
        "ping" => Ok(Request::Ping),
        other => Err(Refusal::invalid(format!(
            "unknown type {:?}: known are subscribe, unsubscribe, overview, input, interrupt, answer, ping",
            shortened(other)
        ))),
    }
}

fn input(mut fields: Map<String, Value>) -> Result<Request, Refusal> {
    let session = session(&mut fields)?;
    let text: String = required(&mut fields, "text")?;
    if text.is_empty() {
        return Err(Refusal::invalid("text is empty: say something"));
    }
    let images: Vec<Image> = optional(&mut fields, "images")?.unwrap_or_default();
    check_images(&images)?;
    let input: Option<String> = optional(&mut fields, "input_id")?;
    // Claude Code takes a UUID as the prompt's id and nothing else.
    let input = input.map(|id| uuid::Uuid::try_parse(&id)).transpose();
    let input = input.map_err(|error| Refusal::invalid(format!("input_id is not a UUID: {error}")))?;
    let input = input.map(|id| InputId::from(id.hyphenated().to_string().as_str()));
    Ok(Request::Input { session, text, images, input })
}

fn check_images(images: &[Image]) -> Result<(), Refusal> {
    if images.len() > MAX_IMAGES {
        return Err(Refusal::invalid(format!("images holds {}: at most {MAX_IMAGES} go", images.len())));
    }
    for (index, image) in images.iter().enumerate() {
        if !matches!(image.media_type.as_str(), "image/png" | "image/jpeg" | "image/gif" | "image/webp") {
            return Err(Refusal::invalid(format!(
                "images[{index}].mimeType is {:?}: known are image/png, image/jpeg, image/gif, image/webp",
                shortened(&image.media_type)
            )));
        }
        // Four characters of base64 are three bytes.
        if image.data.len() / 4 * 3 > MAX_IMAGE {
            return Err(Refusal::invalid(format!("images[{index}] is larger than {} MiB", MAX_IMAGE >> 20)));
        }
    }
    Ok(())
}

fn answer(mut fields: Map<String, Value>) -> Result<Request, Refusal> {
    let approval: String = required(&mut fields, "approval_id")?;
    let answer = serde_json::from_value(Value::Object(fields))
        .map_err(|error| Refusal::invalid(format!("the answer cannot be read: {error}")))?;
    Ok(Request::Answer { approval: ApprovalId::from(approval.as_str()), answer })
}

/// The session that a frame is about. An id of another shape cannot exist, and must not reach the store.
fn session(fields: &mut Map<String, Value>) -> Result<SessionId, Refusal> {
    let id: String = required(fields, "session_id")?;
    if SessionId::is_well_formed(&id) { Ok(SessionId::from(id.as_str())) } else { Err(Refusal::no_session()) }
}

fn required<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<T, Refusal> {
    optional(fields, name)?.ok_or_else(|| Refusal::invalid(format!("{name} is missing")))
}

fn optional<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>, Refusal> {
    let Some(value) = fields.remove(name) else { return Ok(None) };
    let value = serde_json::from_value(value);
    value.map(Some).map_err(|error| Refusal::invalid(format!("{name} cannot be read: {error}")))
}

/// Foreign text as a message may repeat it: short.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 { text.into() } else { text.chars().take(40).chain(['…']).collect() }
}

/// What is sent, apart from `events`, which is spliced.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Sent<'a> {
    /// A command is done or not done.
    Reply {
        /// The id that the client gave.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a FrameId>,
        /// Whether it was done.
        ok: bool,
        /// What came of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// Why it was not done.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a Refusal>,
    },
    /// The backlog of a subscription was sent.
    CaughtUp {
        /// Whose.
        session_id: &'a SessionId,
        /// The last event's number.
        seq: u64,
    },
    /// All there is.
    Overview {
        /// In the order in which they were made.
        sessions: &'a [Session],
        /// The open ones, oldest first.
        approvals: &'a [Arc<Approval>],
        /// How the log is.
        condition: &'a ConditionShown,
    },
    /// A session is new or has changed.
    Session {
        /// As it is now.
        session: &'a Session,
    },
    /// A session is gone, and with it every subscription of it.
    SessionDeleted {
        /// Which.
        session_id: &'a SessionId,
    },
    /// An approval is new or has changed.
    Approval {
        /// As it is now.
        approval: &'a Approval,
    },
    /// The log's condition has changed.
    Condition {
        /// As it is now.
        condition: &'a ConditionShown,
    },
    /// The answer to `ping`.
    Pong {
        /// The id that the client gave.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a FrameId>,
    },
    /// The daemon closes the connection next.
    Goodbye {
        /// Why, for people.
        reason: &'a str,
    },
}

/// Whether the log can take new work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConditionShown {
    /// `healthy`, `low_on_disk` or `failing`.
    state: &'static str,
    /// For people; null when all is well.
    message: Option<String>,
}

impl From<&Condition> for ConditionShown {
    fn from(condition: &Condition) -> Self {
        let state = match condition {
            Condition::Healthy => return Self { state: "healthy", message: None },
            Condition::LowOnDisk { .. } => "low_on_disk",
            Condition::Failing(_) => "failing",
        };
        Self { state, message: Some(condition.to_string()) }
    }
}

impl Sent<'_> {
    /// As it goes over the wire.
    pub fn text(&self) -> String {
        // Maps here have text for keys, so there is nothing that serde_json could refuse; were there, an
        // unreadable object is what a client can at least ignore.
        serde_json::to_string(self).unwrap_or_else(|_| r#"{"type":"unreadable"}"#.into())
    }
}

/// `reply`, done. Nothing is sent where the client gave no id: it waits for none.
pub fn done(id: Option<&FrameId>, result: Value) -> Option<String> {
    id.map(|id| Sent::Reply { id: Some(id), ok: true, result: Some(result), error: None }.text())
}

/// `reply`, not done; without `id` when the client gave none.
pub fn refused(id: Option<&FrameId>, refusal: &Refusal) -> String {
    Sent::Reply { id, ok: false, result: None, error: Some(refusal) }.text()
}

/// `events`: the envelopes are spliced in as the bytes that the log holds, never parsed again.
pub fn events<'a>(session: &SessionId, frames: impl IntoIterator<Item = &'a Frame>) -> String {
    let mut text = format!(r#"{{"type":"events","session_id":"{session}","events":["#).into_bytes();
    for (index, frame) in frames.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&frame.json);
    }
    text.extend_from_slice(b"]}");
    // The log holds JSON that serde_json wrote, which is UTF-8; were it damaged, the client is shown so.
    String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::approval::Scope;

    const SESSION: &str = "sess_0123456789ab";

    fn read(frame: Value) -> Request {
        parse(&frame.to_string()).unwrap_or_else(|refused| panic!("{frame}: {refused:?}")).request
    }

    fn refusal(text: &str) -> Refusal {
        parse(text).expect_err(text).1
    }

    #[test]
    fn every_frame_of_the_protocol_is_read() {
        let session = SessionId::from(SESSION);
        assert_eq!(
            read(json!({"type": "subscribe", "session_id": SESSION, "after": 7})),
            Request::Subscribe { session: session.clone(), after: 7 }
        );
        assert_eq!(
            read(json!({"type": "subscribe", "session_id": SESSION})),
            Request::Subscribe { session: session.clone(), after: 0 }
        );
        assert_eq!(
            read(json!({"type": "unsubscribe", "session_id": SESSION})),
            Request::Unsubscribe { session: session.clone() }
        );
        assert_eq!(read(json!({"type": "overview"})), Request::Overview);
        assert_eq!(read(json!({"type": "ping", "id": 3})), Request::Ping);
        let interrupt = |force| Request::Interrupt { session: session.clone(), force };
        assert_eq!(read(json!({"type": "interrupt", "session_id": SESSION})), interrupt(false));
        assert_eq!(read(json!({"type": "interrupt", "session_id": SESSION, "force": true})), interrupt(true));
    }

    #[test]
    fn an_input_is_read_with_its_pictures_and_its_id() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let image = json!({"type": "image", "data": "aGk=", "mimeType": "image/png"});
        let frame =
            json!({"type": "input", "session_id": SESSION, "text": "go", "images": [image], "input_id": id});
        let Request::Input { text, images, input, .. } = read(frame) else { panic!("not an input") };
        assert_eq!((text.as_str(), images.len(), input), ("go", 1, Some(InputId::from(id))));
    }

    #[test]
    fn an_answer_is_read_with_all_that_it_may_hold() {
        let allow = json!({"type": "answer", "approval_id": "perm_1", "decision": "allow", "scope": "all30m",
            "updated_input": {"command": "ls"}, "answers": {"Which?": ["A", "B"]}, "message": null});
        let Request::Answer { answer: Answer::Allow { scope, updated_input, answers, message }, .. } =
            read(allow)
        else {
            panic!("not an allow")
        };
        assert_eq!((scope, updated_input), (Scope::All30m, Some(json!({"command": "ls"}))));
        assert_eq!(
            answers.and_then(|mut answers| answers.remove("Which?")),
            Some(vec!["A".into(), "B".into()])
        );
        assert_eq!(message, None, "null is an absent field");
        let deny = json!({"type": "answer", "approval_id": "perm_1", "decision": "deny", "message": "no"});
        let Request::Answer { answer, approval } = read(deny) else { panic!("not a deny") };
        assert_eq!((answer.allowed(), answer.message(), approval.as_str()), (false, Some("no"), "perm_1"));
    }

    #[test]
    fn a_frame_that_cannot_be_taken_is_refused_with_what_is_wrong() {
        for (text, word) in [
            ("", "not JSON"),
            ("{\"type\":", "not JSON"),
            ("[1]", "not a JSON object"),
            ("{}", "type is missing"),
            (r#"{"type":7}"#, "type cannot be read"),
            (r#"{"type":"dance"}"#, "unknown type \"dance\""),
            (r#"{"type":"ping","id":[1]}"#, "id is neither"),
            (r#"{"type":"subscribe"}"#, "session_id is missing"),
            (r#"{"type":"subscribe","session_id":"sess_0123456789ab","after":-1}"#, "after cannot be read"),
            (r#"{"type":"subscribe","session_id":"sess_0123456789ab","after":"x"}"#, "after cannot be read"),
            (r#"{"type":"subscribe","session_id":"../../etc"}"#, "Session not found"),
            (r#"{"type":"input","session_id":"sess_0123456789ab"}"#, "text is missing"),
            (r#"{"type":"input","session_id":"sess_0123456789ab","text":""}"#, "text is empty"),
            (r#"{"type":"input","session_id":"sess_0123456789ab","text":"x","input_id":"me"}"#, "not a UUID"),
            (
                r#"{"type":"input","session_id":"sess_0123456789ab","text":"x","images":{}}"#,
                "images cannot be read",
            ),
            (
                r#"{"type":"input","session_id":"sess_0123456789ab","text":"x","images":[{"data":"","mimeType":"text/html"}]}"#,
                "images[0].mimeType",
            ),
            (r#"{"type":"answer","decision":"allow"}"#, "approval_id is missing"),
            (r#"{"type":"answer","approval_id":"perm_1"}"#, "the answer cannot be read"),
            (r#"{"type":"answer","approval_id":"perm_1","decision":"maybe"}"#, "the answer cannot be read"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.message.contains(word), "{text}: {}", refusal.message);
        }
        assert_eq!(refusal(r#"{"type":"subscribe","session_id":"x"}"#).code, Code::NotFound);
    }

    #[test]
    fn a_refusal_carries_the_id_and_the_apis_error_shape() {
        let (id, refusal) = parse(r#"{"type":"dance","id":"a"}"#).expect_err("refused");
        let reply: Value = serde_json::from_str(&refused(id.as_ref(), &refusal)).expect("JSON");
        assert_eq!(reply["id"], "a");
        assert_eq!(reply["ok"], false);
        assert_eq!(reply["error"]["code"], "VALIDATION_ERROR");
        assert_eq!(reply["error"]["details"], Value::Null);
        assert!(!refused(None, &refusal).contains("\"id\""));
        assert_eq!(done(None, json!({})), None, "nobody waits for a reply without an id");
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_fail_and_every_refusal_is_short(text in ".{0,200}") {
            if let Err((_, refusal)) = parse(&text) {
                prop_assert!(refusal.message.len() < 600, "{}", refusal.message);
            }
        }

        #[test]
        fn a_known_frame_with_any_field_of_any_type_is_read_or_refused(
            kind in prop::sample::select(vec!["subscribe", "unsubscribe", "overview", "input", "interrupt", "answer", "ping"]),
            name in prop::sample::select(vec!["session_id", "after", "text", "images", "input_id", "approval_id",
                "decision", "scope", "updated_input", "answers", "message", "id"]),
            value in prop::sample::select(vec![json!(null), json!(true), json!(-1), json!(1.5), json!(u64::MAX),
                json!("x"), json!(SESSION), json!([]), json!([null]), json!({}), json!({"a": {"b": []}})]),
        ) {
            let mut frame = json!({"type": kind, "session_id": SESSION, "text": "t", "approval_id": "p", "decision": "deny"});
            frame[name] = value;
            match parse(&frame.to_string()) {
                Ok(_) => {}
                Err((_, refusal)) => prop_assert!(!refusal.message.is_empty()),
            }
        }

        #[test]
        fn spliced_envelopes_come_out_as_they_went_in(texts in prop::collection::vec(".{0,40}", 0..8)) {
            let frames: Vec<Frame> = texts.iter().zip(1..).map(|(text, seq)| Frame {
                seq,
                json: Bytes::from(json!({"seq": seq, "data": {"text": text}}).to_string()),
            }).collect();
            let sent: Value = serde_json::from_str(&events(&SessionId::from(SESSION), &frames)).expect("JSON");
            prop_assert_eq!(&sent["session_id"], SESSION);
            let events = sent["events"].as_array().expect("a list");
            prop_assert_eq!(events.len(), texts.len());
            for (event, text) in events.iter().zip(&texts) {
                prop_assert_eq!(event["data"]["text"].as_str(), Some(text.as_str()));
            }
        }
    }
}
