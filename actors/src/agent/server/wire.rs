//! What passes between a protocol that speaks over HTTP and the link that carries it out, as lines.
//!
//! The protocol writes a [`Request`] a line, as an [`Outgoing`]. The link gives it a line for each of the
//! server's events (the JSON as it came, an object with a `type`), and a [`News`] for everything else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::protocol::Outgoing;

/// A request to the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path, from `/` on, without a query.
    pub path: String,
    /// The query, not encoded yet. The link adds the directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// What is sent.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
    /// Comes back with the answer, as it is.
    pub tag: Value,
    /// It is sent so many milliseconds later; others do not wait for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: u64,
}

// By reference, because serde asks so.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference to `skip_serializing_if`")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Request {
    /// Asks for something.
    pub fn get(path: impl Into<String>, tag: Value) -> Self {
        Self::new("GET", path, tag)
    }

    /// Sends nothing.
    pub fn post(path: impl Into<String>, tag: Value) -> Self {
        Self::new("POST", path, tag)
    }

    /// With any method, and nothing to send.
    pub fn new(method: &str, path: impl Into<String>, tag: Value) -> Self {
        let (query, body) = (Vec::new(), Value::Null);
        Self { method: method.to_owned(), path: path.into(), query, body, tag, delay_ms: 0 }
    }

    /// With something to send.
    pub fn with(self, body: Value) -> Self {
        Self { body, ..self }
    }

    /// With one more piece of the query.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Later.
    pub fn after(self, delay_ms: u64) -> Self {
        Self { delay_ms, ..self }
    }
}

impl From<Request> for Outgoing {
    fn from(request: Request) -> Self {
        // Plain data with text keys: this cannot fail. An empty line would be refused by the link.
        Self { line: serde_json::to_string(&request).unwrap_or_default() }
    }
}

/// What the link tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub enum News {
    /// The stream of events begins (again). What happened before is not told; what happens from now on is.
    Connected,
    /// A request was answered.
    Reply {
        /// The request's.
        tag: Value,
        /// The HTTP status.
        status: u16,
        /// What was answered; a text if it is no JSON.
        body: Value,
    },
    /// A request could not be carried out, and is not tried again.
    Failed {
        /// The request's.
        tag: Value,
        /// Why.
        error: String,
    },
}

impl News {
    /// As a line.
    pub fn line(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
