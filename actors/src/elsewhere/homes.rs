//! Where each program keeps its conversations.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folders of one person; `None` where there is no home at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Homes {
    /// Claude Code: `projects/` and `sessions/` lie in it.
    pub claude: Option<PathBuf>,
    /// Codex: `sessions/` and `thread-writer-locks/` lie in it.
    pub codex: Option<PathBuf>,
    /// OpenCode's database.
    pub opencode: Option<PathBuf>,
    /// Pi's folder of sessions.
    pub pi: Option<PathBuf>,
}

impl Homes {
    /// Those of whoever runs this process.
    pub fn of_process() -> Self {
        Self::of(&|name| std::env::var_os(name))
    }

    /// By an environment. An empty variable is none.
    pub fn of(environment: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = variable("HOME");
        let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
        // `CLAUDE_HOME` is the peer's name for it.
        let claude = variable("CLAUDE_CONFIG_DIR").or_else(|| variable("CLAUDE_HOME"));
        let data = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
        let opencode = data.or_else(|| below_home(".local/share")).map(|data| data.join("opencode"));
        let named = variable("OPENCODE_DB").map(|name| match (&opencode, name.is_absolute()) {
            (Some(folder), false) => folder.join(name),
            _ => name,
        });
        let pi_agent = variable("PI_CODING_AGENT_DIR").or_else(|| below_home(".pi/agent"));
        Self {
            claude: claude.or_else(|| below_home(".claude")),
            codex: variable("CODEX_HOME").or_else(|| below_home(".codex")),
            opencode: named.or_else(|| opencode.map(|folder| folder.join("opencode.db"))),
            pi: variable("PI_SESSIONS_DIR").or_else(|| pi_agent.map(|folder| folder.join("sessions"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Homes {
        Homes::of(&|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn they_lie_below_the_home_unless_a_variable_says_otherwise() {
        let path = |text: &str| Some(PathBuf::from(text));
        let usual = of(&[("HOME", "/h"), ("CODEX_HOME", "")]);
        assert_eq!((usual.claude, usual.codex), (path("/h/.claude"), path("/h/.codex")));
        assert_eq!(usual.opencode, path("/h/.local/share/opencode/opencode.db"));
        assert_eq!(usual.pi, path("/h/.pi/agent/sessions"));
        let moved = of(&[
            ("CLAUDE_CONFIG_DIR", "/c"),
            ("CODEX_HOME", "/x"),
            ("XDG_DATA_HOME", "/d"),
            ("PI_CODING_AGENT_DIR", "/p"),
        ]);
        assert_eq!((moved.claude, moved.codex), (path("/c"), path("/x")));
        assert_eq!((moved.opencode, moved.pi), (path("/d/opencode/opencode.db"), path("/p/sessions")));
        assert_eq!(
            of(&[("XDG_DATA_HOME", "/d"), ("OPENCODE_DB", "o.db")]).opencode,
            path("/d/opencode/o.db")
        );
        assert_eq!(of(&[]), Homes::default());
    }
}
