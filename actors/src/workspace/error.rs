//! Why something with a repository did not work.

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
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "VALIDATION_ERROR",
            Self::Failed(_) => "GIT_ERROR",
            Self::Clone(_) => "CLONE_ERROR",
            Self::NotFound(_) => "NOT_FOUND",
            Self::Unavailable(_) => "GIT_UNAVAILABLE",
            Self::Timeout(_) => "TIMEOUT",
        }
    }

    /// The same as a failure to clone, whatever it was.
    pub(super) fn in_clone(self) -> Self {
        Self::Clone(self.to_string())
    }
}
