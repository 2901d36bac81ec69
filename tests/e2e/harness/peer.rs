//! A home that Tether 0.3.4 itself wrote: see `tests/peer/make.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The home, unpacked beside ours.
pub struct PeerHome(pub PathBuf);

/// Where the sessions in it work, as long as the name of any folder that stands in for it.
const PROJECT: &str = "/home/ada/project";

impl PeerHome {
    pub fn unpack(into: &Path) -> Self {
        let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer/home-0.3.4.tar.gz");
        let file = std::fs::File::open(packed).expect("it is there");
        tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(into).expect("it unpacks");
        Self(into.to_owned())
    }

    pub fn data(&self) -> PathBuf {
        self.0.join(".local/share/tether")
    }

    pub fn config(&self) -> PathBuf {
        self.0.join(".config/tether/config.env")
    }

    /// Binds a session to a thread, as that program writes it: in the session's row and, for Telegram, in the file of its
    /// bridge, which is what counts there. Answers the session's id.
    pub fn binds(&self, name: &str, platform: &str, thread: &str) -> String {
        let database = rusqlite::Connection::open(self.data().join("sessions.db")).expect("it opens");
        let in_row = (platform != "telegram").then_some(thread);
        let id: String = database
            .query_row(
                "UPDATE sessions SET platform = ?1, platform_thread_id = ?2 WHERE name = ?3 RETURNING id",
                (platform, in_row, name),
                |row| row.get(0),
            )
            .expect("it is there");
        if let Ok(topic) = thread.parse::<i64>()
            && platform == "telegram"
        {
            let mapping = serde_json::json!({
                "topic_id": topic, "name": "Claude / Project", "created_at": "2026-01-01T00:00:00.123456+00:00",
            });
            let state = serde_json::json!({ "mappings": { id.as_str(): mapping } });
            let text = serde_json::to_string_pretty(&state).expect("JSON");
            std::fs::write(self.data().join("telegram_state.json"), text).expect("written");
        }
        id
    }

    /// Has people paired on Discord.
    pub fn pairs(&self, people: &[u64], channel: Option<u64>) {
        let state = serde_json::json!({
            "control_channel_id": channel, "created_at": "2026-01-01T00:00:00.123456+00:00",
            "paired_user_ids": people, "pairing_code": "12345678",
        });
        let text = serde_json::to_string_pretty(&state).expect("JSON");
        std::fs::write(self.data().join("discord_pairing.json"), text).expect("written");
    }

    /// Has its sessions work in a folder that is there; its name has as many bytes, so that all files, the database
    /// too, stay as they are otherwise. Lays the conversation of Claude Code where the program finds it.
    pub fn works_in(&self, folder: &Path, claude: &Path) {
        let name = folder.to_str().expect("a text");
        assert_eq!(name.len(), PROJECT.len());
        for path in hashes(&self.0).into_keys() {
            let bytes = std::fs::read(&path).expect("it reads");
            std::fs::write(&path, replaced(&bytes, PROJECT.as_bytes(), name.as_bytes())).expect("it writes");
        }
        let to = claude.join("projects").join(name.replace('/', "-"));
        std::fs::create_dir_all(&to).expect("made");
        for entry in std::fs::read_dir(self.0.join(".claude/projects/-home-ada-project")).expect("it lists") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from) {
        at += found;
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// Every file below a folder with its hash.
pub fn hashes(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it lists") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.insert(
                    path.clone(),
                    hex::encode(Sha256::digest(std::fs::read(&path).expect("it reads"))),
                );
            }
        }
    }
    all
}
