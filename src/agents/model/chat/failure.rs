//! Why a request to a model came to nothing, and what follows from it.

use std::time::Duration;

use serde_json::Value;

/// Longest text of a server that is shown.
const SHOWN: usize = 600;
/// Longest wait that a server may ask for before its word counts as a limit that is used up.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The server said no.
    Refused {
        /// HTTP status; 0 = said in the middle of an answer, without one.
        status: u16,
        /// Its words.
        message: String,
        /// Its word for it (`context_length_exceeded`, `insufficient_quota`).
        code: String,
        /// How long it wants us to wait.
        wait: Option<Duration>,
    },
    /// Nobody answered, or the connection broke.
    Network(String),
    /// What came is not what the API gives.
    Odd(String),
}

/// What kind of failure it is, for whoever decides what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The key is missing or wrong.
    Authentication,
    /// Too much was used: a rate, a quota, an account without money.
    UsageLimit,
    /// The conversation is longer than the model can take.
    ContextLength,
    /// There is no such model.
    Model,
    /// The server refuses the request as it is.
    Request,
    /// The server has a problem.
    Server,
    /// It cannot be reached.
    Network,
}

impl Kind {
    /// As it is given to programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::UsageLimit => "usage_limit",
            Self::ContextLength => "context_length",
            Self::Model => "model_not_found",
            Self::Request => "invalid_request",
            Self::Server => "server",
            Self::Network => "network",
        }
    }
}

impl Failure {
    /// What a server's answer with an error status says.
    pub fn of_answer(status: u16, wait: Option<Duration>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let (message, code) = match serde_json::from_str::<Value>(&text) {
            Ok(value) => said(&value),
            Err(_) => (String::new(), String::new()),
        };
        let message = if message.is_empty() { plain(&text) } else { message };
        Self::Refused { status, message: shortened(&message), code, wait }
    }

    /// An error that a server put into the middle of an answer.
    pub fn of_event(error: &Value) -> Self {
        let (message, code) = said(error);
        let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        let message = if message.is_empty() { error.to_string() } else { message };
        Self::Refused { status, message: shortened(&message), code, wait: None }
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        let Self::Refused { status, message, code, wait } = self else {
            return if matches!(self, Self::Odd(_)) { Kind::Server } else { Kind::Network };
        };
        let message = message.to_lowercase();
        let code = code.to_lowercase();
        // Before the status: it is a 400 with most, a 413, 422 or 500 with some.
        if is_context_length(&message, &code) {
            return Kind::ContextLength;
        }
        let spent = code.contains("insufficient_quota") || message.contains("insufficient_quota");
        match status {
            401 | 403 => Kind::Authentication,
            402 => Kind::UsageLimit,
            429 if spent || wait.is_some_and(|wait| wait > LONGEST_WAIT) => Kind::UsageLimit,
            404 if message.contains("model") || code.contains("model") => Kind::Model,
            429 | 408 | 500.. => Kind::Server,
            400 if message.contains("api key") || code.contains("api_key") => Kind::Authentication,
            0 => Kind::Server,
            _ => Kind::Request,
        }
    }

    /// Whether the same request may do better a moment later.
    pub fn is_passing(&self) -> bool {
        match self.kind() {
            Kind::Server | Kind::Network => !matches!(self, Self::Refused { status: 501 | 505, .. }),
            _ => false,
        }
    }

    /// How long the server wants us to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Refused { wait, .. } => *wait,
            _ => None,
        }
    }

    /// HTTP status, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status).filter(|status| *status != 0),
            _ => None,
        }
    }

    /// What happened, and what to do, for people.
    pub fn words(&self, base_url: &str, model: &str) -> String {
        let cause = match self {
            Self::Refused { status: 0, message, .. } => message.clone(),
            Self::Refused { status, message, .. } if message.is_empty() => format!("status {status}"),
            Self::Refused { status, message, .. } => format!("{message} (status {status})"),
            Self::Network(cause) | Self::Odd(cause) => cause.clone(),
        };
        match self.kind() {
            Kind::Authentication => format!(
                "the server {base_url} does not accept the key: {cause}; set TETHER_MODEL_API_KEY to one that it knows"
            ),
            Kind::UsageLimit => format!("the limit of the account at {base_url} is used up: {cause}"),
            Kind::ContextLength => format!(
                "the conversation is longer than the model {model} can take: {cause}; begin a new session, or choose \
                 a model with a longer context"
            ),
            Kind::Model => {
                format!(
                    "the server {base_url} has no model {model}: {cause}; choose another one (TETHER_MODEL)"
                )
            }
            Kind::Request => format!("the server {base_url} refuses the request for {model}: {cause}"),
            Kind::Server => format!("the server {base_url} failed: {cause}"),
            Kind::Network => {
                format!(
                    "the server {base_url} cannot be reached: {cause}; is it running, and is the address right?"
                )
            }
        }
    }
}

/// The message and the code in the forms that servers have for an error: OpenAI's object, a bare text (Ollama), a
/// list with one (Gemini), the object without a frame (Mistral, vLLM), `detail` (FastAPI).
fn said(value: &Value) -> (String, String) {
    if let Some(first) = value.as_array().and_then(|list| list.first()) {
        return said(first);
    }
    let framed = &value["error"];
    let error = if framed.is_null() { value } else { framed };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let message = match error {
        Value::String(text) => Some(text.clone()),
        error => text(&error["message"]).or_else(|| text(&error["detail"])),
    };
    // OpenRouter hides what the provider said one level below.
    let below = text(&error["metadata"]["raw"]).map(|raw| format!(" ({raw})")).unwrap_or_default();
    let code = [&error["code"], &error["type"], &error["status"]].into_iter().find_map(Value::as_str);
    (message.map(|message| message + &below).unwrap_or_default(), code.unwrap_or_default().to_owned())
}

/// What the servers that are known say when a conversation is too long.
fn is_context_length(message: &str, code: &str) -> bool {
    const SAYINGS: [&str; 10] = [
        "maximum context length",
        "context length exceeded",
        "exceeds the context length",
        "context window",
        "context size",
        "prompt is too long",
        "input is too long",
        "input token count",
        "too many tokens",
        "reduce the length of the messages",
    ];
    code.contains("context_length")
        || code.contains("context_size")
        || SAYINGS.iter().any(|saying| message.contains(saying))
}

/// A page without its markup, on one line.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars().take(SHOWN * 8) {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                out.push(' ');
            }
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> Kind {
        Failure::of_answer(status, None, body.as_bytes()).kind()
    }

    #[test]
    fn the_errors_of_known_servers_are_understood() {
        for (server, status, body, wanted) in [
            (
                "OpenAI",
                401,
                r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
                Kind::Authentication,
            ),
            (
                "OpenAI",
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                Kind::UsageLimit,
            ),
            (
                "OpenAI",
                429,
                r#"{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}"#,
                Kind::Server,
            ),
            (
                "OpenAI",
                400,
                r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
                Kind::ContextLength,
            ),
            (
                "OpenAI",
                404,
                r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
                Kind::Model,
            ),
            (
                "OpenRouter",
                402,
                r#"{"error":{"message":"Insufficient credits","code":402}}"#,
                Kind::UsageLimit,
            ),
            (
                "OpenRouter",
                400,
                r#"{"error":{"message":"This endpoint's maximum context length is 8192 tokens","code":400,"metadata":{}}}"#,
                Kind::ContextLength,
            ),
            (
                "Gemini",
                400,
                r#"[{"error":{"code":400,"message":"The input token count (9) exceeds the maximum","status":"INVALID_ARGUMENT"}}]"#,
                Kind::ContextLength,
            ),
            (
                "Gemini",
                400,
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
                Kind::Authentication,
            ),
            ("Ollama", 404, r#"{"error":"model 'x' not found"}"#, Kind::Model),
            (
                "llama.cpp",
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}"#,
                Kind::ContextLength,
            ),
            (
                "vLLM",
                400,
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens","code":400}"#,
                Kind::ContextLength,
            ),
            ("FastAPI", 422, r#"{"detail":[{"msg":"field required"}]}"#, Kind::Request),
            ("nginx", 502, "<html><head><title>502 Bad Gateway</title></head></html>", Kind::Server),
            ("anything", 503, "", Kind::Server),
        ] {
            assert_eq!(kind(status, body), wanted, "{server}: {body}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (failure, passing) in [
            (Failure::of_answer(429, None, b"{}"), true),
            (Failure::of_answer(429, Some(Duration::from_secs(3600)), b"{}"), false),
            (Failure::of_answer(500, None, b""), true),
            (Failure::of_answer(501, None, b""), false),
            (Failure::of_answer(400, None, b"{}"), false),
            (Failure::of_answer(401, None, b"{}"), false),
            (Failure::Network("refused".into()), true),
            (Failure::Odd("no JSON".into()), true),
            (Failure::of_event(&serde_json::json!({ "code": 502, "message": "upstream" })), true),
        ] {
            assert_eq!(failure.is_passing(), passing, "{failure:?}");
        }
    }

    #[test]
    fn words_say_what_happened_and_what_to_do() {
        let words = |failure: &Failure| failure.words("http://h/v1", "m");
        let page = Failure::of_answer(502, None, b"<html><h1>Bad  Gateway</h1>\n</html>");
        assert_eq!(words(&page), "the server http://h/v1 failed: Bad Gateway (status 502)");
        let long =
            Failure::of_answer(400, None, br#"{"error":{"message":"m","code":"context_length_exceeded"}}"#);
        assert!(words(&long).contains("begin a new session"), "{}", words(&long));
        let empty = Failure::of_answer(500, None, b"");
        assert!(words(&empty).ends_with("status 500"), "{}", words(&empty));
        let much = Failure::of_answer(500, None, "é".repeat(5000).as_bytes());
        assert!(words(&much).len() < 2000);
    }
}
