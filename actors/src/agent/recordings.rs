//! What the tests of all protocols do with the recordings of real agents below `tests/transcripts`.

use std::path::{Path, PathBuf};

/// The recordings of one agent, in the order of their names. More than `more_than` of them must be there.
pub(in crate::agent) fn paths(agent: &str, more_than: usize) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/transcripts").join(agent);
    let entries = std::fs::read_dir(&folder).expect("the transcripts are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    assert!(paths.len() > more_than, "there are {} transcripts of {agent}", paths.len());
    paths
}

/// Compares what is understood of each recording with the text that lies beside it. With `UPDATE_GOLDEN` in the
/// environment the texts are written anew, to be looked at as a change.
pub(in crate::agent) fn compare(understood: impl IntoIterator<Item = (PathBuf, String)>) {
    let mut wrong = Vec::new();
    for (path, now) in understood {
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &now).expect("it can be written");
        }
        let before = std::fs::read_to_string(&golden).unwrap_or_default();
        if now != before {
            let differs = now.lines().zip(before.lines()).find(|(now, before)| now != before);
            wrong.push(format!("{}: {differs:#?}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
