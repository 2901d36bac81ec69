//! An input that the agent began with and had not written down when it died: it is in the log and not in the
//! agent's conversation, so that going on with that would leave it undone.

use serde_json::json;

use super::*;
use crate::agent::held::{Held, held};
use crate::domain::agent::AgentEvent;
use crate::domain::session::Since;

/// Code of the notice that an input is given to the agent once more.
const INPUT_SENT_AGAIN: &str = "INPUT_SENT_AGAIN";
const SENT_AGAIN: &str = "the agent ended before it had written down what it was asked, so it is asked again as \
     soon as it runs";
/// Code of the notice that the agent knows nothing of an input any more, and is not given it once more.
const INPUT_LOST: &str = "INPUT_LOST";
const LOST: &str = "the agent ended before it had written down what it was asked, and may have begun with it, so it \
     is not asked again: look at what it did, and say again what is still to be done";

/// What the agent's conversation holds of the inputs that it had begun with.
pub(super) type Looked = Vec<(InputId, Held)>;

impl Session {
    /// The agent began to work on an input.
    pub(super) fn note_begun(&mut self, id: &InputId) {
        let inputs = &self.inputs;
        let works_on = |id: &InputId| {
            inputs
                .iter()
                .any(|input| input.id == *id && input.state == InputState::Working && !input.synthetic)
        };
        let working_on = &mut self.record.working_on;
        working_on.retain(|(known, _)| known != id && works_on(known));
        if works_on(id) {
            working_on.push((id.clone(), Since::Nothing));
        }
    }

    /// Notes of what it works on what came of it.
    pub(super) fn note_what_came(&mut self, event: &AgentEvent) {
        let came = match event {
            AgentEvent::Text { parent: None, .. } | AgentEvent::Thinking { parent: None, .. } => Since::Words,
            AgentEvent::Text { .. }
            | AgentEvent::Thinking { .. }
            | AgentEvent::ToolCall { .. }
            | AgentEvent::ToolResult { .. }
            | AgentEvent::Task { .. }
            | AgentEvent::Asked(_)
            | AgentEvent::DeniedByAgent { .. } => Since::Deeds,
            _ => return,
        };
        for (_, since) in &mut self.record.working_on {
            if *since != Since::Deeds {
                *since = came;
            }
        }
    }

    /// Looks for the inputs that the agent had begun with in what it wrote down. Its program is gone.
    pub(super) fn look_for_inputs(&self) -> impl Future<Output = Looked> + use<> {
        let wanted = !self.is_to_stop();
        let begun = self.inputs.iter().filter(|input| wanted && input.state == InputState::Working);
        let begun = begun.filter(|input| self.record.working_on.iter().any(|(id, _)| *id == input.id));
        let begun: Vec<InputId> = begun.map(|input| input.id.clone()).collect();
        let entry = self.deps.settings.agents.entry(self.record.agent_wanted()).cloned();
        let conversation = self.record.conversation.clone();
        async move {
            let (Some(entry), Some(conversation), false) = (entry, conversation, begun.is_empty()) else {
                return Looked::new();
            };
            let look = move || {
                let each = begun.into_iter().map(|input| {
                    let held = held(&entry, &conversation, &input);
                    (input, held)
                });
                each.collect()
            };
            tokio::task::spawn_blocking(look).await.unwrap_or_default()
        }
    }

    /// Takes back what the agent did not write down and had done nothing for: it counts as not begun, and so is given to
    /// it once more. Answers whether that is all that its turn was about.
    pub(super) fn take_back_lost(&mut self, looked: &Looked, notices: &mut Vec<EventDraft>) -> bool {
        // It may have been stopped while it was looked.
        if self.is_to_stop() {
            return false;
        }
        let first = self.is_first_turn();
        let mut taken_back = 0;
        for input in self.inputs.iter_mut().filter(|input| input.state == InputState::Working) {
            let since =
                self.record.working_on.iter().find(|(id, _)| *id == input.id).map(|(_, since)| *since);
            let held = looked.iter().find(|(id, _)| *id == input.id).map(|(_, held)| *held);
            let (Some(since), Some(held)) = (since, held) else { continue };
            match held {
                Held::Yes | Held::Unknown => continue,
                // It was there before: that it is gone is for the agent to say.
                Held::NoConversation if !first => continue,
                Held::No | Held::NoConversation => {}
            }
            let again = match since {
                Since::Nothing => !is_command(&input.text),
                Since::Words => !first && !is_command(&input.text),
                Since::Deeds => false,
            };
            let (code, message) = match again {
                true => (INPUT_SENT_AGAIN, SENT_AGAIN),
                false => (INPUT_LOST, LOST),
            };
            if again {
                input.state = InputState::Sent;
                taken_back += 1;
            }
            warn!(session = %self.record.session.id, input = %input.id, code, "{message}");
            let data = json!({ "code": code, "message": message, "input_id": input.id });
            notices.push(EventDraft::new(EventType::Warning, data));
        }
        let all = taken_back > 0 && !self.inputs.iter().any(|input| input.state == InputState::Working);
        if all && first {
            // Nothing was ever said in it, and so it cannot be gone on with.
            self.record.conversation_begun = false;
            self.record.session.runner_session_id = None;
        }
        all
    }

    /// Whether the agent was to end, or to stop what it was asked.
    fn is_to_stop(&self) -> bool {
        let stopping = self.run.as_ref().is_none_or(|run| run.stopping);
        stopping || self.closing || self.state() == SessionState::Interrupting
    }

    /// Whether the turn that the agent was to work on is the first of a conversation that began with it.
    fn is_first_turn(&self) -> bool {
        let begun_anew = self.run.as_ref().is_some_and(|run| !run.resumed);
        let counted = self.record.turn_running || self.record.continuing;
        begun_anew && self.record.turn == u64::from(counted)
    }
}

/// Whether it is a command of the agent's own (`/compact`), which may do things that nobody hears of.
fn is_command(text: &str) -> bool {
    let name = text.trim_start().strip_prefix('/').and_then(|rest| rest.split_whitespace().next());
    name.is_some_and(|name| !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_from_a_path() {
        for command in ["/compact", "  /deploy now", "/plugin:release\nsoon"] {
            assert!(is_command(command), "{command}");
        }
        for prose in ["/home/dev/x is broken", "", "/", "a /compact", "// no"] {
            assert!(!is_command(prose), "{prose}");
        }
    }
}
