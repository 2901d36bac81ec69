//! Conversations that people began in an agent's own program: listed, shown, taken over as sessions, and followed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tracing::{info, warn};

use super::World;
use super::world::NewSession;
use crate::agent::neighbours::neighbours;
use crate::agent::processes::Identity;
use crate::agent::program::Program;
use crate::domain::elsewhere::{Attached, Process, Runner};
use crate::domain::event::{EventDraft, EventType};
use crate::domain::ids::SessionId;
use crate::domain::session::Session as SessionView;
use crate::domain::state::SessionState;
use crate::domain::time::Stamp;
use crate::elsewhere::{
    Filter, Found, Holder, Homes, How, Index, Machine, Message, ReadError, Since, Taken, drafts,
};
use crate::session::{AddHistory, SessionError, naming};

/// So many of the newest messages a session begins with (`contract`: attach).
const TAKEN: usize = 100;
/// So many messages are recorded at once when a session is synced.
const BATCH: usize = 100;
/// So many of the newest messages are told again when a person insists (`contract`: sync).
const AGAIN: usize = 75;
/// How often it is tried again when somebody else was quicker, who then got further.
const TRIES: usize = 200;
/// How long a program may take to end that is asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of conversations elsewhere; one for the whole daemon.
pub struct Elsewhere {
    index: Arc<Mutex<Index>>,
    /// One at a time, or two requests could make two sessions of one conversation.
    attaching: Mutex<()>,
}

impl Elsewhere {
    /// In the homes of whoever runs this process.
    pub fn of_process() -> Self {
        Self::new(Homes::of_process())
    }

    /// In these homes.
    pub fn new(homes: Homes) -> Self {
        Self { index: Arc::new(Mutex::new(Index::new(homes))), attaching: Mutex::new(()) }
    }

    /// Looks at the machine, on a thread for blocking work. Who comes meanwhile waits without a thread.
    async fn look<T: Send + 'static>(
        &self,
        with: impl FnOnce(&mut Index) -> T + Send + 'static,
    ) -> Result<T, SessionError> {
        let mut index = self.index.clone().lock_owned().await;
        tokio::task::spawn_blocking(move || with(&mut index)).await.map_err(|_| SessionError::Restarting)
    }

    /// A conversation on this machine, with where it ends now.
    pub(super) async fn find_end(&self, runner: Runner, id: &str) -> Option<(Found, Taken)> {
        let wanted = id.to_owned();
        let found = self.look(move |index| index.find(&Here, runner, &wanted)).await.ok()??;
        let reading = found.clone();
        let taken = blocking(move || reading.take(0)).await.ok()?.ok()?;
        Some((found, taken))
    }
}

/// The processes of this machine.
struct Here;

impl Machine for Here {
    fn processes(&self) -> Vec<Process> {
        neighbours()
    }
}

/// A conversation that was found, and the session of ours that goes on with it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The conversation.
    pub found: Found,
    /// The session.
    pub session: Option<SessionId>,
}

/// Which conversation is to be taken over, and how.
#[derive(Clone, Debug)]
pub struct Attach {
    /// Whose.
    pub runner: Runner,
    /// The agent's own id of it.
    pub id: String,
    /// Where its agent is to work: an existing directory, absolute, links resolved.
    pub directory: PathBuf,
    /// The chat platform to bind the session to (already checked to be running).
    pub platform: Option<String>,
    /// Whether the program that has it open in a terminal is to be ended.
    pub take_over: bool,
}

/// What a sync brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Messages that were recorded.
    pub synced: u64,
    /// Messages that the conversation has.
    pub total: u64,
}

/// Why a conversation was not listed, taken over or followed.
#[derive(Debug, thiserror::Error)]
pub enum ElsewhereError {
    /// There is none.
    #[error("External session not found: {0}")]
    NotFound(String),
    /// A program has it open.
    #[error("{0}")]
    Held(String),
    /// It was asked to end, and did not.
    #[error(
        "the program that has this session open (process {0}) did not end within 10 s: close it by hand, then try again"
    )]
    StillHeld(u32),
    /// We have no agent for it.
    #[error("{} cannot be run by this daemon: `tether agents` lists those that can", .0.title())]
    NoAgent(Runner),
    /// The session is none that was attached.
    #[error("Session is not attached to an external session")]
    NotAttached,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The session refused.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl World {
    /// The conversations on this machine, last written to first.
    pub async fn elsewhere(&self, filter: Filter) -> Result<Vec<Listed>, ElsewhereError> {
        let found = self.elsewhere.look(move |index| index.list(&Here, &filter)).await?;
        let sessions = self.read_model().sessions();
        Ok(found
            .into_iter()
            .map(|found| Listed { session: session_of(&sessions, &found).map(|s| s.id.clone()), found })
            .collect())
    }

    /// One conversation with its newest messages.
    pub async fn elsewhere_history(
        &self,
        runner: Runner,
        id: &str,
        limit: usize,
    ) -> Result<(Listed, Vec<Message>), ElsewhereError> {
        let found = self.find_elsewhere(runner, id).await?;
        let session = session_of(&self.read_model().sessions(), &found).map(|session| session.id.clone());
        let listed = Listed { found: found.clone(), session };
        let messages = blocking(move || found.history(limit)).await??;
        Ok((listed, messages))
    }

    /// Take a conversation over: a session that goes on with it. One that was taken over already is answered again.
    pub async fn attach(&self, attach: Attach) -> Result<SessionView, ElsewhereError> {
        self.log().accepts_work().map_err(SessionError::from)?;
        let _one_at_a_time = self.elsewhere.attaching.lock().await;
        let found = self.find_elsewhere(attach.runner, &attach.id).await?;
        if let Some(session) = session_of(&self.read_model().sessions(), &found) {
            return Ok(session.clone());
        }
        let agents = &self.agent_settings().agents;
        let agent = agents.entry(Some(found.runner.agent())).map(|entry| entry.adapter.clone());
        let agent = agent.ok_or(ElsewhereError::NoAgent(found.runner))?;
        if let Some(holder) = &found.holder {
            free(found.runner, holder, attach.take_over).await?;
        }
        let reading = found.clone();
        let taken = blocking(move || reading.take(TAKEN)).await??;
        self.begin_attached(&attach, &found, agent, taken).await
    }

    async fn begin_attached(
        &self,
        attach: &Attach,
        found: &Found,
        agent: String,
        taken: Taken,
    ) -> Result<SessionView, ElsewhereError> {
        let first = found.title.as_deref().or(found.first_prompt.as_deref()).unwrap_or_default();
        let new = NewSession {
            name: naming::from_prompt(None, first),
            directory: Some(attach.directory.clone()),
            adapter: found.runner.adapter().map(str::to_owned),
            platform: attach.platform.clone(),
            ..NewSession::default()
        };
        let mut record = self.record_of(new).await;
        record.session.state = SessionState::AwaitingInput;
        record.session.started_at = Some(Stamp::now());
        record.session.runner_type = Some(found.runner.session_type().to_owned());
        record.session.runner_session_id = Some(found.id.clone());
        record.session.message_count = taken.prompts;
        record.agent = Some(agent);
        record.conversation = Some(found.conversation());
        record.conversation_begun = true;
        record.attached = Some(Attached {
            runner: found.runner,
            id: found.id.clone(),
            cursor: taken.cursor,
            total: taken.total,
            own: Vec::new(),
        });
        let state = serde_json::json!({ "state": SessionState::AwaitingInput });
        let mut events = vec![EventDraft::new(EventType::SessionState, state)];
        events.extend(drafts(&taken.entries));
        info!(session = %record.session.id, runner = %found.runner, external = found.id, messages = taken.total, "a conversation is taken over");
        Ok(self.begin(record, events).await?)
    }

    /// Record what the agent's own program wrote into the conversation of an attached session since it was read last.
    /// What a program of ours wrote was recorded when it said it. With `force` the newest messages are told again.
    pub async fn sync(&self, session: &SessionId, force: bool) -> Result<Synced, ElsewhereError> {
        let attached = self.attached(session)?;
        let found = self.find_elsewhere(attached.runner, &attached.id).await?;
        let mut done = self.sync_found(session, &found).await?;
        if force {
            done.synced += self.tell_again(session, &found).await?;
        }
        Ok(done)
    }

    async fn sync_found(&self, session: &SessionId, found: &Found) -> Result<Synced, ElsewhereError> {
        let (mut synced, mut tries) = (0, 0);
        loop {
            match self.sync_some(session, found).await? {
                Some((new, total, is_end)) => {
                    synced += new;
                    tries = 0;
                    if is_end {
                        return Ok(Synced { synced, total });
                    }
                }
                None if tries < TRIES => tries += 1,
                None => return Err(SessionError::Restarting.into()),
            }
        }
    }

    /// Before an agent of ours goes on with a conversation that was begun elsewhere: what its own program wrote
    /// meanwhile is recorded first. Refused while a terminal is known to have it open, since of two that write into one
    /// conversation one would lose its turns without a word.
    pub(super) async fn catch_up(&self, session: &SessionId) -> Result<(), SessionError> {
        let Some(entry) = self.read_model().session(session) else { return Ok(()) };
        let Some(attached) = &entry.record.attached else { return Ok(()) };
        if entry.record.session.state.is_active() {
            return Ok(());
        }
        let found = match self.find_elsewhere(attached.runner, &attached.id).await {
            Ok(found) => found,
            // Its agent will say what it makes of that.
            Err(_) => return Ok(()),
        };
        // Of the others it is only a guess, which must not stand in anybody's way.
        let is_known = matches!(found.runner, Runner::ClaudeCode | Runner::Codex);
        if let Some(holder) = found.holder.as_ref().filter(|holder| is_known && holder.how == How::Terminal) {
            return Err(SessionError::InvalidState(format!(
                "{} has this session open in a terminal again (process {}): close it there, then send it again",
                found.runner.title(),
                holder.pid
            )));
        }
        if let Err(error) = self.sync_found(session, &found).await {
            warn!(session = %session, %error, "what was written elsewhere could not be read");
        }
        Ok(())
    }

    fn attached(&self, session: &SessionId) -> Result<Attached, ElsewhereError> {
        let entry = self.read_model().session(session).ok_or(SessionError::NotFound)?;
        entry.record.attached.clone().ok_or(ElsewhereError::NotAttached)
    }

    /// One batch: how many messages were recorded, how many there are, and whether that was all. `None` if somebody
    /// else was quicker.
    async fn sync_some(
        &self,
        session: &SessionId,
        found: &Found,
    ) -> Result<Option<(u64, u64, bool)>, ElsewhereError> {
        let expected = self.attached(session)?.cursor;
        let read_at = Stamp::now().unix_millis();
        let (reading, behind) = (found.clone(), expected.clone());
        let since = blocking(move || reading.since(&behind, BATCH)).await??;
        // After it was read: a program of ours that wrote some of it is known by now.
        let attached = self.attached(session)?;
        let Since { mut entries, cursor, messages, is_end, .. } = since;
        let total = attached.total + messages;
        if entries.is_empty() {
            return Ok(Some((0, total, is_end)));
        }
        entries.retain(|entry| entry.by_hand || !attached.is_own(entry.at));
        let mut fold = expected.fold.clone();
        let new = entries.iter().filter(|entry| fold.begins(entry)).count() as u64;
        let add = AddHistory {
            expected,
            cursor,
            total,
            prompts: entries.iter().filter(|entry| entry.is_prompt()).count() as u64,
            drafts: drafts(&entries),
            read_at: is_end.then_some(read_at),
        };
        Ok(self.to_session(session, add).await??.then_some((new, total, is_end)))
    }

    async fn tell_again(&self, session: &SessionId, found: &Found) -> Result<u64, ElsewhereError> {
        let reading = found.clone();
        let taken = blocking(move || reading.take(AGAIN)).await??;
        let mut drafts = drafts(&taken.entries);
        for draft in &mut drafts {
            draft.data["again"] = true.into();
        }
        let attached = self.attached(session)?;
        let add = AddHistory {
            expected: attached.cursor.clone(),
            cursor: attached.cursor,
            total: attached.total,
            prompts: 0,
            drafts,
            read_at: None,
        };
        let told = self.to_session(session, add).await??;
        Ok(if told { taken.total.min(AGAIN as u64) } else { 0 })
    }

    async fn find_elsewhere(&self, runner: Runner, id: &str) -> Result<Found, ElsewhereError> {
        let wanted = id.to_owned();
        let found = self.elsewhere.look(move |index| index.find(&Here, runner, &wanted)).await?;
        found.ok_or_else(|| ElsewhereError::NotFound(id.to_owned()))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SessionError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SessionError::Restarting)
}

/// The session that goes on with a conversation, attached or begun with us.
fn session_of<'a>(sessions: &'a [SessionView], found: &Found) -> Option<&'a SessionView> {
    let conversation = found.conversation();
    sessions.iter().find(|session| {
        let id = session.runner_session_id.as_deref();
        session.runner_type.as_deref() == Some(found.runner.session_type())
            && (id == Some(found.id.as_str()) || id == Some(conversation.as_str()))
    })
}

/// Sees to it that no other program has the conversation open: two that write into one lose each other's turns.
async fn free(runner: Runner, holder: &Holder, take_over: bool) -> Result<(), ElsewhereError> {
    let (title, pid) = (runner.title(), holder.pid);
    match holder.how {
        How::Terminal if take_over => {
            let id = Identity { pid, started: holder.started };
            let Some(mut program) = Program::adopt(id) else { return Ok(()) };
            info!(pid, runner = title, "a person has the program ended that has their session open");
            program.terminate();
            let ended = tokio::time::timeout(PATIENCE, program.ended()).await;
            ended.map(drop).map_err(|_| ElsewhereError::StillHeld(pid))
        }
        How::Terminal => Err(ElsewhereError::Held(format!(
            "{title} has this session open in a terminal (process {pid}): close it there, or attach with take-over, \
             which ends that program"
        ))),
        How::Background => Err(ElsewhereError::Held(format!(
            "a background program of {title} has this session open{}, and others may be open in it: end the session \
             there, then attach it",
            if pid == 0 { String::new() } else { format!(" (process {pid})") }
        ))),
        How::Ours => Err(ElsewhereError::Held(format!(
            "an agent that tether runs has this session open (process {pid}): wait until it has ended, then attach it"
        ))),
    }
}
