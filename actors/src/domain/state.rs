//! The session's state machine (`contract`: REST, section 4).

use serde::{Deserialize, Serialize};

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SessionState {
    /// Made, never started.
    Created,
    /// The agent works.
    Running,
    /// The agent waits for a person's words.
    AwaitingInput,
    /// Asked to stop, not yet stopped.
    Interrupting,
    /// It ended in an error; input or start revives it.
    Error,
}

impl SessionState {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::AwaitingInput => "AWAITING_INPUT",
            Self::Interrupting => "INTERRUPTING",
            Self::Error => "ERROR",
        }
    }

    /// All of them, in the order of the machine.
    pub const ALL: [Self; 5] =
        [Self::Created, Self::Running, Self::AwaitingInput, Self::Interrupting, Self::Error];

    /// Whether the machine has an edge from here to there. Staying is not an edge.
    pub fn may_become(self, next: Self) -> bool {
        use SessionState::*;
        matches!(
            (self, next),
            (Created, Running)
                | (Running, AwaitingInput | Interrupting | Error)
                | (Interrupting, AwaitingInput | Error)
                | (AwaitingInput, Running | Error)
                | (Error, Running)
        )
    }

    /// Whether an agent may be at work, so that the session must not be deleted.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Interrupting)
    }
}

#[cfg(test)]
mod tests {
    use super::SessionState::{self, *};

    #[test]
    fn the_machine_has_exactly_the_edges_of_the_contract() {
        let edges = [
            (Created, Running),
            (Running, AwaitingInput),
            (Running, Interrupting),
            (Running, Error),
            (Interrupting, AwaitingInput),
            (Interrupting, Error),
            (AwaitingInput, Running),
            (AwaitingInput, Error),
            (Error, Running),
        ];
        for from in SessionState::ALL {
            for to in SessionState::ALL {
                assert_eq!(from.may_become(to), edges.contains(&(from, to)), "{from:?} -> {to:?}");
            }
        }
    }
}
