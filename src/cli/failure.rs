//! Why a command came to nothing, and how people are told.

use std::io;
use std::process::ExitCode;

use crate::client::ClientError;
use crate::config::ConfigError;

/// Why a command came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// A text for people; further lines after the first.
    Text(String),
    /// Everything that there was to say has been printed.
    Told,
    /// Whoever read our output has seen enough (`tether list | head -1`).
    ReaderGone,
}

impl Failure {
    /// A failure with this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Tells about it on standard error, and answers the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::ReaderGone => ExitCode::SUCCESS,
            Self::Told => ExitCode::FAILURE,
            Self::Text(text) => {
                use io::Write as _;
                // What was typed may have come from an agent through a script, and what a server says from anybody.
                let _ = writeln!(io::stderr(), "Error: {}", super::output::exact(&text));
                ExitCode::FAILURE
            }
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Unreachable { .. } => {
                Self::Text(format!("{error}\nIs it running? Start it with: tether start"))
            }
            ClientError::Refused { status: 401, .. } => Self::Text(format!(
                "{error}\nThe token comes from --token, the server's entry in servers.yaml, TETHER_AGENT_TOKEN, ./.env or config.env (see: \
                 tether init)"
            )),
            _ => Self::Text(error.to_string()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Text(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Text(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        match error.io_error_kind() {
            Some(kind) => io::Error::from(kind).into(),
            None => Self::Text(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_daemon_takes_the_two_lines_of_the_contract() {
        let error = ClientError::Unreachable { url: "http://127.0.0.1:8787".into(), cause: "refused".into() };
        let Failure::Text(text) = error.into() else { panic!("it has a text") };
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("Cannot connect to the Tether server"), "{text}");
        assert_eq!(lines[1..], ["Is it running? Start it with: tether start"]);
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        assert!(matches!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)), Failure::ReaderGone));
        assert!(matches!(Failure::from(io::Error::from(io::ErrorKind::Other)), Failure::Text(_)));
    }
}
