//! Why something with a repository did not work.

use crate::domain::code::Code;

/// Why. The text is for people, and holds no passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// What was asked for cannot be taken, or the directory is no repository.
    #[error("{0}")]
    Invalid(String),
    /// git (or `gh`, `glab`) said no, or we did on its behalf.
    #[error("{0}")]
    Failed(String),
    /// A repository could not be cloned, or no work tree made of it.
    #[error("{0}")]
    Clone(String),
    /// There is no such checkpoint.
    #[error("{0}")]
    NotFound(String),
    /// The program is not there or cannot be run.
    #[error("{0}")]
    Unavailable(String),
    /// It took too long and was ended.
    #[error("{0}")]
    Timeout(String),
}

impl GitError {
    /// The stable word for it in the API (`contract`: errors).
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::ValidationError,
            Self::Failed(_) => Code::GitError,
            Self::Clone(_) => Code::CloneError,
            Self::NotFound(_) => Code::NotFound,
            Self::Unavailable(_) => Code::GitUnavailable,
            Self::Timeout(_) => Code::Timeout,
        }
    }

    /// The same as a failure to clone, whatever it was.
    pub(super) fn in_clone(self) -> Self {
        Self::Clone(self.to_string())
    }
}
