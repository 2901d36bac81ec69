//! Identifiers. Each is its own type, so that one cannot be given for another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $hex:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A fresh random one.
            pub fn random() -> Self {
                let hex = uuid::Uuid::new_v4().simple().to_string();
                Self(format!("{}{}", $prefix, &hex[..$hex]).into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A session: `sess_` and 12 hex digits, as the contract has it.
    SessionId, "sess_", 12
);
id!(
    /// An approval, unique over all sessions: `perm_` and 12 hex digits.
    ApprovalId, "perm_", 12
);
id!(
    /// A standing permission that a person gave for a while: `grant_` and 8 hex digits.
    GrantId, "grant_", 8
);
id!(
    /// One life of an agent program, from spawn to end: `run_` and 16 hex digits. It is also the
    /// marker in the environment of the program and of all that it starts.
    RunId, "run_", 16
);
id!(
    /// A paired browser or client: `dev_` and 8 hex digits.
    DeviceId, "dev_", 8
);

/// An input (prompt) on its way to an agent. A UUID, because Claude Code wants one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputId(Arc<str>);

impl InputId {
    /// A fresh random one. Version 7: ids sort in the order in which they were made, which is the
    /// order in which queued inputs are sent.
    pub fn random() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for InputId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for InputId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl SessionId {
    /// Whether the text has the shape of a session id; only such an id can be a key of the store.
    pub fn is_well_formed(text: &str) -> bool {
        text.len() == 17
            && text.starts_with("sess_")
            && text[5..].bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }
}
