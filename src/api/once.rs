//! Idempotency keys: what a client sends again because it did not see the answer is done once.
//!
//! A key is the client's own text, in the header `Idempotency-Key` or with the event. What is kept of it, with
//! what it was sent for, are hashes beside the session, on disk in the same batch as what was done.

use actix_web::HttpRequest;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tether_actors::domain::session::OnceMark;

use super::error::ApiError;

/// The header.
pub const HEADER: &str = "Idempotency-Key";
/// Longest key, in characters.
pub const LONGEST: usize = 255;

/// The key in a request's header, if there is one.
///
/// # Errors
/// The header is not readable text of 1 to [`LONGEST`] characters, or is there twice.
pub fn key_of(req: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut given = req.headers().get_all(HEADER);
    let (Some(key), more) = (given.next(), given.next()) else { return Ok(None) };
    let key = key.to_str().unwrap_or_default().trim();
    if more.is_some() || key.is_empty() || key.len() > LONGEST {
        return Err(ApiError::invalid(format!(
            "the header {HEADER} must be there once, with 1 to {LONGEST} printable ASCII characters"
        )));
    }
    Ok(Some(key.to_owned()))
}

/// The mark of `body`, sent under `key`.
pub fn mark(key: &str, body: &impl Serialize) -> OnceMark {
    // What cannot be written as JSON came from no request.
    let body = serde_json::to_vec(body).unwrap_or_default();
    OnceMark { key: hash(key.as_bytes()), body: hash(&body) }
}

/// 96 bits: enough to tell the keys of one daemon apart, and little to keep.
fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes).get(..12).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_text_of_some_length_and_given_once() {
        let of = |keys: &[&str]| {
            let request = keys.iter().fold(TestRequest::default(), |r, key| r.append_header((HEADER, *key)));
            key_of(&request.to_http_request())
        };
        assert_eq!(of(&[]).expect("none is fine"), None);
        assert_eq!(of(&[" k-1 "]).expect("a key"), Some("k-1".to_owned()));
        let long = "k".repeat(LONGEST + 1);
        for wrong in [&[""][..], &["a", "b"], &["\u{e4}"], &[long.as_str()]] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_same_is_known_again_and_another_is_not() {
        let first = mark("k", &json!({"a": 1}));
        assert_eq!(first, mark("k", &json!({"a": 1})));
        let other = mark("k", &json!({"a": 2}));
        assert!(first.key == other.key && first.body != other.body);
        assert_ne!(first.key, mark("l", &json!({"a": 1})).key);
    }
}
