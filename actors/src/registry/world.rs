//! The door to the supervised world for what people and programs touch.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::prelude::*;

use super::cell::{self, CellAddr, CellSettings};
use super::directory::Directory;
use super::elsewhere::Elsewhere;
use super::{CloseAll, DeleteCell, GetCell, Registry};
use crate::domain::approval::{Actor as By, Answer, Approval, ApprovalKind, Grant, Scope};
use crate::domain::event::{EventDraft, EventType};
use crate::domain::ids::{GrantId, InputId, SessionId};
use crate::domain::past::{PastSession, PastTaken};
use crate::domain::restart::RestartPolicy;
use crate::domain::session::{OnceMark, Session as SessionView, SessionRecord};
use crate::domain::state::SessionState;
use crate::domain::time::Stamp;
use crate::domain::trust::TrustedDirectory;
use crate::domain::usage::Usage;
use crate::elsewhere::Homes;
use crate::gate::{AnswerApproval, ApprovalRef, GateError, GetGrants, RevokeGrant};
use crate::log::{Append, Class, Log, ReadModel, Write};
use crate::session::*;
use crate::traced::Traced;
use crate::workspace::{Removed, Source, Workspaces, branch_of, is_top};

/// What a new session is to be.
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// Its name; `None` = `New session`.
    pub name: Option<String>,
    /// An existing directory, absolute, links resolved; `None` = none.
    pub directory: Option<PathBuf>,
    /// The agent to use; `None` = the configured default.
    pub adapter: Option<String>,
    /// The approval mode.
    pub approval_mode: Option<u8>,
    /// The model.
    pub model: Option<String>,
    /// What to do after a crash; `None` = the configured default.
    pub restart_policy: Option<RestartPolicy>,
    /// Whether its work tree is saved after each turn; `None` = as configured.
    pub auto_checkpoint: Option<bool>,
    /// An agent of the person's own that will drive it.
    pub external_agent: Option<ExternalAgent>,
    /// The chat platform to bind it to (already checked to be running).
    pub platform: Option<String>,
    /// The idempotency key under which it is made; the caller has looked whether a session has it.
    pub made_under: Option<OnceMark>,
    /// A work tree of its own to be made for it; `directory` is not looked at then.
    pub work_tree: Option<Source>,
}

/// An agent of the person's own.
#[derive(Clone, Debug, Default)]
pub struct ExternalAgent {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Option<String>,
    /// A picture for it.
    pub icon: Option<String>,
    /// Where it works; remembered only.
    pub workspace: Option<String>,
}

/// What the world is opened with.
#[derive(Clone)]
pub struct WorldSettings {
    /// For the cells.
    pub cells: CellSettings,
    /// Sessions that are over and older are deleted; `None` = never.
    pub retention: Option<Duration>,
    /// On how many threads sessions run.
    pub threads: usize,
}

/// A handle on the supervised world. Cheap to clone; every call is answered after it is durable.
#[derive(Clone)]
pub struct World {
    log: Log,
    directory: Directory,
    pub(super) registry: Addr<Registry>,
    settings: CellSettings,
    replaced: Arc<AtomicU64>,
    pub(super) elsewhere: Arc<Elsewhere>,
}

impl World {
    /// Starts the registry over an open log, on the current arbiter, and takes up what was going on. The
    /// second value resolves when the registry has died, and then the daemon must end.
    pub fn open(log: Log, settings: WorldSettings) -> (Self, tokio::task::JoinHandle<()>) {
        let directory = Directory::default();
        let replaced = Arc::new(AtomicU64::new(0));
        let arbiters: Vec<_> = (0..settings.threads.max(1)).map(|_| Arbiter::new().handle()).collect();
        Self::open_on(arbiters, directory, replaced, log, settings)
    }

    /// As [`Self::open`], with everything on the current thread: for tests that steer time.
    pub fn open_here(log: Log, settings: WorldSettings) -> (Self, tokio::task::JoinHandle<()>) {
        let arbiters = vec![Arbiter::current()];
        Self::open_on(arbiters, Directory::default(), Arc::default(), log, settings)
    }

    fn open_on(
        arbiters: Vec<ArbiterHandle>,
        directory: Directory,
        replaced: Arc<AtomicU64>,
        log: Log,
        settings: WorldSettings,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let registry = Registry {
            log: log.clone(),
            directory: directory.clone(),
            settings: settings.cells.clone(),
            arbiters,
            cells: Default::default(),
            closed: false,
            replaced: replaced.clone(),
            retention: settings.retention,
            kept: Vec::new(),
        };
        let context = Context::new();
        let address = context.address();
        let end = actix::spawn(context.into_future(registry));
        let elsewhere = Arc::new(Elsewhere::new(Homes::of_process()));
        (Self { log, directory, registry: address, settings: settings.cells, replaced, elsewhere }, end)
    }

    /// The same world, which looks for conversations that were begun elsewhere in these homes.
    pub fn with_homes(self, homes: Homes) -> Self {
        Self { elsewhere: Arc::new(Elsewhere::new(homes)), ..self }
    }

    /// The log, for reading.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What is published.
    pub fn read_model(&self) -> &ReadModel {
        &self.log.read_model
    }

    /// How often a session's actors were replaced after a death, since the start.
    pub fn cells_replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// How agents are started.
    pub fn agent_settings(&self) -> &crate::agent::AgentSettings {
        &self.settings.agent
    }

    /// Make a session, and a work tree for it if it is to have one of its own, which may take as long as a clone does.
    pub async fn create(&self, mut new: NewSession) -> Result<SessionView, SessionError> {
        self.log.accepts_work()?;
        let Some(source) = new.work_tree.take() else {
            let record = self.record_of(new).await;
            return self.begin(record, Vec::new()).await;
        };
        let id = SessionId::random();
        let made = self.workspaces().make(&id, &source).await?;
        new.directory = Some(made.directory);
        let mut record = self.record_of(new).await;
        record.session.id = id.clone();
        record.session.clone_url = made.clone_url;
        record.session.working_branch = made.branch.clone();
        let drafts = made.warning.map(|message| {
            let data = serde_json::json!({ "code": "FETCH_FAILED", "message": message });
            EventDraft::new(EventType::Warning, data)
        });
        let begun = self.begin(record, drafts.into_iter().collect()).await;
        if begun.is_err() {
            // Nothing is in it yet.
            let _ = self.workspaces().remove(&id, made.branch.as_deref(), true).await;
        }
        begun
    }

    /// Repositories and work trees.
    pub fn workspaces(&self) -> &Workspaces {
        &self.settings.session.workspaces
    }

    /// Has no turn of the session begin while the answer lives. See [`HoldTurns`].
    pub async fn hold_turns(&self, session: &SessionId) -> Result<TurnsHeld, SessionError> {
        self.to_session(session, HoldTurns).await?
    }

    /// See [`WorkTreeChanged`].
    pub async fn work_tree_changed(
        &self,
        session: &SessionId,
        changed: WorkTreeChanged,
    ) -> Result<(), SessionError> {
        self.to_session(session, changed).await?
    }

    /// Removes the work trees of sessions that are no more, with all that is in them. Answers how many went, and what
    /// stood in the way of others.
    pub async fn remove_orphans(&self) -> (usize, Vec<String>) {
        let (mut removed, mut errors) = (0, Vec::new());
        for found in self.workspaces().found().await {
            if self.read_model().session(&found.session).is_some() {
                continue;
            }
            match self.workspaces().remove(&found.session, None, true).await {
                Ok(Removed::Gone) => removed += 1,
                Ok(Removed::Nothing | Removed::Left) => {}
                Err(error) => errors.push(format!("{}: {error}", found.path.display())),
            }
        }
        (removed, errors)
    }

    /// Stores a new session with its first events.
    pub(super) async fn begin(
        &self,
        record: SessionRecord,
        drafts: Vec<EventDraft>,
    ) -> Result<SessionView, SessionError> {
        let session = record.session.clone();
        let append = Append {
            session: session.id.clone(),
            drafts,
            writes: vec![Write::Session(Box::new(record))],
            class: Class::Work,
        };
        self.log.append(append).await?;
        Ok(session)
    }

    /// A new session that has not been stored yet.
    pub(super) async fn record_of(&self, new: NewSession) -> SessionRecord {
        new_record(new, self.settings.session.restart_policy).await
    }

    /// Take over a session that another program kept. See [`import`](super::import()).
    pub async fn import(&self, past: PastSession) -> Result<PastTaken, SessionError> {
        let policy = self.settings.session.restart_policy;
        super::import(&self.log, &self.elsewhere, &self.settings.agent.agents, policy, past).await
    }

    /// Delete a session with all that belongs to it.
    pub async fn delete(&self, session: &SessionId) -> Result<(), SessionError> {
        self.known(session)?;
        let delete = DeleteCell { session: session.clone(), force: false };
        self.registry.send(delete).await.unwrap_or(Err(SessionError::Restarting))
    }

    /// Delete every session, running ones too (their agents are ended).
    pub async fn clear(&self) -> Result<(), SessionError> {
        for session in self.read_model().sessions() {
            let delete = DeleteCell { session: session.id, force: true };
            match self.registry.send(delete).await.unwrap_or(Err(SessionError::Restarting)) {
                Ok(()) | Err(SessionError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// See [`Start`].
    pub async fn start(&self, session: &SessionId, start: Start) -> Result<SessionView, SessionError> {
        self.log.accepts_work()?;
        self.agent_there(session).await?;
        self.catch_up(session).await?;
        self.to_session(session, start).await?
    }

    /// See [`GiveInput`].
    pub async fn input(&self, session: &SessionId, input: GiveInput) -> Result<InputAccepted, SessionError> {
        self.log.accepts_work()?;
        self.catch_up(session).await?;
        self.to_session(session, input).await?
    }

    /// See [`Interrupt`].
    pub async fn interrupt(&self, session: &SessionId, by: By) -> Result<SessionView, SessionError> {
        self.to_session(session, Interrupt { by, force: false }).await?
    }

    /// Ends the program of an agent that was interrupted and has not stopped its turn; else the same as
    /// [`World::interrupt`].
    pub async fn force_stop(&self, session: &SessionId, by: By) -> Result<SessionView, SessionError> {
        self.to_session(session, Interrupt { by, force: true }).await?
    }

    /// See [`Rename`].
    pub async fn rename(&self, session: &SessionId, name: String) -> Result<SessionView, SessionError> {
        self.to_session(session, Rename { name }).await?
    }

    /// See [`Bind`].
    pub async fn bind(&self, session: &SessionId, bind: Bind) -> Result<SessionView, SessionError> {
        self.to_session(session, bind).await?
    }

    /// See [`SetApprovalMode`].
    pub async fn set_approval_mode(
        &self,
        session: &SessionId,
        approval_mode: Option<u8>,
        by: By,
    ) -> Result<SessionView, SessionError> {
        self.to_session(session, SetApprovalMode { approval_mode, by }).await?
    }

    /// See [`Configure`].
    pub async fn configure(
        &self,
        session: &SessionId,
        configure: Configure,
    ) -> Result<SessionDetails, SessionError> {
        self.to_session(session, configure).await?
    }

    /// See [`PushEvent`].
    pub async fn push(&self, session: &SessionId, event: ExternalEvent) -> Result<(), SessionError> {
        self.push_once(session, event, None).await
    }

    /// The same under a mark: sent again under it, an event is recorded once.
    pub async fn push_once(
        &self,
        session: &SessionId,
        event: ExternalEvent,
        mark: Option<OnceMark>,
    ) -> Result<(), SessionError> {
        // A question that is taken back is no new work.
        if !matches!(event, ExternalEvent::PermissionWithdrawn { .. }) {
            self.log.accepts_work()?;
        }
        self.to_session(session, PushEvent { event, mark }).await?
    }

    /// See [`PushEvents`].
    pub async fn push_all(&self, session: &SessionId, events: Vec<PushEvent>) -> Result<(), RefusedPush> {
        let refused = |error: SessionError| RefusedPush { at: 0, error };
        if !events.iter().all(|pushed| matches!(pushed.event, ExternalEvent::PermissionWithdrawn { .. })) {
            self.log.accepts_work().map_err(|error| refused(error.into()))?;
        }
        self.to_session(session, PushEvents(events)).await.map_err(refused)?
    }

    /// See [`GetQueue`].
    pub async fn queue(&self, session: &SessionId) -> Result<Queue, SessionError> {
        self.to_session(session, GetQueue).await
    }

    /// See [`WithdrawInput`].
    pub async fn withdraw_input(
        &self,
        session: &SessionId,
        input: InputId,
        by: By,
    ) -> Result<(), SessionError> {
        self.to_session(session, WithdrawInput { input, by }).await?
    }

    /// See [`SteerInput`].
    pub async fn steer(&self, session: &SessionId, input: InputId, by: By) -> Result<(), SessionError> {
        self.to_session(session, SteerInput { input, by }).await?
    }

    /// See [`GetDetails`].
    pub async fn details(&self, session: &SessionId) -> Result<SessionDetails, SessionError> {
        self.to_session(session, GetDetails).await
    }

    /// Answer an approval of a session.
    pub async fn answer(
        &self,
        session: &SessionId,
        approval: ApprovalRef,
        answer: Answer,
        by: By,
    ) -> Result<Approval, GateError> {
        let message = AnswerApproval { approval, answer: answer.clone(), by: by.clone() };
        let answered = self.to_gate(session, message).await??;
        if answered.kind == ApprovalKind::Trust {
            self.answer_same_trust(&answered.directory, &answer, &by).await;
        }
        Ok(answered)
    }

    /// Other sessions may have asked the same about the same directory.
    async fn answer_same_trust(&self, directory: &str, answer: &Answer, by: &By) {
        for open in self.read_model().open_approvals() {
            if open.kind != ApprovalKind::Trust || open.directory != directory {
                continue;
            }
            let message = AnswerApproval {
                approval: ApprovalRef::Id(open.id.clone()),
                answer: answer.clone(),
                by: by.clone(),
            };
            // One that cannot be answered now stays open for a person.
            let _ = self.to_gate(&open.session_id, message).await;
        }
    }

    /// Say that a directory (absolute, links resolved) is trusted, or that it is not. Programs that run go on as they
    /// were started, unless the question was open in their session.
    pub async fn set_trust(
        &self,
        path: String,
        trusted: bool,
        by: By,
    ) -> Result<TrustedDirectory, SessionError> {
        let said = TrustedDirectory {
            path: path.clone(),
            trusted,
            decided_at: Stamp::now(),
            decided_by: by.clone(),
        };
        self.log.put_trust(said.clone()).await?;
        let answer = match trusted {
            true => Answer::Allow { scope: Scope::Once, updated_input: None, answers: None, message: None },
            false => Answer::Deny { message: None },
        };
        self.answer_same_trust(&path, &answer, &by).await;
        Ok(said)
    }

    /// Forget what was said about a directory, so that it is asked again. Answers whether anything was.
    pub async fn forget_trust(&self, path: String) -> Result<bool, SessionError> {
        Ok(self.log.delete_trust(path).await?)
    }

    /// Grants of one session, or of all.
    pub async fn grants(&self, session: Option<&SessionId>) -> Result<Vec<Grant>, GateError> {
        if let Some(session) = session {
            return self.to_gate(session, GetGrants).await;
        }
        let now = Stamp::now();
        let mut grants = self.log.list_grants().await?;
        grants.retain(|grant| grant.expires_at.is_none_or(|end| now < end));
        Ok(grants)
    }

    /// End a grant.
    pub async fn revoke_grant(&self, grant: &GrantId, by: By) -> Result<(), GateError> {
        let all = self.log.list_grants().await?;
        let Some(found) = all.into_iter().find(|known| known.id == *grant) else {
            return Err(GateError::NoGrant(grant.clone()));
        };
        self.to_gate(&found.session_id, RevokeGrant { grant: grant.clone(), by }).await?
    }

    /// Stop the world: no new work, all committed. With `agents` the agent programs are ended too,
    /// otherwise they go on and are found again at the next start.
    pub async fn shutdown(&self, agents: bool) {
        let _ = self.registry.send(CloseAll { agents }).await;
        let _ = self.log.drain().await;
    }

    /// Refuses at once what could only fail a moment later: the session's agent program is not there.
    async fn agent_there(&self, session: &SessionId) -> Result<(), SessionError> {
        let entry = self.read_model().session(session).ok_or(SessionError::NotFound)?;
        if entry.record.external {
            return Ok(());
        }
        let agents = self.settings.agent.agents.clone();
        let adapter = entry.record.agent_wanted().map(str::to_owned);
        let looked_for = tokio::task::spawn_blocking(move || {
            agents.entry(adapter.as_deref()).map(|entry| agents.find(entry)).transpose()
        });
        match looked_for.await {
            // One that is not known is told by its session, which is held.
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(SessionError::AgentUnavailable(error.to_string())),
            Err(_) => Err(SessionError::Restarting),
        }
    }

    fn known(&self, session: &SessionId) -> Result<(), SessionError> {
        self.read_model().session(session).map(|_| ()).ok_or(SessionError::NotFound)
    }

    pub(super) async fn cell(&self, session: &SessionId) -> Result<CellAddr, SessionError> {
        if let Some(cell) = self.directory.find(session) {
            return Ok(cell);
        }
        self.registry.send(GetCell(session.clone())).await.unwrap_or(Err(SessionError::Restarting))
    }

    pub(super) async fn to_session<M>(
        &self,
        session: &SessionId,
        message: M,
    ) -> Result<M::Result, SessionError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Session: Handler<M>,
    {
        let cell = self.cell(session).await?;
        cell::ask::<_, Traced<M>>(&cell.session, Traced::new(message)).await.ok_or(SessionError::Restarting)
    }

    async fn to_gate<M>(&self, session: &SessionId, message: M) -> Result<M::Result, GateError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        crate::gate::Gate: Handler<M>,
    {
        let cell = self.cell(session).await.map_err(|error| match error {
            SessionError::NotFound => GateError::NoSession,
            SessionError::Log(error) => GateError::Log(error),
            _ => GateError::Restarting,
        })?;
        cell::ask::<_, Traced<M>>(&cell.gate, Traced::new(message)).await.ok_or(GateError::Restarting)
    }
}

/// What a session is called that was given no name.
const NEW_SESSION_NAME: &str = "New session";

/// A new session that has not been stored yet.
pub(super) async fn new_record(new: NewSession, restart_policy: RestartPolicy) -> SessionRecord {
    let now = Stamp::now();
    let has_git = match &new.directory {
        Some(directory) => is_top(directory).await,
        None => false,
    };
    let branch = match new.directory.clone().filter(|_| has_git) {
        Some(directory) => tokio::task::spawn_blocking(move || branch_of(&directory)).await.ok().flatten(),
        None => None,
    };
    let external = new.external_agent.is_some();
    let agent = new.external_agent.unwrap_or_default();
    let session = SessionView {
        id: SessionId::random(),
        state: SessionState::Created,
        name: Some(new.name.unwrap_or_else(|| NEW_SESSION_NAME.to_owned())),
        created_at: now,
        started_at: None,
        ended_at: None,
        last_activity_at: now,
        exit_code: None,
        summary: None,
        runner_header: None,
        runner_type: None,
        runner_session_id: None,
        directory: new.directory.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        directory_has_git: has_git,
        branch,
        message_count: 0,
        has_pending_permission: false,
        approval_mode: new.approval_mode,
        adapter: new.adapter,
        external_agent_name: external.then_some(agent.name),
        external_agent_type: agent.kind,
        external_agent_icon: agent.icon,
        platform: new.platform,
        platform_thread_id: None,
        clone_url: None,
        working_branch: None,
        pending_approvals: 0,
        last_line: None,
        running_since: None,
        cost_usd: 0.0,
        hold: None,
        restarting: None,
        archived: false,
    };
    SessionRecord {
        session,
        agent: None,
        turn: 0,
        model: new.model,
        planning: false,
        auto_checkpoint: new.auto_checkpoint,
        restart_policy: new.restart_policy.unwrap_or(restart_policy),
        usage: Usage::default(),
        hold: None,
        protocol_state: serde_json::Value::Null,
        header_model: None,
        external,
        turn_running: false,
        continuing: false,
        conversation: None,
        conversation_begun: false,
        recent_inputs: Vec::new(),
        crashes: Vec::new(),
        pending_final: None,
        external_agent_workspace: agent.workspace,
        attached: None,
        made_under: new.made_under,
        recent_pushes: Vec::new(),
        moved_here_at: None,
        moved_events: None,
        working_on: Vec::new(),
    }
}
