//! Changes to threads. Discord lets a thread's name be changed twice in ten minutes; what it does not take at once
//! is done later, and nothing else waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use twilight_http::request::Request;
use twilight_http::routing::Route;

use super::http::Http;
use super::wire::Snowflake;
use super::words::{ARCHIVED, About, Trouble};
use crate::bridge::platform::Failure;

/// Minutes without a word after which Discord puts a thread away: the most there is.
pub const AWAKE: u32 = 10_080;
/// The time for which names are limited.
const A_WHILE: Duration = Duration::from_secs(600);
/// So often is a change tried later.
const TRIES: usize = 5;

type Wanted = HashMap<Snowflake, Map<String, Value>>;

/// Changes threads.
#[derive(Debug)]
pub struct Threads {
    http: Http,
    /// What is yet to be changed. A task waits for each.
    later: Arc<Mutex<Wanted>>,
}

fn lock(later: &Mutex<Wanted>) -> MutexGuard<'_, Wanted> {
    later.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threads {
    /// None waits yet.
    pub fn new(http: Http) -> Self {
        Self { http, later: Arc::default() }
    }

    /// Changes a thread, now or later.
    pub async fn change(&self, thread: Snowflake, fields: Value) -> Result<(), Failure> {
        let Value::Object(fields) = fields else { return Ok(()) };
        if let Some(waiting) = lock(&self.later).get_mut(&thread) {
            waiting.extend(fields);
            return Ok(());
        }
        match change(&self.http, thread, &fields).await {
            Ok(()) => Ok(()),
            Err(Trouble::Slow { after, .. }) => {
                self.postpone(thread, fields, after.unwrap_or(A_WHILE));
                Ok(())
            }
            Err(trouble) => Err(trouble.failure(About::Thread)),
        }
    }

    /// Takes a thread out again that was put away.
    pub async fn reopen(&self, thread: Snowflake) -> Result<(), Failure> {
        let fields =
            Map::from_iter([("archived".to_owned(), json!(false)), ("locked".to_owned(), json!(false))]);
        match patch(&self.http, thread, &fields).await {
            Ok(()) => Ok(()),
            // All else need not wait with it.
            Err(Trouble::Slow { why, .. }) => Err(Failure::Unsure(why)),
            Err(trouble) => Err(trouble.failure(About::Thread)),
        }
    }

    fn postpone(&self, thread: Snowflake, fields: Map<String, Value>, mut wait: Duration) {
        let (http, later) = (self.http.clone(), self.later.clone());
        lock(&later).insert(thread, fields);
        tokio::spawn(async move {
            for _ in 0..TRIES {
                tracing::info!(
                    thread,
                    seconds = wait.as_secs(),
                    "a thread's change waits, as Discord wants it"
                );
                tokio::time::sleep(wait).await;
                let fields = lock(&later).get(&thread).cloned().unwrap_or_default();
                match change(&http, thread, &fields).await {
                    Err(Trouble::Slow { after, .. }) => wait = after.unwrap_or(A_WHILE),
                    Err(Trouble::Unsure(_)) => wait = Duration::from_secs(30),
                    _ if lock(&later).get(&thread) == Some(&fields) => break,
                    // Something else was wanted meanwhile.
                    _ => wait = Duration::ZERO,
                }
            }
            lock(&later).remove(&thread);
        });
    }
}

/// A thread that was put away takes no other change before it is taken out.
async fn change(http: &Http, thread: Snowflake, fields: &Map<String, Value>) -> Result<(), Trouble> {
    match patch(http, thread, fields).await {
        Err(trouble) if trouble.code() == ARCHIVED => {
            patch(http, thread, &Map::from_iter([("archived".to_owned(), json!(false))])).await?;
            patch(http, thread, fields).await
        }
        answer => answer,
    }
}

async fn patch(http: &Http, thread: Snowflake, fields: &Map<String, Value>) -> Result<(), Trouble> {
    let request = Request::builder(&Route::UpdateChannel { channel_id: thread }).json(fields).build();
    http.call::<IgnoredAny>(request).await.map(drop)
}
