//! JSON-RPC 2.0 as the Agent Client Protocol uses it: one object a line.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The version of the protocol that is spoken.
pub const PROTOCOL_VERSION: u64 = 1;

/// A refused request, as JSON-RPC gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// JSON-RPC's or the protocol's number.
    pub code: i64,
    /// For people.
    pub message: String,
    /// For programs.
    pub data: Option<Value>,
}

impl Refusal {
    /// The line was no JSON.
    pub fn unreadable(cause: impl std::fmt::Display) -> Self {
        Self::new(-32700, format!("not a line of JSON: {cause}"))
    }

    /// The message is no request, or comes at the wrong time.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(-32600, message)
    }

    /// There is no such method.
    pub fn unknown_method(method: &str) -> Self {
        Self::new(-32601, format!("method not found: {method}"))
    }

    /// The parameters do not fit.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    /// Something went wrong here.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, message)
    }

    /// The person has to sign in, or to give a key.
    pub fn auth_required(message: impl Into<String>) -> Self {
        Self::new(-32000, message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(-32002, message)
    }

    fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same with something for programs.
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    fn to_json(&self) -> Value {
        match &self.data {
            Some(data) => json!({ "code": self.code, "message": self.message, "data": data }),
            None => json!({ "code": self.code, "message": self.message }),
        }
    }
}

/// What a line may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// It wants an answer.
    Request {
        /// The client's id for it.
        id: Value,
        /// What it wants.
        method: String,
        /// With what.
        params: Value,
    },
    /// It wants none.
    Notification {
        /// What happened.
        method: String,
        /// With what.
        params: Value,
    },
    /// It answers a request of ours.
    Response {
        /// Our id for the request.
        id: Value,
        /// The answer, or the client's error text.
        result: Result<Value, String>,
    },
}

/// Reads a line. `Err` = what to answer, and under which id.
pub fn read(line: &[u8]) -> Result<Incoming, (Value, Refusal)> {
    let mut value: Value =
        serde_json::from_slice(line).map_err(|error| (Value::Null, Refusal::unreadable(error)))?;
    let Some(object) = value.as_object_mut() else {
        return Err((Value::Null, Refusal::invalid_request("a message is one JSON object a line")));
    };
    let id = object.remove("id");
    let params = object.remove("params").unwrap_or(Value::Null);
    match (object.remove("method"), id) {
        (Some(Value::String(method)), Some(id)) => Ok(Incoming::Request { id, method, params }),
        (Some(Value::String(method)), None) => Ok(Incoming::Notification { method, params }),
        (None, Some(id)) if object.contains_key("error") => {
            let error = object.remove("error").unwrap_or(Value::Null);
            let text = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
            Ok(Incoming::Response { id, result: Err(text) })
        }
        (None, Some(id)) if object.contains_key("result") => {
            Ok(Incoming::Response { id, result: Ok(object.remove("result").unwrap_or(Value::Null)) })
        }
        (_, id) => Err((
            id.unwrap_or(Value::Null),
            Refusal::invalid_request("neither a request nor an answer: there is no method and no result"),
        )),
    }
}

/// The line that answers a request.
pub fn answer(id: Value, result: Result<Value, Refusal>) -> String {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(refusal) => json!({ "jsonrpc": "2.0", "id": id, "error": refusal.to_json() }),
    }
    .to_string()
}

/// The line of a notification.
pub fn notification(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

/// The line of a request of ours.
pub fn request(id: &str, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// The parameters of a request as what they are to be.
pub fn params<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
    serde_json::from_value(params)
        .map_err(|error| Refusal::invalid_params(format!("wrong parameters: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_notifications_and_answers_are_told_apart() {
        let request = read(br#"{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":1}}"#);
        assert_eq!(
            request,
            Ok(Incoming::Request { id: json!(7), method: "m".into(), params: json!({ "a": 1 }) })
        );
        let notification = read(br#"{"method":"session/cancel"}"#);
        assert_eq!(
            notification,
            Ok(Incoming::Notification { method: "session/cancel".into(), params: Value::Null })
        );
        let answer = read(br#"{"id":"r-1","result":null}"#);
        assert_eq!(answer, Ok(Incoming::Response { id: json!("r-1"), result: Ok(Value::Null) }));
        let error = read(br#"{"id":"r-1","error":{"code":-32601,"message":"no such method"}}"#);
        assert_eq!(error, Ok(Incoming::Response { id: json!("r-1"), result: Err("no such method".into()) }));
    }

    #[test]
    fn what_is_no_message_is_refused_under_its_id_if_it_has_one() {
        assert_eq!(read(b"{\"id\":3}").map_err(|(id, refusal)| (id, refusal.code)), Err((json!(3), -32600)));
        for line in [&b"nonsense"[..], b"[]", b"7", b"{}", b"\xff\xfe", b""] {
            assert!(read(line).is_err_and(|(id, _)| id.is_null()), "{line:?}");
        }
    }
}
