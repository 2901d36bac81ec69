//! The gate's book: which questions are open, which answers are on their way, which grants stand.
//!
//! Plain state without I/O. Each step changes the book and returns what must be recorded
//! with it; the caller commits that before anybody sees it, and starts afresh from the log if it cannot.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::answers::{check, common_directory, name_of, same_or_refused, with_answers_in_place, yes};
use super::facts::{ids_of, request_data, resolved_data};
use super::messages::{ApprovalRef, GateError};
use super::risk;
use crate::domain::approval::*;
use crate::domain::event::{EventDraft, EventType};
use crate::domain::gate_policy::standing_yes;
use crate::domain::ids::{ApprovalId, GrantId, RunId, SessionId};
use crate::domain::time::Stamp;
use crate::domain::trust::TrustedDirectory;
use crate::log::Write;

/// How long "allow all" lasts, in seconds.
const ALLOW_ALL_SECONDS: i64 = 30 * 60;

/// What one step must record, and which answers go to the agent once it is recorded.
#[derive(Debug, Default)]
pub struct Change {
    /// Events.
    pub drafts: Vec<EventDraft>,
    /// Projections.
    pub writes: Vec<Write>,
    /// Answered approvals to hand to the agent.
    pub deliver: Vec<Approval>,
}

impl Change {
    /// Adds what another step must record.
    pub fn merge(&mut self, other: Change) {
        self.drafts.extend(other.drafts);
        self.writes.extend(other.writes);
        self.deliver.extend(other.deliver);
    }

    fn event(&mut self, kind: EventType, data: Value) {
        self.drafts.push(EventDraft::new(kind, data));
    }

    fn put(&mut self, approval: &Approval) {
        self.writes.push(Write::Approval(Box::new(approval.clone())));
    }
}

/// Where a question comes from.
#[derive(Clone, Debug)]
pub struct AskedIn {
    /// The agent's run; `None` for an external agent.
    pub run: Option<RunId>,
    /// The session's turn.
    pub turn: u64,
    /// The request id that clients of the session shall use; `None` = the approval's own id.
    pub request_id: Option<String>,
    /// What the agent said just before.
    pub said: Option<String>,
}

/// See the module.
pub struct Book {
    session: SessionId,
    directory: String,
    approval_mode: u8,
    /// Unsettled ones, oldest first.
    approvals: Vec<Approval>,
    grants: Vec<Grant>,
}

impl Book {
    /// The book as the log has it.
    pub fn new(
        session: SessionId,
        directory: String,
        approval_mode: Option<u8>,
        approvals: Vec<Approval>,
        grants: Vec<Grant>,
    ) -> Self {
        Self { session, directory, approval_mode: approval_mode.unwrap_or(0), approvals, grants }
    }

    /// A question. It is answered at once if a mode, a grant or an answer that never arrived covers
    /// it; else it is open.
    pub fn asked(&mut self, ask: Ask, paths: Vec<PathBuf>, from: AskedIn, now: Stamp) -> Change {
        let mut change = Change::default();
        let replay = self.replay_for(&ask, &from);
        self.supersede(&ask, &from, now, &mut change);

        let id = ApprovalId::random();
        let approval = Approval {
            request_id: from.request_id.unwrap_or_else(|| id.as_str().to_owned()),
            id,
            session_id: self.session.clone(),
            request: ask.request.clone(),
            kind: ask.kind,
            tool_name: ask.tool_name.clone(),
            tool_input: ask.tool_input.clone(),
            title: ask.title.clone(),
            directory: self.directory.clone(),
            diff: ask.diff.clone(),
            paths: paths.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            is_edit: ask.is_edit,
            questions: ask.questions.clone(),
            reason: ask.reason.clone(),
            suggestions: ask.suggestions.clone(),
            tool_use_id: ask.tool_use_id.clone(),
            subagent: ask.subagent.clone(),
            can_change_input: ask.can_change_input,
            said: from.said,
            risk: risk::judge(&ask, &paths, &self.directory),
            run: from.run,
            turn: from.turn,
            state: ApprovalState::Open,
            requested_at: now,
            resolved_at: None,
            resolved_by: None,
            answer: None,
            delivered_at: None,
            outcome: None,
        };
        if let Some((old, answer)) = replay {
            self.approvals.push(approval);
            self.resolve_last(answer, Actor::Replay { approval_id: old }, now, &mut change);
        } else if let Some(by) = self.standing(&ask, &paths, now) {
            self.approvals.push(approval);
            self.resolve_last(yes(), by, now, &mut change);
        } else {
            change.event(EventType::PermissionRequest, request_data(&approval));
            change.put(&approval);
            self.approvals.push(approval);
        }
        change
    }

    /// A person's answer. `Ok(None)` in the change's place means: the same answer was given before.
    pub fn answer(
        &mut self,
        which: &ApprovalRef,
        answer: Answer,
        by: Actor,
        now: Stamp,
    ) -> Result<(Approval, Option<Change>), GateError> {
        let index = self.position(which).ok_or_else(|| GateError::NotFound(name_of(which)))?;
        let approval = &self.approvals[index];
        let answer = with_answers_in_place(approval, answer);
        if approval.state != ApprovalState::Open {
            return same_or_refused(approval.clone(), &answer).map(|approval| (approval, None));
        }
        check(approval, &answer)?;
        let mut change = Change::default();
        let grant = self.grant_of(&self.approvals[index], &answer, &by, now)?;
        let approval = self.resolve(index, answer, by, now, &mut change);
        if let Some(grant) = grant {
            change.event(EventType::GrantAdded, json!({ "grant": grant }));
            change.writes.push(Write::Grant(grant.clone()));
            self.grants.push(grant);
            change.merge(self.reconsider(now));
        }
        self.forget_settled();
        Ok((approval, Some(change)))
    }

    /// The agent no longer waits for a request.
    pub fn withdrew(&mut self, request: &str, run: Option<&RunId>, now: Stamp) -> Change {
        let mut change = Change::default();
        for index in 0..self.approvals.len() {
            let approval = &self.approvals[index];
            if approval.request == request
                && approval.run.as_ref() == run
                && approval.state == ApprovalState::Open
            {
                self.cancel(index, "the agent withdrew the question", now, &mut change);
            }
        }
        self.forget_settled();
        change
    }

    /// A tool gave its result, so its approval has an outcome.
    pub fn tool_result(&mut self, tool_use_id: &str, is_error: bool, now: Stamp) -> Change {
        let mut change = Change::default();
        for index in 0..self.approvals.len() {
            if self.approvals[index].tool_use_id.as_deref() != Some(tool_use_id) {
                continue;
            }
            match self.approvals[index].state {
                ApprovalState::Open => {
                    self.cancel(index, "the agent went on without an answer", now, &mut change);
                }
                ApprovalState::Allowed => {
                    let outcome = if is_error { Outcome::Failed } else { Outcome::Ran };
                    self.settle(index, outcome, &mut change);
                }
                _ => self.settle(index, Outcome::Refused, &mut change),
            }
        }
        self.forget_settled();
        change
    }

    /// The agent program ended. Open questions stay open: it may be resumed and ask again. What
    /// was delivered and had no result has an unknown outcome.
    pub fn run_ended(&mut self, run: &RunId) -> Change {
        let mut change = Change::default();
        for index in 0..self.approvals.len() {
            let approval = &self.approvals[index];
            if approval.run.as_ref() == Some(run) && approval.delivered_at.is_some() {
                self.settle(index, Outcome::Unknown, &mut change);
            }
        }
        self.forget_settled();
        change
    }

    /// The turn is over. Questions of earlier lives of the agent can no longer be asked again; those of
    /// the running one (`run`) stay, because its sub-agents may still wait for them.
    pub fn turn_ended(&mut self, run: Option<&RunId>, now: Stamp) -> Change {
        let mut change = Change::default();
        for index in 0..self.approvals.len() {
            let approval = &self.approvals[index];
            if approval.run.is_none() || approval.run.as_ref() == run {
                continue;
            }
            self.put_aside(index, "the agent ended before it was answered", now, &mut change);
        }
        self.forget_settled();
        change
    }

    /// An external agent says that its turn is over: what it asked is no longer waited for.
    pub fn external_turn_ended(&mut self, now: Stamp) -> Change {
        let mut change = Change::default();
        for index in 0..self.approvals.len() {
            if self.approvals[index].run.is_none() && self.approvals[index].state == ApprovalState::Open {
                self.cancel(index, "the agent finished its turn without an answer", now, &mut change);
            }
        }
        self.forget_settled();
        change
    }

    /// An answer was handed to the agent.
    pub fn delivered(&mut self, id: &ApprovalId, now: Stamp) -> Change {
        let mut change = Change::default();
        let found =
            self.approvals.iter_mut().find(|approval| approval.id == *id && approval.awaits_delivery());
        if let Some(approval) = found {
            approval.delivered_at = Some(now);
            change.event(EventType::PermissionDelivered, ids_of(approval));
            change.put(approval);
        }
        change
    }

    /// The answers that this run has not been handed.
    pub fn undelivered(&self, run: &RunId) -> Vec<Approval> {
        let of_run = |approval: &&Approval| approval.run.as_ref() == Some(run) && approval.awaits_delivery();
        self.approvals.iter().filter(of_run).cloned().collect()
    }

    /// Another approval mode; what is open and now covered is answered.
    pub fn set_mode(&mut self, approval_mode: Option<u8>, now: Stamp) -> Change {
        self.approval_mode = approval_mode.unwrap_or(0);
        let change = self.reconsider(now);
        self.forget_settled();
        change
    }

    /// Ends a grant.
    pub fn revoke(&mut self, grant: &GrantId, by: Actor) -> Result<Change, GateError> {
        let before = self.grants.len();
        self.grants.retain(|known| known.id != *grant);
        if self.grants.len() == before {
            return Err(GateError::NoGrant(grant.clone()));
        }
        let mut change = Change::default();
        change.event(EventType::GrantEnded, json!({ "grant_id": grant, "reason": "revoked", "by": by }));
        change.writes.push(Write::GrantEnd(grant.clone()));
        Ok(change)
    }

    /// The grants in force.
    pub fn grants(&self, now: Stamp) -> Vec<Grant> {
        self.grants.iter().filter(|grant| grant.expires_at.is_none_or(|end| now < end)).cloned().collect()
    }

    /// Ends what has run out of time: grants, and (with a limit in seconds) open questions, as a no.
    pub fn expire(&mut self, limit_seconds: Option<i64>, now: Stamp) -> Change {
        let mut change = Change::default();
        let over = |grant: &Grant| grant.expires_at.is_some_and(|end| now >= end);
        for grant in self.grants.extract_if(.., |grant| over(grant)) {
            change.event(EventType::GrantEnded, json!({ "grant_id": grant.id, "reason": "expired" }));
            change.writes.push(Write::GrantEnd(grant.id));
        }
        for index in 0..self.approvals.len() {
            let approval = &self.approvals[index];
            let late = limit_seconds.is_some_and(|limit| now.seconds_since(approval.requested_at) >= limit);
            if approval.state == ApprovalState::Open && late {
                let message = Some("nobody answered in time, so this was denied".to_owned());
                self.resolve(index, Answer::Deny { message }, Actor::Timeout, now, &mut change);
            }
        }
        self.forget_settled();
        change
    }

    /// Whether [`Self::expire`] may have something to do later.
    pub fn has_deadlines(&self, limit_seconds: Option<i64>) -> bool {
        let open = self.approvals.iter().any(|approval| approval.state == ApprovalState::Open);
        (limit_seconds.is_some() && open) || self.grants.iter().any(|grant| grant.expires_at.is_some())
    }

    fn position(&self, which: &ApprovalRef) -> Option<usize> {
        self.approvals.iter().rposition(|approval| match which {
            ApprovalRef::Id(id) => approval.id == *id,
            ApprovalRef::Request(request) => approval.request_id == *request,
        })
    }

    /// An answer to the same question that a crash kept from the agent.
    fn replay_for(&self, ask: &Ask, from: &AskedIn) -> Option<(ApprovalId, Answer)> {
        from.run.as_ref()?;
        let old = self.approvals.iter().find(|old| {
            old.run.is_some()
                && old.run != from.run
                && old.turn == from.turn
                && old.kind == ask.kind
                && old.tool_name == ask.tool_name
                && old.tool_input == ask.tool_input
                && old.awaits_delivery()
                && old.state != ApprovalState::Expired
        })?;
        // A grant that was given with the answer stands by itself; only the yes is given again.
        let answer = match old.answer.clone()? {
            Answer::Allow { updated_input, answers, message, .. } => {
                Answer::Allow { scope: Scope::Once, updated_input, answers, message }
            }
            deny => deny,
        };
        Some((old.id.clone(), answer))
    }

    /// A new question takes the place of those that can no longer be answered: of an earlier life of the
    /// agent, or (external agents) under the same request id.
    fn supersede(&mut self, ask: &Ask, from: &AskedIn, now: Stamp, change: &mut Change) {
        for index in 0..self.approvals.len() {
            let old = &self.approvals[index];
            let earlier_life = old.run.is_some() && old.run != from.run;
            let same_request = old.run == from.run && old.request == ask.request;
            if earlier_life || same_request {
                self.put_aside(index, "the agent asked again", now, change);
            }
        }
        self.forget_settled();
    }

    fn put_aside(&mut self, index: usize, why: &str, now: Stamp, change: &mut Change) {
        if self.approvals[index].state == ApprovalState::Open {
            self.cancel(index, why, now, change);
        } else {
            self.settle(index, Outcome::Unknown, change);
        }
    }

    fn standing(&self, ask: &Ask, paths: &[PathBuf], now: Stamp) -> Option<Actor> {
        standing_yes(ask, paths, Path::new(&self.directory), self.approval_mode, &self.grants, now)
    }

    /// Answers what is open and covered by now.
    fn reconsider(&mut self, now: Stamp) -> Change {
        let mut change = Change::default();
        for index in 0..self.approvals.len() {
            let approval = &self.approvals[index];
            if approval.state != ApprovalState::Open {
                continue;
            }
            let paths: Vec<PathBuf> = approval.paths.iter().map(PathBuf::from).collect();
            if let Some(by) = self.standing(&approval.ask(), &paths, now) {
                self.resolve(index, yes(), by, now, &mut change);
            }
        }
        change
    }

    fn grant_of(
        &self,
        approval: &Approval,
        answer: &Answer,
        by: &Actor,
        now: Stamp,
    ) -> Result<Option<Grant>, GateError> {
        let Answer::Allow { scope, .. } = answer else { return Ok(None) };
        let cover = match scope {
            Scope::Once => return Ok(None),
            Scope::Tool | Scope::Tool30m => GrantCover::Tool { tool_name: approval.tool_name.clone() },
            Scope::All30m => GrantCover::All,
            Scope::Directory | Scope::Directory30m => {
                GrantCover::Directory { path: common_directory(approval)? }
            }
        };
        let for_a_time = matches!(scope, Scope::All30m | Scope::Tool30m | Scope::Directory30m);
        let expires_at = for_a_time.then(|| now.plus_seconds(ALLOW_ALL_SECONDS));
        Ok(Some(Grant {
            id: GrantId::random(),
            session_id: self.session.clone(),
            cover,
            created_at: now,
            expires_at,
            created_by: by.clone(),
        }))
    }

    fn resolve_last(&mut self, answer: Answer, by: Actor, now: Stamp, change: &mut Change) {
        if let Some(index) = self.approvals.len().checked_sub(1) {
            self.resolve(index, answer, by, now, change);
        }
    }

    fn resolve(
        &mut self,
        index: usize,
        answer: Answer,
        by: Actor,
        now: Stamp,
        change: &mut Change,
    ) -> Approval {
        let approval = &mut self.approvals[index];
        approval.state = match (&answer, &by) {
            (Answer::Allow { .. }, _) => ApprovalState::Allowed,
            (Answer::Deny { .. }, Actor::Timeout) => ApprovalState::Expired,
            (Answer::Deny { .. }, _) => ApprovalState::Denied,
        };
        approval.resolved_at = Some(now);
        approval.resolved_by = Some(by);
        approval.answer = Some(answer);
        change.event(EventType::PermissionResolved, resolved_data(approval));
        change.put(approval);
        let asked_by_us = approval.kind == ApprovalKind::Trust;
        if asked_by_us
            && let (Some(answer), Some(by @ Actor::Person { .. })) = (&approval.answer, &approval.resolved_by)
        {
            // In the same batch as the answer. That time ran out is nobody's word.
            change.writes.push(Write::Trust(TrustedDirectory {
                path: self.directory.clone(),
                trusted: answer.allowed(),
                decided_at: now,
                decided_by: by.clone(),
            }));
        }
        if approval.run.is_some() || asked_by_us {
            change.deliver.push(approval.clone());
        }
        approval.clone()
    }

    fn cancel(&mut self, index: usize, why: &str, now: Stamp, change: &mut Change) {
        let approval = &mut self.approvals[index];
        approval.state = ApprovalState::Cancelled;
        approval.resolved_at = Some(now);
        approval.resolved_by = Some(Actor::Agent);
        let mut data = resolved_data(approval);
        data["message"] = why.into();
        change.event(EventType::PermissionResolved, data);
        change.put(approval);
    }

    fn settle(&mut self, index: usize, outcome: Outcome, change: &mut Change) {
        let approval = &mut self.approvals[index];
        if approval.is_settled() {
            return;
        }
        approval.outcome = Some(outcome);
        let mut data = ids_of(approval);
        data["outcome"] = json!(outcome);
        change.event(EventType::PermissionOutcome, data);
        change.put(approval);
    }

    fn forget_settled(&mut self) {
        self.approvals.retain(|approval| !approval.is_settled());
    }
}
