//! Writing a backup.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tether_actors::domain::time::Stamp;

use super::{BackupError, Content, END, End, HEAD, Head, OWN_AGENTS, SETTINGS, VERSION};

/// A backup that is being written, beside its place: it takes the place when it is whole, and was read again.
pub struct Writer {
    path: PathBuf,
    tar: tar::Builder<GzEncoder<BufWriter<NamedTempFile>>>,
    pieces: usize,
    end: End,
}

impl Writer {
    /// Begins one that is to be the file `path`, which must not exist. Only its owner may read it.
    ///
    /// # Errors
    /// It cannot be made there, or there is something.
    pub fn begin(path: &Path) -> Result<Self, BackupError> {
        let failed = failed(path);
        if path.symlink_metadata().is_ok() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".part").tempfile_in(folder);
        let packed = GzEncoder::new(BufWriter::new(file.map_err(&failed)?), Compression::new(4));
        let mut writer =
            Self { path: path.to_owned(), tar: tar::Builder::new(packed), pieces: 0, end: End::default() };
        let head = Head {
            format: "tether-backup".to_owned(),
            version: VERSION,
            tether: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: Stamp::now().to_string(),
        };
        let head = serde_json::to_vec_pretty(&head).map_err(|error| writer.failed(error.into()))?;
        writer.member(HEAD, &head)?;
        Ok(writer)
    }

    /// Adds a piece of the log.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn log(&mut self, piece: &[u8]) -> Result<(), BackupError> {
        self.pieces += 1;
        self.member(&format!("log/{}", self.pieces), piece)
    }

    /// Adds what our own agents keep in this data folder.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn agents(&mut self, data: &Path) -> Result<(), BackupError> {
        for agent in OWN_AGENTS {
            let mut folders = vec![data.join("agents").join(agent)];
            while let Some(folder) = folders.pop() {
                let listed = match std::fs::read_dir(&folder) {
                    Ok(listed) => listed,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(failed(&folder)(error)),
                };
                for entry in listed {
                    let entry = entry.map_err(failed(&folder))?;
                    let (path, kind) = (entry.path(), entry.file_type().map_err(failed(&folder))?);
                    if kind.is_dir() {
                        folders.push(path);
                    } else if kind.is_file()
                        && let Some(name) = path.strip_prefix(data).ok().and_then(Path::to_str)
                    {
                        let bytes = std::fs::read(&path).map_err(failed(&path))?;
                        self.member(name, &bytes)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the settings.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn settings(&mut self, text: &[u8]) -> Result<(), BackupError> {
        self.member(SETTINGS, text)
    }

    /// Ends it: on disk, read again, and in its place. Answers what is in it, and its size in bytes.
    ///
    /// # Errors
    /// It cannot be written, does not read as it was written, or something took its place meanwhile.
    pub fn finish(mut self, entries: u64) -> Result<(Content, u64), BackupError> {
        self.end.entries = entries;
        let path = self.path.clone();
        let failed = failed(&path);
        let end = serde_json::to_vec_pretty(&self.end).map_err(|error| failed(error.into()))?;
        self.member(END, &end)?;
        let packed = self.tar.into_inner().map_err(&failed)?;
        let buffered = packed.finish().map_err(&failed)?;
        let mut file = buffered.into_inner().map_err(|error| failed(error.into_error()))?;
        file.flush().map_err(&failed)?;
        file.as_file().sync_all().map_err(&failed)?;
        let content = super::check(file.path())?;
        let bytes = file.as_file().metadata().map_err(&failed)?.len();
        file.persist_noclobber(&path).map_err(|error| failed(error.error))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(&failed)?;
        }
        Ok((content, bytes))
    }

    fn member(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        self.tar.append_data(&mut header, name, bytes).map_err(failed(&self.path))?;
        self.end.members.insert(name.to_owned(), hex::encode(Sha256::digest(bytes)));
        Ok(())
    }

    fn failed(&self, error: io::Error) -> BackupError {
        failed(&self.path)(error)
    }
}

/// Tells of the file that was to be written, whatever its name is while it is.
fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.display().to_string();
    move |error| BackupError::Io {
        path: path.clone(),
        reason: match error.kind() {
            io::ErrorKind::AlreadyExists => "it exists already: choose another name".to_owned(),
            io::ErrorKind::NotFound => "its folder is not there".to_owned(),
            _ => error.to_string(),
        },
    }
}
