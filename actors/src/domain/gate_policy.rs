//! Who may say yes without a person: the session's approval mode and its grants.
//!
//! The order matters and the default is to ask. Questions, plans and requests that we do not
//! understand are always asked.

use std::path::Path;

use super::approval::{Actor, ApprovalKind, Ask, Grant, GrantCover};
use super::time::Stamp;

/// Approval mode 1: file changes below the session's directory need no answer.
pub const MODE_EDITS: u8 = 1;
/// Approval mode 2: nothing needs an answer, except questions and plans.
pub const MODE_ALL: u8 = 2;

/// Who allows this without a person; `None` = ask.
///
/// `paths` are the files that the request would write, absolute, with links resolved as far as they
/// exist (the caller resolves them: that is I/O). An edit whose paths are not known is asked.
pub fn standing_yes(
    ask: &Ask,
    paths: &[impl AsRef<Path>],
    directory: &Path,
    approval_mode: u8,
    grants: &[Grant],
    now: Stamp,
) -> Option<Actor> {
    if ask.kind != ApprovalKind::Tool {
        return None;
    }
    let edits_below = |root: &Path| {
        ask.is_edit && !paths.is_empty() && paths.iter().all(|path| path.as_ref().starts_with(root))
    };
    if approval_mode == MODE_ALL {
        return Some(Actor::Mode { approval_mode });
    }
    if approval_mode == MODE_EDITS && !directory.as_os_str().is_empty() && edits_below(directory) {
        return Some(Actor::Mode { approval_mode });
    }
    grants
        .iter()
        .filter(|grant| grant.expires_at.is_none_or(|end| now < end))
        .find(|grant| match &grant.cover {
            GrantCover::All => true,
            GrantCover::Tool { tool_name } => *tool_name == ask.tool_name,
            GrantCover::Directory { path } => edits_below(Path::new(path)),
        })
        .map(|grant| Actor::Grant { grant_id: grant.id.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{GrantId, SessionId};

    fn ask(kind: ApprovalKind, tool: &str, is_edit: bool) -> Ask {
        Ask {
            request: "r".into(),
            kind,
            tool_name: tool.into(),
            tool_input: serde_json::json!({}),
            title: String::new(),
            diff: None,
            paths: Vec::new(),
            is_edit,
            questions: Vec::new(),
            reason: None,
            suggestions: None,
            tool_use_id: None,
            subagent: None,
            can_change_input: true,
        }
    }

    fn grant(cover: GrantCover, expires_at: Option<i64>) -> Grant {
        Grant {
            id: GrantId::from("grant_1"),
            session_id: SessionId::from("sess_000000000000"),
            cover,
            created_at: Stamp::from_unix(0),
            expires_at: expires_at.map(Stamp::from_unix),
            created_by: Actor::Agent,
        }
    }

    fn decide(ask: &Ask, paths: &[&str], mode: u8, grants: &[Grant]) -> bool {
        standing_yes(ask, paths, Path::new("/p"), mode, grants, Stamp::from_unix(100)).is_some()
    }

    #[test]
    fn the_default_is_to_ask() {
        assert!(!decide(&ask(ApprovalKind::Tool, "Bash", false), &[], 0, &[]));
        assert!(!decide(&ask(ApprovalKind::Tool, "Write", true), &["/p/a"], 0, &[]));
    }

    #[test]
    fn questions_plans_and_unknown_requests_are_asked_whatever_is_granted() {
        let grants = [grant(GrantCover::All, None)];
        for kind in [ApprovalKind::Question, ApprovalKind::Plan, ApprovalKind::Trust, ApprovalKind::Unknown] {
            assert!(!decide(&ask(kind, "X", false), &[], MODE_ALL, &grants), "{kind:?}");
        }
    }

    #[test]
    fn mode_one_allows_edits_below_the_directory_only() {
        let edit = ask(ApprovalKind::Tool, "Write", true);
        assert!(decide(&edit, &["/p/a"], MODE_EDITS, &[]));
        assert!(!decide(&edit, &["/p/a", "/etc/b"], MODE_EDITS, &[]));
        assert!(!decide(&edit, &["/pp/a"], MODE_EDITS, &[]));
        assert!(!decide(&edit, &[], MODE_EDITS, &[]), "an edit of unknown files is asked");
        assert!(!decide(&ask(ApprovalKind::Tool, "Bash", false), &["/p/a"], MODE_EDITS, &[]));
    }

    #[test]
    fn a_grant_covers_its_tool_its_directory_and_its_time() {
        let bash = ask(ApprovalKind::Tool, "Bash", false);
        let tool = GrantCover::Tool { tool_name: "Bash".into() };
        assert!(decide(&bash, &[], 0, &[grant(tool.clone(), None)]));
        assert!(!decide(&ask(ApprovalKind::Tool, "Write", true), &["/p/a"], 0, &[grant(tool, None)]));
        assert!(decide(&bash, &[], 0, &[grant(GrantCover::All, Some(101))]));
        assert!(!decide(&bash, &[], 0, &[grant(GrantCover::All, Some(100))]), "it ends at its time");
        let directory = GrantCover::Directory { path: "/p/src".into() };
        assert!(decide(
            &ask(ApprovalKind::Tool, "Write", true),
            &["/p/src/a"],
            0,
            &[grant(directory.clone(), None)]
        ));
        assert!(!decide(&bash, &["/p/src/a"], 0, &[grant(directory, None)]), "a shell command is no edit");
    }
}
