//! Files that are backups, and files that are not.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// An end of a log without entries: see `tether_actors::log::Unpacker`.
const NO_ENTRIES: [u8; 12] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];

fn written(folder: &Path) -> PathBuf {
    let path = folder.join("a.backup");
    let data = folder.join("data");
    std::fs::create_dir_all(data.join("agents/demo/x")).expect("made");
    std::fs::write(data.join("agents/demo/x/y.jsonl"), "hello").expect("written");
    std::fs::create_dir_all(data.join("agents/sess_000000000000")).expect("made");
    std::fs::write(data.join("agents/sess_000000000000/spool"), "not this").expect("written");
    let mut writer = Writer::begin(&path).expect("it begins");
    writer.log(&NO_ENTRIES).expect("it writes");
    writer.agents(&data).expect("it writes");
    writer.settings(b"TETHER_AGENT_TOKEN=x\n").expect("it writes");
    let (content, bytes) = writer.finish(0).expect("it is whole");
    assert_eq!((content.entries, content.files, content.settings), (0, 1, true));
    assert_eq!(bytes, std::fs::metadata(&path).expect("it is there").len());
    path
}

#[test]
fn what_was_written_reads_back_and_only_its_owner_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path());
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut seen = Vec::new();
    read(&path, &mut |member| {
        seen.push(match member {
            Member::Entry(_) => "an entry".to_owned(),
            Member::File(name, bytes) => format!("{name} {}", String::from_utf8_lossy(&bytes)),
            Member::Settings(text) => String::from_utf8_lossy(&text).into_owned(),
        });
        Ok(())
    })
    .expect("it reads");
    assert_eq!(seen, ["agents/demo/x/y.jsonl hello", "TETHER_AGENT_TOKEN=x\n"]);
    let refused = Writer::begin(&path).err().expect("it is there").to_string();
    assert!(refused.contains("exists already"), "{refused}");
    let names: Vec<_> = std::fs::read_dir(folder.path()).expect("it lists").collect();
    assert_eq!(names.len(), 2, "nothing half-written is left: {names:?}");
}

#[test]
fn a_file_that_ends_anywhere_or_was_changed_is_not_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(written(folder.path())).expect("it reads");
    let other = folder.path().join("other");
    let refused = |bytes: &[u8]| {
        std::fs::write(&other, bytes).expect("written");
        check(&other).expect_err("it is not whole").to_string()
    };
    for length in 0..whole.len() {
        refused(&whole[..length]);
    }
    for at in (10..whole.len() - 8).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        std::fs::write(&other, &changed).expect("written");
        assert!(check(&other).is_err(), "a change at {at}");
    }
    assert!(refused(b"PK\x03\x04 something else").contains("is no backup"));
    let missing = check(&folder.path().join("none")).expect_err("nothing is there").to_string();
    assert!(missing.contains("none"), "{missing}");
}

fn packed(path: &Path, members: &[(&str, &[u8])]) {
    let file = std::fs::File::create(path).expect("it is made");
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // Past the checks of the library, as an enemy would.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *bytes).expect("it writes");
    }
    tar.into_inner().and_then(GzEncoder::finish).and_then(|mut file| file.flush()).expect("it ends");
}

#[test]
fn names_that_lead_elsewhere_and_archives_of_others_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    let head = br#"{"format":"tether-backup","version":1,"tether":"0","made_at":"now"}"#;
    for name in
        ["../x", "agents/../../x", "/etc/x", "agents/demo", "agents/claude/x", "log/2", "settings/other"]
    {
        packed(&path, &[(HEAD, head), (name, b"x")]);
        let error = check(&path).expect_err("it is refused").to_string();
        assert!(error.contains("does not belong there"), "{name}: {error}");
    }
    packed(&path, &[("readme.txt", b"hello")]);
    assert!(check(&path).expect_err("it is refused").to_string().contains("is no backup"));
    packed(&path, &[(HEAD, br#"{"format":"tether-backup","version":2,"tether":"9.9","made_at":"now"}"#)]);
    assert!(check(&path).expect_err("it is refused").to_string().contains("newer tether (9.9)"));
    packed(&path, &[(HEAD, head), (END, br#"{"entries":0,"members":{}}"#)]);
    assert!(check(&path).expect_err("it is refused").to_string().contains("not what was written"));
}
