//! Where a path that an agent names really leads.

use std::path::{Component, Path, PathBuf};

/// The file that `path` names, seen from `directory`: absolute, every link resolved as far as the path
/// exists. `None` when that cannot be told, and then the request must be asked about.
pub async fn resolve(directory: &Path, path: &str) -> Option<PathBuf> {
    let full = directory.join(path);
    if full.components().any(|part| part == Component::ParentDir) || path.contains('\0') {
        // `a/../b` is not `b` when `a` is a link, so it is not worth guessing.
        return tokio::fs::canonicalize(&full).await.ok();
    }
    let mut missing = Vec::new();
    let mut existing = full.as_path();
    loop {
        // A link to nowhere exists as a link: where it leads will be known only once it is written.
        match tokio::fs::symlink_metadata(existing).await {
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                missing.push(existing.file_name()?.to_owned());
                existing = existing.parent()?;
            }
            Err(_) => return None,
        }
    }
    let mut resolved = tokio::fs::canonicalize(existing).await.ok()?;
    resolved.extend(missing.iter().rev());
    Some(resolved)
}

/// All the paths resolved; none at all when one of them cannot be.
pub async fn resolve_all(directory: &Path, paths: &[String]) -> Vec<PathBuf> {
    let mut resolved = Vec::with_capacity(paths.len());
    for path in paths {
        match resolve(directory, path).await {
            Some(path) => resolved.push(path),
            None => return Vec::new(),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn a_link_out_of_the_directory_is_seen_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("its real path");
        let (inside, outside) = (root.join("project"), root.join("elsewhere"));
        for made in [&inside, &outside] {
            std::fs::create_dir(made).expect("a folder");
        }
        std::os::unix::fs::symlink(&outside, inside.join("link")).expect("a link");
        std::os::unix::fs::symlink(outside.join("not-there"), inside.join("dangling")).expect("a link");

        assert_eq!(resolve(&inside, "new/file").await, Some(inside.join("new/file")));
        assert_eq!(resolve(&inside, "link/new").await, Some(outside.join("new")));
        assert_eq!(resolve(&inside, "dangling").await, None);
        assert_eq!(resolve(&inside, "link/../x").await, None);
        assert_eq!(resolve(&inside, "/etc/hosts").await, Some(PathBuf::from("/etc/hosts")));
        assert!(resolve_all(&inside, &["a".into(), "dangling".into()]).await.is_empty());
    }
}
