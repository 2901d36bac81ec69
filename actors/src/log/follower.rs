//! Following a session: every event after a cursor, in order, once.

use actix::{MailboxError, Recipient};
use tokio::sync::watch;

use crate::domain::event::Frame;
use crate::domain::ids::SessionId;

use super::messages::{LogError, ReadEvents};
use super::read_model::{ReadModel, Tail};

/// How much is read from the store at a time: enough to be fast, little enough that the log is not
/// kept from committing for long (under a millisecond or two).
const CHUNK_EVENTS: usize = 1_000;
const CHUNK_BYTES: usize = 512 * 1024;

/// Reads a session's events from a cursor on, the old ones from the store and the newest from memory,
/// and waits for more. It holds no events between two calls, so a slow reader costs nothing.
#[derive(Debug)]
pub struct Follower {
    log: Recipient<ReadEvents>,
    session: SessionId,
    cursor: u64,
    /// `None` = there is no such session.
    feed: Option<watch::Receiver<Tail>>,
}

/// Why there is no next frame.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FollowError {
    /// The session was deleted, or never was.
    #[error("session {0} does not exist (any more)")]
    SessionDeleted(SessionId),
    /// The log could not read. Calling again may help.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Follower {
    /// Follows `session` from behind event `after`; 0 = from the start.
    pub fn new(log: Recipient<ReadEvents>, read_model: &ReadModel, session: SessionId, after: u64) -> Self {
        let feed = read_model.feed(&session);
        Self { log, session, cursor: after, feed }
    }

    /// The next frames after the cursor, at least one; waits for them if there are none. Dropping the
    /// returned future loses nothing: the cursor moves only when frames are handed out.
    pub async fn next(&mut self) -> Result<Vec<Frame>, FollowError> {
        loop {
            let deleted = || FollowError::SessionDeleted(self.session.clone());
            let feed = self.feed.as_mut().ok_or_else(deleted)?;
            // A copy, so that the feed is not locked while we wait. Marked as seen before it is read:
            // what is committed after this wakes `changed`.
            let tail = feed.borrow_and_update().clone();
            if tail.last <= self.cursor {
                if feed.changed().await.is_err() {
                    return Err(deleted());
                }
                continue;
            }
            let frames = match tail.after(self.cursor) {
                Some(frames) => frames.to_vec(),
                None if feed.has_changed().is_err() => return Err(deleted()),
                None => self.read().await?,
            };
            if let Some(last) = frames.last() {
                self.cursor = last.seq;
                return Ok(frames);
            }
            // The log knows of events and finds none: deleted in this moment, or worse.
            if self.feed.as_ref().is_none_or(|feed| feed.has_changed().is_err()) {
                return Err(FollowError::SessionDeleted(self.session.clone()));
            }
            let text = format!("session {} has no event after {}", self.session, self.cursor);
            return Err(LogError::Corrupt(text).into());
        }
    }

    async fn read(&self) -> Result<Vec<Frame>, LogError> {
        let read = ReadEvents {
            session: self.session.clone(),
            after: self.cursor,
            limit: CHUNK_EVENTS,
            max_bytes: CHUNK_BYTES,
        };
        match self.log.send(read).await {
            Ok(frames) => frames,
            Err(MailboxError::Closed | MailboxError::Timeout) => Err(LogError::Closed),
        }
    }

    /// Whether everything that is committed by now was handed out.
    pub fn caught_up(&self) -> bool {
        self.feed.as_ref().is_none_or(|feed| feed.borrow().last <= self.cursor)
    }

    /// The number of the last event handed out, or the cursor that was begun with.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whom it follows.
    pub fn session(&self) -> &SessionId {
        &self.session
    }
}
