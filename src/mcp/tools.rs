//! The tools: what each takes, gives and does.

use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::{Call, ToolError};
use super::{approval, orchestrate, own};

/// What a tool may do, as hints to the client: whether it only looks, whether it can undo or destroy something, and
/// whether doing it again changes nothing more.
#[derive(Clone, Copy)]
struct Hints {
    reads: bool,
    destroys: bool,
    again: bool,
}

const LOOKS: Hints = Hints { reads: true, destroys: false, again: true };
const ADDS: Hints = Hints { reads: false, destroys: false, again: false };

fn tool<I: JsonSchema + 'static, O: JsonSchema + 'static>(
    name: &'static str,
    title: &'static str,
    description: &'static str,
    hints: Hints,
) -> Tool {
    let annotations = ToolAnnotations::with_title(title)
        .read_only(hints.reads)
        .destructive(hints.destroys)
        .idempotent(hints.again)
        // All of it is the person's own daemon.
        .open_world(false);
    let mut tool = Tool::new(name, description, JsonObject::new())
        .with_title(title)
        .with_input_schema::<I>()
        .with_output_schema::<O>()
        .with_annotations(annotations);
    tool.input_schema = Arc::new(tidy(&tool.input_schema, true));
    tool.output_schema = tool.output_schema.map(|schema| Arc::new(tidy(&schema, false)));
    tool
}

/// A schema without what is Rust's own (names of types, widths of numbers): some clients refuse formats that they do
/// not know. In what is taken, an argument that may be absent has one plain type; the same clients refuse two.
fn tidy(schema: &JsonObject, taken: bool) -> JsonObject {
    let mut schema = schema.clone();
    for name in ["title", "description", "$schema"] {
        schema.remove(name);
    }
    tidy_part(&mut schema, taken);
    schema
}

fn tidy_part(schema: &mut JsonObject, taken: bool) {
    schema.remove("format");
    if let (true, Some(Value::Array(types))) = (taken, schema.get("type"))
        && let [one] = types.iter().filter(|kind| *kind != "null").collect::<Vec<_>>()[..]
    {
        let one = one.clone();
        schema.insert("type".into(), one);
    }
    for (name, value) in schema.iter_mut() {
        match value {
            // What is in these has names of its own, which mean nothing here.
            Value::Object(parts) if matches!(name.as_str(), "properties" | "$defs") => {
                parts.values_mut().filter_map(Value::as_object_mut).for_each(|part| tidy_part(part, taken));
            }
            Value::Object(part) => tidy_part(part, taken),
            Value::Array(parts) => {
                parts.iter_mut().filter_map(Value::as_object_mut).for_each(|part| tidy_part(part, taken));
            }
            _ => {}
        }
    }
}

/// All tools, those of an agent that registers itself first.
pub(super) fn all() -> Vec<Tool> {
    vec![
        tool::<own::CreateSession, own::SessionObject>(
            "create_session",
            "Make a session for yourself",
            "Register yourself with Tether: makes a session in which the person sees what you do and answers you. \
             Call it once, and keep the `id` for the other tools.",
            ADDS,
        ),
        tool::<own::SendOutput, own::Done>(
            "send_output",
            "Tell the person something",
            "Show the person text in your session (Markdown): what you do, what you found, what is done.",
            ADDS,
        ),
        tool::<approval::RequestApproval, approval::Decision>(
            "request_approval",
            "Ask the person",
            "Ask the person, and wait for the answer (up to timeout_s). Without `options` they allow or deny; with \
             `options` they choose one, or answer in their own words. Go ahead only on `allowed: true`, or on a \
             `choice` that says so: a timeout, a cancellation or an error is never a yes. After a timeout the question \
             stays open: call again with its `request_id` to go on waiting.",
            ADDS,
        ),
        tool::<own::CheckInput, own::Events>(
            "check_input",
            "Hear what the person said",
            "What the person said (`user_input`) and answered (`permission_resolved`) in your session after the event \
             `since_seq`; pass `next_seq` on as the next `since_seq`. With `wait_s` it waits for something new.",
            LOOKS,
        ),
        tool::<orchestrate::RunAgent, orchestrate::Run>(
            "run_agent",
            "Have an agent work",
            "Start another agent (Claude Code, Codex and so on) with a prompt, in a directory of the daemon's machine \
             or in a fresh clone. It asks the person before it does anything risky. Answers at once with the session, \
             or with `wait` when the agent has finished its turn.",
            Hints { reads: false, destroys: true, again: false },
        ),
        tool::<orchestrate::OfSession, orchestrate::Status>(
            "get_session_status",
            "Look at a session",
            "Where a session stands: CREATED, RUNNING, AWAITING_INPUT (its turn is over), INTERRUPTING or ERROR, and \
             whether it waits for the person's approval.",
            LOOKS,
        ),
        tool::<orchestrate::GetOutput, own::Events>(
            "get_session_output",
            "Read what an agent said",
            "What a session's agent wrote, the changes of its state and its errors after the event `since_seq`; pass \
             `next_seq` on as the next `since_seq`. With `wait_s` it waits for something new.",
            LOOKS,
        ),
        tool::<orchestrate::SendFollowup, own::SessionObject>(
            "send_followup",
            "Say something to an agent",
            "Give a session's agent another prompt. While a turn runs it is queued, and sent when the turn ends.",
            Hints { reads: false, destroys: true, again: false },
        ),
        tool::<orchestrate::OfSession, orchestrate::Diff>(
            "get_diff",
            "See what an agent changed",
            "What is changed in a session's work tree since its last commit, as a unified diff, whole and by file; \
             new files included.",
            LOOKS,
        ),
        tool::<orchestrate::OfSession, own::SessionObject>(
            "stop_session",
            "Stop an agent's turn",
            "Stop the running turn of a session and the tools in it. The session stays and can be given a new prompt.",
            Hints { reads: false, destroys: true, again: true },
        ),
    ]
}

/// Does what a tool is to do. Whatever goes wrong becomes a result that says so: the model reads those, and no
/// protocol errors.
pub(super) async fn run(name: &str, arguments: JsonObject, call: Call) -> CallToolResult {
    let done = match name {
        "create_session" => with(arguments, call, own::create_session).await,
        "send_output" => with(arguments, call, own::send_output).await,
        "request_approval" => with(arguments, call, approval::request_approval).await,
        "check_input" => with(arguments, call, own::check_input).await,
        "run_agent" => with(arguments, call, orchestrate::run_agent).await,
        "get_session_status" => with(arguments, call, orchestrate::get_session_status).await,
        "get_session_output" => with(arguments, call, orchestrate::get_session_output).await,
        "send_followup" => with(arguments, call, orchestrate::send_followup).await,
        "get_diff" => with(arguments, call, orchestrate::get_diff).await,
        "stop_session" => with(arguments, call, orchestrate::stop_session).await,
        unknown => Err(ToolError::Unknown(unknown.to_owned())),
    };
    match done {
        Ok(value) => {
            let text = serde_json::to_string_pretty(&value).unwrap_or_else(|_| value.to_string());
            let mut result = CallToolResult::structured(value);
            result.content = vec![ContentBlock::text(text)];
            result
        }
        Err(error) => {
            tracing::debug!(tool = name, %error, "a tool was refused");
            CallToolResult::error(vec![ContentBlock::text(error.to_string())])
        }
    }
}

async fn with<I, O, F>(
    arguments: JsonObject,
    call: Call,
    tool: impl FnOnce(I, Call) -> F,
) -> Result<Value, ToolError>
where
    I: DeserializeOwned,
    O: Serialize,
    F: Future<Output = Result<O, ToolError>>,
{
    let input = read(arguments)?;
    let output = tool(input, call).await?;
    serde_json::to_value(output).map_err(|error| ToolError::Text(error.to_string()))
}

fn read<I: DeserializeOwned>(arguments: JsonObject) -> Result<I, ToolError> {
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        ToolError::Arguments(if path == "." { inner.to_string() } else { format!("{path}: {inner}") })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> JsonObject {
        let Value::Object(map) = value else { panic!("no object") };
        map
    }

    #[test]
    fn every_tool_has_its_schemas_its_hints_and_says_what_its_arguments_are() {
        let tools = all();
        assert_eq!(tools.len(), 10);
        for tool in tools {
            let name = &tool.name;
            assert_eq!(tool.input_schema["type"], "object", "{name}");
            assert_eq!(tool.input_schema["additionalProperties"], false, "{name}");
            for (argument, schema) in tool.input_schema["properties"].as_object().expect("arguments") {
                assert!(schema["description"].is_string(), "{name}: {argument}");
            }
            let output = tool.output_schema.as_ref().expect("an output schema");
            assert_eq!(output["type"], "object", "{name}");
            for schema in [&tool.input_schema, output] {
                assert!(!serde_json::to_string(schema).expect("JSON").contains("\"format\""), "{name}");
            }
            let hints = tool.annotations.as_ref().expect("annotations");
            assert_eq!(hints.open_world_hint, Some(false), "{name}");
            assert!(hints.read_only_hint.is_some() && hints.destructive_hint.is_some(), "{name}");
        }
    }

    #[test]
    fn the_arguments_that_the_contract_requires_are_required() {
        let required = |wanted: &str| {
            let tool = all().into_iter().find(|tool| tool.name == wanted).expect("a tool");
            let mut names: Vec<String> =
                serde_json::from_value(tool.input_schema["required"].clone()).expect("names");
            names.sort();
            names
        };
        assert_eq!(required("create_session"), ["agent_name", "agent_type", "session_name"]);
        assert_eq!(required("send_output"), ["session_id", "text"]);
        assert_eq!(required("check_input"), ["session_id"]);
        assert_eq!(required("run_agent"), ["prompt"]);
        assert_eq!(required("send_followup"), ["session_id", "text"]);
    }

    #[test]
    fn an_argument_that_may_be_absent_has_one_type_and_keeps_its_name() {
        let tool = all().into_iter().find(|tool| tool.name == "request_approval").expect("a tool");
        assert_eq!(tool.input_schema["properties"]["title"]["type"], "string");
        let output = tool.output_schema.expect("an output schema");
        assert_eq!(output["properties"]["choice"]["type"], json!(["string", "null"]));
    }

    #[test]
    fn wrong_arguments_are_told_with_their_place() {
        let told =
            |value: Value| read::<own::SendOutput>(object(value)).map(drop).expect_err("wrong").to_string();
        assert!(told(json!({})).starts_with("Input validation error: missing field `session_id`"));
        let text = told(json!({"session_id": "s", "text": 3}));
        assert!(text.contains("text: invalid type"), "{text}");
        assert!(told(json!({"session_id": "s", "text": "t", "txt": 1})).contains("unknown field `txt`"));
    }
}
