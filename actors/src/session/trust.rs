//! Whether what the session's directory brings along for agents counts: asked once a directory, by us.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::domain::approval::{Approval, ApprovalKind, Ask};
use crate::domain::trust::TrustedDirectory;
use crate::gate::{AskedIn, GateItem};

/// The tool's name under which it is asked.
const TRUST: &str = "TrustDirectory";

impl Session {
    /// What was said about the directory, or about one above it.
    pub(super) fn trust(&self) -> Option<TrustedDirectory> {
        self.deps.log.read_model.trust_in(Path::new(&self.record.session.directory))
    }

    /// The question whether these files shall count; none if it is open already.
    pub(super) fn trust_question(&self, brought_along: &[String]) -> Option<GateItem> {
        let open = self.deps.log.read_model.open_in(self.id());
        if brought_along.is_empty() || open.iter().any(|approval| approval.kind == ApprovalKind::Trust) {
            return None;
        }
        let directory = &self.record.session.directory;
        let names: Vec<&str> = brought_along
            .iter()
            .map(|path| path.strip_prefix(directory).unwrap_or(path).trim_start_matches('/'))
            .collect();
        let ask = Ask {
            request: TRUST.to_owned(),
            kind: ApprovalKind::Trust,
            tool_name: TRUST.to_owned(),
            tool_input: json!({ "directory": directory, "files": brought_along }),
            title: format!("Trust what this directory brings along for agents? ({})", names.join(", ")),
            diff: None,
            paths: Vec::new(),
            is_edit: false,
            questions: Vec::new(),
            reason: Some(
                "It can run commands and allow tools without asking you. The agent works without it until you \
                 say yes; a yes holds for every session in this directory."
                    .to_owned(),
            ),
            suggestions: None,
            tool_use_id: None,
            subagent: None,
            can_change_input: false,
        };
        let from = AskedIn { run: None, turn: self.record.turn, request_id: None, said: None };
        Some(GateItem::Asked { ask: Box::new(ask), paths: Vec::new(), from })
    }

    /// The question was answered, and that is recorded. A program that was started without trust is replaced when it
    /// rests, so that the next input meets one that was started with it.
    pub(super) fn trust_decided(&mut self, approval: &Approval, ctx: &mut Context<Self>) {
        let allowed = approval.answer.as_ref().is_some_and(crate::domain::approval::Answer::allowed);
        if allowed && self.run.is_some() {
            self.renew_program = true;
            self.renew_if_resting(ctx);
        }
    }

    /// Ends a program that is to be started differently, once nothing is lost by it.
    pub(super) fn renew_if_resting(&mut self, ctx: &mut Context<Self>) {
        let at_work = self.record.turn_running
            || self.inputs.iter().any(|input| input.state != InputState::Queued)
            || !self.ready
            || !self.caught_up;
        if self.renew_program && !at_work {
            self.renew_program = false;
            self.stop_program(ctx);
        }
    }
}
