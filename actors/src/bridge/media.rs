//! Files both ways.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::actor::Deps;
use super::platform::{FileOut, FileRef};
use crate::domain::ids::SessionId;
use crate::domain::session::Image;

/// Pictures that go to the agent as such: as many, and as large.
const IMAGES: usize = 4;
const IMAGE_BYTES: u64 = 8 << 20;
/// Other files of a message.
const FILES: usize = 8;
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// What came of the files of a message.
#[derive(Debug, Default)]
pub struct TakenIn {
    /// Pictures for the agent.
    pub images: Vec<Image>,
    /// Lines for the agent that name the others.
    pub lines: Vec<String>,
    /// What could not be taken, for the person.
    pub problems: Vec<String>,
}

/// Fetches the files of a message. What they are is told by what is in them.
pub async fn take_in(deps: &Deps, session: &SessionId, files: &[FileRef]) -> TakenIn {
    let mut taken = TakenIn::default();
    let limit = deps.platform.traits().file_in;
    for (index, file) in files.iter().enumerate() {
        let name = safe_name(file.name.as_deref().unwrap_or("file"));
        if index >= IMAGES + FILES {
            taken.problems.push(format!("only {} files are taken of one message", IMAGES + FILES));
            break;
        }
        if file.size.is_some_and(|size| size > limit) {
            taken.problems.push(format!("{name} is larger than {} MiB", limit >> 20));
            continue;
        }
        let bytes = match deps.platform.fetch(file, limit).await {
            Ok(bytes) => bytes,
            Err(failure) => {
                taken.problems.push(format!("{name} could not be fetched: {failure}"));
                continue;
            }
        };
        let kind = infer::get(&bytes).map(|kind| kind.mime_type());
        match kind.filter(|kind| PICTURES.contains(kind)) {
            Some(kind) if taken.images.len() < IMAGES && bytes.len() as u64 <= IMAGE_BYTES => {
                taken.images.push(Image {
                    data: STANDARD.encode(&bytes),
                    media_type: kind.to_owned(),
                    filename: file.name.as_ref().map(|_| name),
                });
            }
            _ => match put(&deps.media, session, &name, &bytes).await {
                Ok(path) => {
                    let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
                    taken.lines.push(format!("Attached file: {path}{kind}"));
                }
                Err(error) => taken.problems.push(format!("{name} could not be stored: {error}")),
            },
        }
    }
    taken
}

async fn put(root: &Path, session: &SessionId, name: &str, bytes: &[u8]) -> std::io::Result<String> {
    let folder = root.join(session.as_str());
    tokio::fs::create_dir_all(&folder).await?;
    let path = folder.join(format!("{}-{name}", uuid::Uuid::new_v4().simple()));
    tokio::fs::write(&path, bytes).await?;
    Ok(path.display().to_string())
}

/// A file's name that is one part of a path, and nothing else.
pub fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .map(|c| if c.is_alphanumeric() || "._- ()+".contains(c) { c } else { '_' })
        .take(80)
        .collect();
    let kept = kept.trim_matches([' ', '.']).to_owned();
    if kept.is_empty() { "file".to_owned() } else { kept }
}

/// A file that an agent wants shown: of the session's directory, links resolved, no larger than `limit`.
pub async fn read_out(directory: &str, path: &str, limit: u64) -> Result<FileOut, String> {
    if directory.is_empty() {
        return Err(format!("{path} is not shown: the session has no directory"));
    }
    let root = tokio::fs::canonicalize(directory).await.map_err(|error| format!("{directory}: {error}"))?;
    let real = tokio::fs::canonicalize(root.join(path)).await.map_err(|error| format!("{path}: {error}"))?;
    if !real.starts_with(&root) {
        return Err(format!("{path} is not shown: it lies outside of the session's directory"));
    }
    let found = tokio::fs::metadata(&real).await.map_err(|error| format!("{path}: {error}"))?;
    if !found.is_file() || found.len() > limit {
        return Err(format!("{path} is not shown: it is no file, or larger than {} MiB", limit >> 20));
    }
    let bytes = tokio::fs::read(&real).await.map_err(|error| format!("{path}: {error}"))?;
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(FileOut { name: safe_name(&name), bytes: bytes.into(), caption: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for (name, safe) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.txt", "y.txt"),
            ("..", "file"),
            ("", "file"),
            ("a\nb\0.png", "a_b_.png"),
            ("Übersicht 1.pdf", "Übersicht 1.pdf"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
    }

    #[tokio::test]
    async fn only_files_of_the_sessions_directory_are_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inside, secret) = (folder.path().join("in"), folder.path().join("secret"));
        std::fs::create_dir(&inside).expect("a folder");
        std::fs::write(&secret, "s").expect("a file");
        std::fs::write(inside.join("a.txt"), "hello").expect("a file");
        std::os::unix::fs::symlink(&secret, inside.join("link")).expect("a link");
        let root = inside.to_str().expect("a path");
        let file = read_out(root, "a.txt", 10).await.expect("it is shown");
        assert_eq!((file.name.as_str(), &file.bytes[..]), ("a.txt", &b"hello"[..]));
        for path in ["../secret", "link", secret.to_str().expect("a path"), ".", "none"] {
            assert!(read_out(root, path, 10).await.is_err(), "{path}");
        }
        assert!(read_out(root, "a.txt", 4).await.is_err(), "too large");
        assert!(read_out("", "a.txt", 10).await.is_err());
    }
}
