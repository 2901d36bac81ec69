//! The stable words of refusals: what every surface that refuses answers as `code`, for programs to go by.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident => $word:literal,)*) => {
        /// Why something was not done, in a word. Words are never taken back.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

codes! {
    /// The agent's program cannot be started, or is held.
    AgentUnavailable => "AGENT_UNAVAILABLE",
    /// An approval has another answer already.
    AlreadyAnswered => "ALREADY_ANSWERED",
    /// The session is shown somewhere else.
    AlreadyBound => "ALREADY_BOUND",
    /// A repository could not be cloned.
    CloneError => "CLONE_ERROR",
    /// No room on the disk for new work.
    DiskFull => "DISK_FULL",
    /// A session could not be exported.
    ExportFailed => "EXPORT_FAILED",
    /// The conversation is open in a terminal.
    ExternalSessionBusy => "EXTERNAL_SESSION_BUSY",
    /// The agent's own record of a conversation cannot be read.
    ExternalSessionUnreadable => "EXTERNAL_SESSION_UNREADABLE",
    /// From a place that may not ask, or for what may not be asked.
    Forbidden => "FORBIDDEN",
    /// What git said.
    GitError => "GIT_ERROR",
    /// There is no git, or not now.
    GitUnavailable => "GIT_UNAVAILABLE",
    /// The body broke off.
    IncompleteBody => "INCOMPLETE_BODY",
    /// An agent could not be installed.
    InstallFailed => "INSTALL_FAILED",
    /// A fault of ours.
    InternalError => "INTERNAL_ERROR",
    /// A file that is not one of the agent's.
    InvalidPath => "INVALID_PATH",
    /// What it is about is not in a state that allows it.
    InvalidState => "INVALID_STATE",
    /// The path is known, and not with this method.
    MethodNotAllowed => "METHOD_NOT_ALLOWED",
    /// Something that is needed was not given.
    MissingFields => "MISSING_FIELDS",
    /// A program that is needed is not installed.
    MissingRuntime => "MISSING_RUNTIME",
    /// There is no such thing.
    NotFound => "NOT_FOUND",
    /// This cannot be done for that one.
    NotSupported => "NOT_SUPPORTED",
    /// A WebSocket was meant, and not asked for.
    NoHandshake => "NO_HANDSHAKE",
    /// The body is too long.
    PayloadTooLarge => "PAYLOAD_TOO_LARGE",
    /// The body did not come.
    RequestTimeout => "REQUEST_TIMEOUT",
    /// A part of the daemon is being started again.
    Restarting => "RESTARTING",
    /// The daemon stops.
    Stopping => "STOPPING",
    /// The data folder failed.
    StorageError => "STORAGE_ERROR",
    /// Settings could not be stored.
    StoreFailed => "STORE_FAILED",
    /// It took too long.
    Timeout => "TIMEOUT",
    /// Too many wrong tokens or codes.
    TooManyAttempts => "TOO_MANY_ATTEMPTS",
    /// A connection follows as many sessions as it may.
    TooManySubscriptions => "TOO_MANY_SUBSCRIPTIONS",
    /// No token, or a wrong one.
    Unauthorized => "UNAUTHORIZED",
    /// Not just now.
    Unavailable => "UNAVAILABLE",
    /// Not JSON.
    UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
    /// A value cannot be taken.
    ValidationError => "VALIDATION_ERROR",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
