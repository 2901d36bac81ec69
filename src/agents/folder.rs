//! Folders: where an agent keeps what is its own, and where a session works.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::acp::Refusal;

/// The folder of one of our agents: the one that was named, or a place in Tether's data folder. A `.env` of the
/// working directory is not asked, because it may have come with a project.
///
/// `Err` is for people.
pub fn of(agent: &str, named: Option<PathBuf>) -> Result<PathBuf, String> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = match named {
        Some(folder) => folder,
        None => match set("TETHER_AGENT_DATA_DIR") {
            Some(data) => data.join("agents").join(agent),
            None => etcetera::choose_base_strategy()
                .map_err(|_| "there is no home folder: name a folder with --data-dir".to_owned())?
                .data_dir()
                .join("tether/agents")
                .join(agent),
        },
    };
    std::path::absolute(&folder).map_err(|error| format!("{} is no folder: {error}", folder.display()))
}

/// A session's directory, without links.
pub fn directory(cwd: &Path) -> Result<PathBuf, Refusal> {
    if !cwd.is_absolute() {
        return Err(Refusal::invalid_params(format!("the directory {} is not absolute", cwd.display())));
    }
    let real = cwd
        .canonicalize()
        .map_err(|error| Refusal::invalid_params(format!("the directory {}: {error}", cwd.display())))?;
    if real.is_dir() {
        Ok(real)
    } else {
        Err(Refusal::invalid_params(format!("{} is no directory", cwd.display())))
    }
}
