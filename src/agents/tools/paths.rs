//! Where a path that a model wrote really leads.

use std::path::{Component, Path, PathBuf};

/// A file or folder, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Absolute, without links and dots.
    pub real: PathBuf,
    /// Whether it lies in the session's directory.
    pub inside: bool,
}

impl Target {
    /// For people: from the session's directory on, or the whole path and that it is outside.
    pub fn shown(&self, directory: &Path) -> String {
        match self.real.strip_prefix(directory) {
            Ok(rest) if rest.as_os_str().is_empty() => ".".into(),
            Ok(rest) if self.inside => rest.display().to_string(),
            _ => format!("{} (outside of the session's directory)", self.real.display()),
        }
    }
}

/// Follows a path from `directory` (which holds no links itself), link by link. `Err` is for the model.
pub fn resolve(directory: &Path, typed: &str) -> Result<Target, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Err("the path is empty".into());
    }
    let wanted = match typed.strip_prefix("~/") {
        Some(rest) => etcetera::home_dir().map_err(|_| "there is no home folder".to_owned())?.join(rest),
        None => directory.join(typed),
    };
    let mut real = PathBuf::new();
    for part in wanted.components() {
        match part {
            Component::Prefix(_) | Component::RootDir => real.push(part),
            Component::CurDir => {}
            // What was followed so far holds no links, so its parent is the one that the system takes.
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(name) => {
                let next = real.join(name);
                real = if next.is_symlink() {
                    next.canonicalize().map_err(|error| format!("the link {}: {error}", next.display()))?
                } else {
                    next
                };
            }
        }
    }
    let inside = real.starts_with(directory);
    Ok(Target { real, inside })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_where_the_system_would_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().canonicalize().expect("its real path");
        let work = top.join("work");
        std::fs::create_dir_all(work.join("sub")).expect("made");
        std::fs::create_dir_all(top.join("other/deep")).expect("made");
        std::os::unix::fs::symlink(top.join("other/deep"), work.join("link")).expect("linked");
        std::os::unix::fs::symlink(top.join("nowhere"), work.join("broken")).expect("linked");
        let at = |typed: &str| resolve(&work, typed).map(|target| (target.real, target.inside));
        assert_eq!(at("sub/new.txt"), Ok((work.join("sub/new.txt"), true)));
        assert_eq!(at("./sub/../a"), Ok((work.join("a"), true)));
        assert_eq!(at("../x"), Ok((top.join("x"), false)));
        assert_eq!(at("link/f"), Ok((top.join("other/deep/f"), false)), "a link out is out");
        assert_eq!(at("link/../f"), Ok((top.join("other/f"), false)), "the parent is that of the link's end");
        assert_eq!(at("/etc/passwd").map(|(_, inside)| inside), Ok(false));
        assert!(at("broken").is_err(), "nobody knows what a file behind it would be");
        assert!(at(" ").is_err());
        let beside = work.parent().map(|parent| parent.join("work-2/x").display().to_string());
        assert_eq!(at(&beside.unwrap_or_default()).map(|(_, inside)| inside), Ok(false));
    }

    #[test]
    fn what_lies_outside_is_named_whole() {
        let work = Path::new("/w");
        let target = |real: &str, inside| Target { real: real.into(), inside };
        assert_eq!(target("/w/a/b", true).shown(work), "a/b");
        assert_eq!(target("/w", true).shown(work), ".");
        assert_eq!(target("/x/b", false).shown(work), "/x/b (outside of the session's directory)");
    }
}
