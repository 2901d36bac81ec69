//! Idempotency keys: what a client sends again because it did not see the answer is done once.
//!
//! A key is the client's own text, in the header `Idempotency-Key` or with the event. What is kept of it, with
//! what it was sent for, are hashes beside the session, on disk in the same batch as what was done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::HttpRequest;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tether_actors::domain::session::{OnceMark, Session};
use tokio::sync::watch;

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

/// A session that was made, or why it was not.
type Made = Result<Session, ApiError>;

/// The sessions that are being made under keys just now, which may take as long as a clone does. One is made to its end
/// whoever goes away, and who asks for it again meanwhile waits for that one; all others are not held up.
#[derive(Clone, Default)]
pub struct Making(Arc<Mutex<HashMap<String, Underway>>>);

struct Underway {
    mark: OnceMark,
    done: watch::Receiver<Option<Made>>,
}

impl Making {
    /// Has a session made under a mark, unless it is being made or was made before: `made` tells the latter, and must know
    /// of a session as soon as `make` is done.
    ///
    /// # Errors
    /// It could not be made, or the key stands for another one.
    pub async fn once(
        &self,
        mark: OnceMark,
        made: impl FnOnce(&OnceMark) -> Option<Made>,
        make: impl Future<Output = Made> + 'static,
    ) -> Made {
        let mut done = {
            let mut underway = self.lock();
            // Looked at with the lock held: what was made is known before it is no longer under way.
            if let Some(made) = made(&mark) {
                return made;
            }
            match underway.get(&mark.key) {
                Some(other) if other.mark != mark => return Err(used_otherwise()),
                Some(same) => same.done.clone(),
                None => {
                    let (tell, done) = watch::channel(None);
                    let end = End { making: self.clone(), key: mark.key.clone() };
                    underway.insert(mark.key.clone(), Underway { mark, done: done.clone() });
                    actix_web::rt::spawn(async move {
                        let made = make.await;
                        drop(end);
                        // Nobody may be left who wants to know.
                        let _ = tell.send(Some(made));
                    });
                    done
                }
            }
        };
        match done.wait_for(Option::is_some).await {
            Ok(made) => made.clone().unwrap_or_else(|| Err(ApiError::stopping())),
            Err(_) => Err(ApiError::stopping()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Underway>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a session is no longer under way, however its making ends.
struct End {
    making: Making,
    key: String,
}

impl Drop for End {
    fn drop(&mut self) {
        self.making.lock().remove(&self.key);
    }
}

/// The refusal of a key that stands for another session.
pub fn used_otherwise() -> ApiError {
    ApiError::invalid(
        "this idempotency key was used for another session: give every session a key of its own",
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use actix_web::test::TestRequest;
    use serde_json::json;
    use tether_actors::domain::code::Code;
    use tokio::sync::oneshot;

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

    fn session() -> Session {
        serde_json::from_value(json!({
            "id": "sess_0123456789ab", "state": "CREATED", "created_at": "2026-01-01T00:00:00Z",
            "last_activity_at": "2026-01-01T00:00:00Z", "directory": "", "directory_has_git": false,
            "message_count": 0, "has_pending_permission": false,
        }))
        .expect("a session")
    }

    /// A making that waits to be let go, and counts.
    struct Slow {
        made: Rc<Cell<usize>>,
        go: Option<oneshot::Receiver<()>>,
    }

    impl Slow {
        fn new() -> (Self, oneshot::Sender<()>) {
            let (go, wait) = oneshot::channel();
            (Self { made: Rc::default(), go: Some(wait) }, go)
        }

        fn make(&mut self) -> impl Future<Output = Made> + use<> {
            let (made, go) = (self.made.clone(), self.go.take());
            async move {
                if let Some(go) = go {
                    go.await.expect("it is let go");
                }
                made.set(made.get() + 1);
                Ok(session())
            }
        }
    }

    #[actix_web::test]
    async fn who_asks_again_gets_the_one_that_is_being_made_though_the_first_went_away() {
        let making = Making::default();
        let (mut slow, go) = Slow::new();
        let first = mark("k", &json!(1));
        {
            let asked = making.once(first.clone(), |_| None, slow.make());
            let gone = tokio::time::timeout(std::time::Duration::from_millis(1), asked).await;
            assert!(gone.is_err(), "the first goes away while it is made");
        }
        let other = making.once(mark("k", &json!(2)), |_| None, slow.make()).await;
        assert!(other.is_err_and(|error| error.message().contains("another session")));
        let free = making.once(mark("l", &json!(1)), |_| None, slow.make()).await;
        assert!(free.is_ok() && slow.made.get() == 1, "another key is not held up");
        let again = making.once(first.clone(), |_| None, slow.make());
        let (again, _) = tokio::join!(again, async { go.send(()).expect("it waits") });
        assert_eq!((again.expect("it was made").id.as_str(), slow.made.get()), ("sess_0123456789ab", 2));
        assert!(making.lock().is_empty());
        let known = making.once(first, |_| Some(Ok(session())), slow.make()).await;
        assert!(known.is_ok() && slow.made.get() == 2, "it is known by now");
    }

    #[actix_web::test]
    async fn what_failed_may_be_tried_again_and_a_fall_holds_nobody() {
        let making = Making::default();
        let refused =
            making.once(mark("k", &json!(1)), |_| None, async { Err(ApiError::no_session()) }).await;
        assert_eq!(refused.expect_err("it failed").code(), Code::NotFound);
        let fallen = making.once(mark("k", &json!(1)), |_| None, async { panic!("a bug") }).await;
        assert!(fallen.is_err());
        let fine = making.once(mark("k", &json!(1)), |_| None, async { Ok(session()) }).await;
        assert!(fine.is_ok());
    }
}
