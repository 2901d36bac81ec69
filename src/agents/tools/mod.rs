//! The tools of our agents. Each is planned first (what would happen, in words and as a diff), and only then carried out, with the
//! person's leave where it needs one.

mod bounds;
mod diff;
mod files;
mod find;
mod paths;
pub mod perform;
mod shell;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Where tools work.
#[derive(Clone, Debug)]
pub struct Place {
    /// The session's directory, absolute and without links.
    pub directory: PathBuf,
    /// Environment variables that a command does not get.
    pub secrets: Vec<&'static str>,
}

/// What a call would do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One line for people.
    pub title: String,
    /// The protocol's word for it (`read`, `edit`, `search`, `execute`).
    pub kind: &'static str,
    /// The input as it is understood, paths whole.
    pub input: Value,
    /// The files that it is about.
    pub locations: Vec<PathBuf>,
    /// What would change, as the protocol's diffs.
    pub diffs: Vec<Value>,
    /// Whether the person is asked.
    pub asks: bool,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Read { path: PathBuf, first: usize, lines: usize },
    List { path: PathBuf, depth: usize },
    Search(find::Search),
    Change(files::Change),
    Run(shell::Run),
}

/// What came of a call, for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The words.
    pub text: String,
    /// Whether it did what was asked.
    pub ok: bool,
}

impl Outcome {
    /// It worked, and gave this.
    pub fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), ok: true }
    }

    /// It did not work, and this is why.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), ok: false }
    }
}

/// Plans a call. `Err` is for the model: there is no such tool, or the input does not fit.
pub fn plan(place: &Place, name: &str, arguments: &str, planning: bool) -> Result<Plan, String> {
    let call: Value = serde_json::from_str(arguments)
        .map_err(|error| format!("the input is no JSON ({error}); was the answer cut off?"))?;
    if planning && matches!(name, "write" | "edit" | "shell") {
        return Err(format!("`{name}` is not there while only planning is wanted"));
    }
    match name {
        "read" => files::plan_read(place, &call),
        "write" => files::plan_write(place, &call),
        "edit" => files::plan_edit(place, &call),
        "list" => find::plan_list(place, &call),
        "search" => find::plan_search(place, &call),
        "shell" => shell::plan(place, &call),
        other => Err(format!(
            "there is no tool `{other}`; there are read, write, edit, list, search, shell and ask_user"
        )),
    }
}

impl Plan {
    /// Whether it changes nothing, so that several may be carried out side by side.
    pub fn only_looks(&self) -> bool {
        !matches!(self.action, Action::Change(_) | Action::Run(_))
    }

    /// Does it. The leave must have been given.
    pub async fn carry_out(self, place: &Place, cancel: &CancellationToken) -> Outcome {
        let stop = cancel.clone();
        let looked = match self.action {
            Action::Run(run) => return shell::run(place, &run, cancel).await,
            Action::Change(change) => return files::change(place, &change),
            Action::Read { path, first, lines } => {
                tokio::task::spawn_blocking(move || files::read(&path, first, lines))
            }
            Action::List { path, depth } => {
                tokio::task::spawn_blocking(move || find::list(&path, depth, &stop))
            }
            Action::Search(search) => tokio::task::spawn_blocking(move || find::search(&search, &stop)),
        };
        looked.await.unwrap_or_else(|error| Outcome::failed(format!("it failed: {error}")))
    }
}

/// A call's input as what it is to be.
fn input<T: DeserializeOwned>(call: &Value) -> Result<T, String> {
    T::deserialize(call).map_err(|error| format!("the input does not fit: {error}"))
}

/// The tools as a model is told of them.
pub fn offered(planning: bool) -> Value {
    let path = json!({ "type": "string", "description": "Path, absolute or from the working directory on" });
    let tool = |name: &str, description: &str, properties: Value, required: &[&str]| {
        json!({ "type": "function", "function": {
            "name": name,
            "description": description,
            "parameters": { "type": "object", "properties": properties, "required": required },
        } })
    };
    let mut tools = vec![
        tool(
            "read",
            "Read a text file. Gives at most 2000 lines; use offset to go on.",
            json!({
                "path": path,
                "offset": { "type": "integer", "description": "First line, from 1" },
                "limit": { "type": "integer", "description": "How many lines" },
            }),
            &["path"],
        ),
        tool(
            "list",
            "List what lies in a folder. What .gitignore hides is left out.",
            json!({ "path": path, "depth": { "type": "integer", "description": "How deep; 1 = only the folder itself" } }),
            &[],
        ),
        tool(
            "search",
            "Search files for lines that match a regular expression (Rust syntax). What .gitignore hides is left out.",
            json!({
                "pattern": { "type": "string", "description": "The regular expression" },
                "path": path,
                "glob": { "type": "string", "description": "Only files like this: *.rs, src/**/*.ts" },
                "ignore_case": { "type": "boolean" },
                "files_only": { "type": "boolean", "description": "Give only the names of the files" },
            }),
            &["pattern"],
        ),
    ];
    if !planning {
        tools.extend([
            tool(
                "write",
                "Write a whole file, a new one or in the place of an old one. The person is asked first.",
                json!({ "path": path, "content": { "type": "string" } }),
                &["path", "content"],
            ),
            tool(
                "edit",
                "Replace a text in a file. old_text must be exactly as in the file, with all blanks and line ends, and occur \
                 once unless `all` is set. The person is asked first.",
                json!({
                    "path": path,
                    "old_text": { "type": "string" },
                    "new_text": { "type": "string" },
                    "all": { "type": "boolean", "description": "Replace it wherever it occurs" },
                }),
                &["path", "old_text", "new_text"],
            ),
            tool(
                "shell",
                "Run a command with bash in the working directory, without input and without a terminal. Processes that it \
                 leaves in the background are ended with it. The person is asked first.",
                json!({
                    "command": { "type": "string" },
                    "timeout_seconds": { "type": "number", "description": "It is ended after this; 120 if not given" },
                }),
                &["command"],
            ),
        ]);
    }
    Value::Array(tools)
}

/// One line for a call of the past, of which only the input is known.
pub fn title(name: &str, input: &Value) -> String {
    let about =
        ["command", "path", "file_path", "pattern", "question"].iter().find_map(|key| input[*key].as_str());
    match about {
        Some(about) if name == "shell" => bounds::one_line(about),
        Some(about) => bounds::one_line(&format!("{name} {about}")),
        None => name.to_owned(),
    }
}

/// The protocol's word for what a tool does.
pub fn kind(name: &str) -> &'static str {
    match name {
        "read" | "list" => "read",
        "write" | "edit" => "edit",
        "search" => "search",
        "shell" => "execute",
        _ => "other",
    }
}
