//! `tether templates`, and what `tether new -t` takes from one. Format: Tether 0.3.5rc4.
//!
//! A template below the directory that one stands in may have come with somebody else's project. Nothing that it says
//! runs anything by itself, and all that is taken from it is printed; but how much is allowed without asking is only
//! taken from it where the person trusts the directory, or says so now.

use std::path::{Path, PathBuf};

use inquire::{Confirm, InquireError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tether_actors::domain::trust;

use super::args::{TemplatesAction, TemplatesArgs};
use super::output::{is_interactive, one_line};
use super::{Context, Failure};
use crate::client::Client;
use crate::config::{Sources, yaml};

/// Where a project keeps its own.
const OF_PROJECT: &str = ".tether/templates";

/// What a session is to be.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The session's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What to clone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clone_url: Option<String>,
    /// The branch to begin at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Where the agent works, instead of a clone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// 0 ask, 1 allow edits, 2 allow everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_mode: Option<u8>,
    /// The chat platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// A branch of its own also in a plain clone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_branch: Option<bool>,
    /// Whether the work tree is saved after each turn, whatever the daemon is configured to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_checkpoint: Option<bool>,
    /// Without history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shallow: Option<bool>,
}

/// A template and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// The directory that it came with; `None` = it is the person's own.
    pub project: Option<PathBuf>,
    /// What it says.
    pub template: Template,
}

/// Lists or shows. No daemon is asked.
pub fn run(args: &TemplatesArgs, mut cx: Context) -> Result<(), Failure> {
    match &args.action {
        None | Some(TemplatesAction::List) => list(&mut cx),
        Some(TemplatesAction::Show { template }) => show(template, &mut cx),
    }
}

fn list(cx: &mut Context) -> Result<(), Failure> {
    let files = files(&cx.sources);
    if cx.json {
        let rows: Vec<_> = files
            .iter()
            .map(|(name, path)| match yaml::read::<Template>(path) {
                Ok(template) => json!({ "name": name, "path": path, "template": template }),
                Err(problem) => json!({ "name": name, "path": path, "problem": problem }),
            })
            .collect();
        return cx.out.json(&rows);
    }
    if files.is_empty() {
        cx.out.line("No templates found.")?;
        let own = own_folders(&cx.sources).into_iter().next().unwrap_or_default().join("NAME.yaml");
        return Ok(cx
            .out
            .line(format!("Write one to {} or to {OF_PROJECT}/NAME.yaml in a project.", own.display()))?);
    }
    cx.out.line(format!("{:<30}  Source", "Name"))?;
    cx.out.line("-".repeat(70))?;
    for (name, path) in files {
        cx.out.line(format!("{:<30}  {}", one_line(&name), one_line(&path.display().to_string())))?;
    }
    Ok(())
}

fn show(typed: &str, cx: &mut Context) -> Result<(), Failure> {
    let found = find(typed, &cx.sources)?;
    if cx.json {
        return cx.out.json(&json!({ "path": found.path, "template": found.template }));
    }
    cx.out.line(format!("Template: {}", one_line(&found.path.display().to_string())))?;
    cx.out.line("-".repeat(50))?;
    let said = serde_json::to_value(&found.template)?;
    let mut keys: Vec<_> = said.as_object().into_iter().flatten().collect();
    keys.sort_by_key(|(key, _)| key.as_str());
    for (key, value) in keys {
        let value = value.as_str().map_or_else(|| value.to_string(), one_line);
        cx.out.line(format!("  {key}: {value}"))?;
    }
    Ok(())
}

/// The person's own folders, the first one first.
fn own_folders(sources: &Sources) -> Vec<PathBuf> {
    let first =
        sources.personal_path.as_deref().and_then(Path::parent).map(|folder| folder.join("templates"));
    let second = sources.home.as_ref().map(|home| home.join(".config/tether/templates"));
    let mut folders: Vec<PathBuf> = first.into_iter().chain(second).collect();
    folders.dedup();
    folders
}

/// Every template by its name; of two of one name the one that counts.
fn files(sources: &Sources) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    let folders = std::iter::once(sources.working_dir.join(OF_PROJECT)).chain(own_folders(sources));
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
            let name = path.file_stem().and_then(|stem| stem.to_str()).filter(|name| is_name(name));
            if let (true, Some(name)) = (is_yaml, name)
                && !found.iter().any(|(known, _)| known == name)
            {
                found.push((name.to_owned(), path.clone()));
            }
        }
    }
    found.sort();
    found
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(['.', '-']) && !text.contains(['/', '\0'])
}

/// The template that a name or a file means.
///
/// # Errors
/// There is none, or it cannot be used.
pub fn find(typed: &str, sources: &Sources) -> Result<Found, Failure> {
    let is_path = typed.contains('/') || typed.ends_with(".yaml") || typed.ends_with(".yml");
    let path = match is_path {
        true => Some(sources.working_dir.join(typed)).filter(|path| path.exists()),
        false => by_name(typed, sources),
    };
    let missing = || Failure::text(format!("template '{typed}' not found (see: tether templates list)"));
    let path = path.ok_or_else(missing)?;
    let template: Template = yaml::read(&path).map_err(Failure::text)?.ok_or_else(missing)?;
    check(&template).map_err(|why| Failure::text(format!("{} cannot be used: {why}", path.display())))?;
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    // A link in the person's own folder into a project is the project's file.
    let is_own = own_folders(sources)
        .iter()
        .filter_map(|folder| folder.canonicalize().ok())
        .any(|folder| real.starts_with(folder));
    Ok(Found { project: (!is_own).then(|| project_of(&real)), path, template })
}

fn by_name(name: &str, sources: &Sources) -> Option<PathBuf> {
    if !is_name(name) {
        return None;
    }
    let folders = std::iter::once(sources.working_dir.join(OF_PROJECT)).chain(own_folders(sources));
    let endings = ["yaml", "yml"];
    folders
        .flat_map(|folder| endings.map(|ending| folder.join(format!("{name}.{ending}"))))
        .find(|path| path.exists())
}

/// The directory that a file came with: the one above `.tether/templates`, else the one that it lies in.
fn project_of(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("/"));
    if !folder.ends_with(OF_PROJECT) {
        return folder.to_owned();
    }
    folder.ancestors().nth(2).unwrap_or(folder).to_owned()
}

fn check(template: &Template) -> Result<(), String> {
    if template.approval_mode.is_some_and(|mode| mode > 2) {
        return Err("approval_mode must be 0 (ask), 1 (allow edits) or 2 (allow everything)".to_owned());
    }
    if template.clone_url.is_some() && template.directory.is_some() {
        return Err("it has both clone_url and directory: one is enough".to_owned());
    }
    Ok(())
}

/// What a mode lets an agent do, for people.
pub fn mode_words(mode: u8) -> &'static str {
    match mode {
        0 => "ask",
        1 => "allow edits",
        _ => "allow everything",
    }
}

/// The approval mode that a template may set.
///
/// # Errors
/// It would allow something without asking, came with a directory that the person did not say to trust, and nobody is
/// there to be asked.
pub async fn allowed_mode(found: &Found, client: &Client, cx: &Context) -> Result<Option<u8>, Failure> {
    let Some(mode) = found.template.approval_mode else { return Ok(None) };
    let Some(project) = found.project.as_deref().filter(|_| mode > 0) else { return Ok(Some(mode)) };
    // What a daemon elsewhere trusts are directories there.
    if cx.target()?.is_here() {
        let said = client.trust().await?;
        if trust::decision(&said, project).is_some_and(|said| said.trusted) {
            return Ok(Some(mode));
        }
    }
    let (words, file) = (mode_words(mode), one_line(&found.path.display().to_string()));
    if cx.json || !is_interactive() {
        return Err(Failure::text(format!(
            "{file} says approval_mode {mode} ({words} without asking), and you did not say to trust {}: no session was \
             made\nSay --approval-mode {mode} if you want that, --approval-mode 0 to be asked, or: tether trust yes {}",
            project.display(),
            project.display()
        )));
    }
    let question =
        format!("{file} came with {} and says: {words} without asking. Do that?", project.display());
    match Confirm::new(&question).with_default(false).with_help_message("no: you are asked as usual").prompt()
    {
        Ok(true) => Ok(Some(mode)),
        Ok(false) => Ok(Some(0)),
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => Err(Failure::Told),
        Err(error) => Err(Failure::text(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(home: &Path) -> Sources {
        let work = home.join("work");
        std::fs::create_dir_all(work.join(OF_PROJECT)).expect("made");
        std::fs::create_dir_all(home.join(".config/tether/templates")).expect("made");
        Sources::gather([("HOME".to_owned(), home.display().to_string())].into(), work)
    }

    fn told(result: Result<Found, Failure>) -> String {
        match result.expect_err("refused") {
            Failure::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_projects_template_comes_first_and_is_known_as_such() {
        let home = tempfile::tempdir().expect("a folder");
        let sources = sources(home.path());
        let own = home.path().join(".config/tether/templates");
        std::fs::write(own.join("a.yaml"), "name: mine\napproval_mode: 2").expect("written");
        std::fs::write(own.join("b.yml"), "adapter: demo").expect("written");
        assert_eq!(find("a", &sources).expect("found").project, None);
        std::fs::write(sources.working_dir.join(OF_PROJECT).join("a.yaml"), "name: theirs").expect("written");
        let found = find("a", &sources).expect("found");
        let work = sources.working_dir.canonicalize().expect("there");
        assert_eq!((found.template.name.as_deref(), found.project), (Some("theirs"), Some(work.clone())));
        assert_eq!(find("b", &sources).expect("found").template.adapter.as_deref(), Some("demo"));
        let by_path = find(".tether/templates/a.yaml", &sources).expect("found");
        assert_eq!(by_path.project, Some(work.clone()));
        std::fs::write(work.join("x.yaml"), "").expect("written");
        assert_eq!(find("./x.yaml", &sources).expect("found").project, Some(work));
        let names: Vec<String> = files(&sources).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_link_out_of_the_own_folder_makes_nothing_ones_own() {
        let home = tempfile::tempdir().expect("a folder");
        let sources = sources(home.path());
        let theirs = sources.working_dir.join("t.yaml");
        std::fs::write(&theirs, "approval_mode: 2").expect("written");
        std::os::unix::fs::symlink(&theirs, home.path().join(".config/tether/templates/t.yaml"))
            .expect("linked");
        assert!(find("t", &sources).expect("found").project.is_some());
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_file() {
        let home = tempfile::tempdir().expect("a folder");
        let sources = sources(home.path());
        for (text, word) in [
            ("approval_mode: 3", "approval_mode"),
            ("approval_mode: all", "a.yaml"),
            ("promt: x", "promt"),
            ("clone_url: x\ndirectory: y", "both"),
            ("- a", "a.yaml"),
        ] {
            std::fs::write(sources.working_dir.join(OF_PROJECT).join("a.yaml"), text).expect("written");
            let said = told(find("a", &sources));
            assert!(said.contains(word) && said.contains("a.yaml") && !said.contains('\n'), "{text}: {said}");
        }
        for typed in ["nothing", "../../etc/passwd", "", "-x", "/dev/null/x.yaml"] {
            assert!(told(find(typed, &sources)).contains("not found"), "{typed}");
        }
    }
}
