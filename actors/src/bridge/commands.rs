//! What commands do. The same on all platforms.

use std::path::{Path, PathBuf};

use super::actor::Deps;
use super::git;
use super::listing::Listing;
use super::markup::{Doc, bold, code, cut, plain};
use super::platform::{Button, Look};
use super::record::FileSource;
use super::tell::title_of;
use super::typed::{COMMANDS, Command, ListWanted};
use crate::domain::approval::{Actor as By, GrantCover};
use crate::domain::ids::SessionId;
use crate::domain::state::SessionState;
use crate::domain::time::Stamp;
use crate::elsewhere::Filter;
use crate::registry::{Attach, NewSession};
use crate::session::{Bind, Configure, Start};

/// At most so many conversations are listed.
const LISTED: usize = 200;
/// A diff that is longer comes as a file.
const DIFF_SHOWN: usize = 2_500;

/// Who asks, and where.
pub struct Asker {
    /// Who.
    pub by: By,
    /// Whether the settings name them.
    pub listed: bool,
    /// The session whose thread it is.
    pub session: Option<SessionId>,
    /// What they last saw of the list.
    pub listing: Option<Listing>,
}

/// What is answered.
#[derive(Default)]
pub struct Said {
    /// In words.
    pub doc: Doc,
    /// Buttons below it.
    pub buttons: Vec<Vec<Button>>,
    /// A file behind it.
    pub file: Option<FileSource>,
    /// What they see of the list now.
    pub listing: Option<Listing>,
}

impl Said {
    fn words(text: impl AsRef<str>) -> Self {
        Self { doc: Doc::text(text.as_ref()), ..Self::default() }
    }
}

/// Does what a command asks. A refusal is in words.
pub async fn perform(deps: &Deps, command: Command, asker: Asker) -> Said {
    match run(deps, command, asker).await {
        Ok(said) => said,
        Err(words) => Said::words(format!("⚠️ {words}")),
    }
}

async fn run(deps: &Deps, command: Command, asker: Asker) -> Result<Said, String> {
    let prefix = deps.platform.traits().prefix;
    let here = || asker.session.clone().ok_or_else(|| "this works in the thread of a session".to_owned());
    Ok(match command {
        Command::Help => Said { doc: help(prefix), ..Said::default() },
        Command::Unknown(name) => {
            Said::words(format!("There is no {prefix}{name}. {prefix}help shows what there is."))
        }
        Command::Status => status(deps),
        Command::List(wanted) => list(deps, wanted, asker.listing).await?,
        Command::Attach(number, force) => attach(deps, number, force, asker.listing).await?,
        Command::New(words) => new(deps, &words, asker).await?,
        Command::Stop => {
            let session = here()?;
            deps.world.interrupt(&session, asker.by).await.map_err(|error| error.to_string())?;
            Said::words("⏹ Stopping.")
        }
        Command::Usage => usage(deps, &here()?).await?,
        Command::Diff => diff(deps, &here()?).await?,
        Command::Git(wanted) => git::run(deps, wanted, &here()?, asker.listed).await?,
        Command::Approvals => approvals(deps),
        Command::Grants => grants(deps, asker.session.as_ref()).await?,
        Command::Revoke(which) => revoke(deps, &which, &asker).await?,
        Command::Rename(name) => {
            let session = here()?;
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            if name.is_empty() || name.chars().count() > 100 {
                return Err(format!(
                    "give the name behind it, at most 100 characters: {prefix}rename My session"
                ));
            }
            deps.world.rename(&session, name.clone()).await.map_err(|error| error.to_string())?;
            Said::words(format!("It is called {name} now."))
        }
        Command::Model(name) => model(deps, &here()?, name).await?,
        Command::Detach => {
            let bind = Bind { platform: Some(None), ..Bind::default() };
            deps.world.bind(&here()?, bind).await.map_err(|error| error.to_string())?;
            Said::default()
        }
        Command::Sync => {
            let done = deps.world.sync(&here()?, false).await.map_err(|error| error.to_string())?;
            Said::words(format!("{} new messages of {}.", done.synced, done.total))
        }
        // Whoever gets here may act already.
        Command::Pair(_) => Said::words("You may use this bot already."),
    })
}

fn help(prefix: char) -> Doc {
    let mut doc = Doc::default().line([bold("Tether")]);
    for (name, arguments, what) in COMMANDS.iter().filter(|(name, ..)| *name != "start") {
        let space = if arguments.is_empty() { "" } else { " " };
        doc = doc.line([code(format!("{prefix}{name}{space}{arguments}")), plain(format!(" — {what}"))]);
    }
    doc.gap().line([plain("In a session's thread, all else goes to its agent.")]).line([plain(
        "An open question is answered by its buttons, or in words: allow, deny, deny: and why.",
    )])
}

fn status(deps: &Deps) -> Said {
    let sessions = deps.world.read_model().sessions();
    if sessions.is_empty() {
        return Said::words("There are no sessions.");
    }
    let mut doc = Doc::default();
    for session in sessions.iter().filter(|session| !session.archived).rev().take(40) {
        let mark = match session.state {
            _ if session.pending_approvals > 0 => "❓",
            SessionState::Created => "🆕",
            SessionState::Running => "🔄",
            SessionState::AwaitingInput => "📝",
            SessionState::Interrupting => "⏳",
            SessionState::Error => "❌",
        };
        let mut runs = vec![plain(format!("{mark} ")), bold(cut(&title_of(session), 60))];
        if let Some(line) = &session.last_line {
            runs.push(plain(format!(" — {}", cut(line, 80))));
        }
        let ours = session.platform.as_deref() == Some(deps.name());
        if let Some(link) =
            session.platform_thread_id.as_deref().filter(|_| ours).and_then(|id| deps.platform.link(id))
        {
            runs.push(plain(" "));
            let style = super::markup::Style { link: Some(link), ..Default::default() };
            runs.push(super::markup::Run { text: "🧵".to_owned(), style });
        }
        doc = doc.line(runs);
    }
    Said { doc, ..Said::default() }
}

async fn list(deps: &Deps, wanted: ListWanted, seen: Option<Listing>) -> Result<Said, String> {
    let (search, page) = match wanted {
        ListWanted::All => (String::new(), 1),
        ListWanted::Page(page) => (seen.map(|seen| seen.search).unwrap_or_default(), page),
        ListWanted::Search(words) => (words, 1),
    };
    let filter = Filter { runner: None, directories: Vec::new(), limit: Some(LISTED) };
    let mut found = deps.world.elsewhere(filter).await.map_err(|error| error.to_string())?;
    let needle = search.to_lowercase();
    found.retain(|listed| listed.found.directory.to_lowercase().contains(&needle));
    let mut listing = Listing { search, found, page };
    listing.page = page.clamp(1, listing.pages());
    let prefix = deps.platform.traits().prefix;
    let mut doc = listing.doc(Stamp::now());
    if !listing.found.is_empty() {
        doc = doc.gap().line([code(format!("{prefix}attach <number>")), plain(" takes one over.")]);
    }
    Ok(Said { doc, buttons: page_buttons(&listing), file: None, listing: Some(listing) })
}

fn page_buttons(listing: &Listing) -> Vec<Vec<Button>> {
    let button = |label: &str, page: usize| Button {
        label: label.to_owned(),
        data: format!("list.{page}"),
        look: Look::Plain,
    };
    let mut row = Vec::new();
    if listing.page > 1 {
        row.push(button("◀ Newer", listing.page - 1));
    }
    row.push(button("Refresh", listing.page));
    if listing.page < listing.pages() {
        row.push(button("Older ▶", listing.page + 1));
    }
    vec![row]
}

async fn attach(
    deps: &Deps,
    number: Option<usize>,
    force: bool,
    seen: Option<Listing>,
) -> Result<Said, String> {
    let prefix = deps.platform.traits().prefix;
    let number = number.ok_or_else(|| format!("give a number of the list: {prefix}attach 2"))?;
    let seen = seen.ok_or_else(|| format!("look at the list first: {prefix}list"))?;
    let listed = number.checked_sub(1).and_then(|at| seen.found.get(at));
    let found =
        listed.ok_or_else(|| format!("the list has no {number}: look at it again with {prefix}list"))?;
    let found = &found.found;
    let directory = deps.desk.directory(&found.directory).await?;
    let attach = Attach {
        runner: found.runner,
        id: found.id.clone(),
        directory,
        platform: Some(deps.name().to_owned()),
        take_over: force,
    };
    let session = deps.world.attach(attach).await.map_err(|error| error.to_string())?;
    if session.platform.as_deref() != Some(deps.name()) {
        let bind = Bind { platform: Some(Some(deps.name().to_owned())), ..Bind::default() };
        deps.world.bind(&session.id, bind).await.map_err(|error| error.to_string())?;
    }
    Ok(Said::words(format!("🧵 {} is taken over; its thread is here.", title_of(&session))))
}

/// `[agent] [directory]`, in a thread beginning from its session; on the lines below, what is to be done.
async fn new(deps: &Deps, words: &str, asker: Asker) -> Result<Said, String> {
    let (words, prompt) = words.split_once('\n').unwrap_or((words, ""));
    let agents = &deps.world.agent_settings().agents;
    let base = asker.session.as_ref().and_then(|session| deps.world.read_model().session(session));
    let base = base.map(|entry| entry.record.session.clone());
    let (first, rest) = words.trim().split_once(char::is_whitespace).unwrap_or((words.trim(), ""));
    let named = (!first.is_empty()).then(|| agents.entry(Some(first))).flatten();
    let (adapter, directory) = match named {
        Some(entry) => (Some(entry.adapter.clone()), rest.trim()),
        None => (base.as_ref().and_then(|base| base.adapter.clone()), words.trim()),
    };
    let prefix = deps.platform.traits().prefix;
    let directory = match (directory.is_empty(), &base) {
        (true, Some(base)) => deps.desk.directory(&base.directory).await?,
        (true, None) => {
            let names = agents.names().collect::<Vec<_>>().join(", ");
            return Err(format!(
                "give a directory: {prefix}new ~/project, or {prefix}new <agent> ~/project ({names})"
            ));
        }
        (false, base) => {
            find_directory(deps, directory, base.as_ref().map(|base| base.directory.as_str())).await?
        }
    };
    let new = NewSession {
        directory: Some(directory),
        adapter,
        platform: Some(deps.name().to_owned()),
        ..NewSession::default()
    };
    let session = deps.world.create(new).await.map_err(|error| error.to_string())?;
    let title = title_of(&session);
    if prompt.trim().is_empty() {
        return Ok(Said::words(format!("🧵 {title} is there: write in its thread what is to be done.")));
    }
    let start =
        Start { prompt: prompt.trim().to_owned(), images: Vec::new(), approval_choice: None, by: asker.by };
    deps.world.start(&session.id, start).await.map_err(|error| error.to_string())?;
    Ok(Said::words(format!("🧵 {title} is there, and at work in its thread.")))
}

/// A bare word is looked for beside the base, then in the home folder; all else is a path.
async fn find_directory(deps: &Deps, words: &str, base: Option<&str>) -> Result<PathBuf, String> {
    if words.contains('/') || words.starts_with(['~', '.']) {
        return deps.desk.directory(words).await;
    }
    let beside = base.and_then(|base| Path::new(base).parent()).map(|parent| parent.join(words));
    if let Some(beside) = beside
        && let Ok(found) = deps.desk.directory(&beside.to_string_lossy()).await
    {
        return Ok(found);
    }
    deps.desk.directory(&format!("~/{words}")).await.map_err(|_| format!("there is no folder {words} here"))
}

async fn model(deps: &Deps, session: &SessionId, name: String) -> Result<Said, String> {
    if name.is_empty() {
        let details = deps.world.details(session).await.map_err(|error| error.to_string())?;
        let model = details.model.unwrap_or_else(|| "the agent's own choice".to_owned());
        return Ok(Said { doc: Doc::default().line([plain("Model: "), bold(model)]), ..Said::default() });
    }
    if name.chars().count() > 120 || name.contains(char::is_whitespace) {
        return Err("a model's name is one word".to_owned());
    }
    let model = Some(Some(name.clone()));
    let configure = Configure { model, ..Configure::default() };
    deps.world.configure(session, configure).await.map_err(|error| error.to_string())?;
    Ok(Said {
        doc: Doc::default().line([plain("Its model is "), bold(name), plain(" from now on.")]),
        ..Said::default()
    })
}

async fn usage(deps: &Deps, session: &SessionId) -> Result<Said, String> {
    let details = deps.world.details(session).await.map_err(|error| error.to_string())?;
    let usage = details.usage.rounded();
    if usage.input_tokens + usage.output_tokens == 0 {
        return Ok(Said::words("Nothing was told of what it used."));
    }
    let doc = Doc::default()
        .line([plain("In: "), bold(thousands(usage.input_tokens)), plain(" tokens")])
        .line([plain("Out: "), bold(thousands(usage.output_tokens)), plain(" tokens")])
        .line([plain("Cost: "), bold(format!("${:.4}", usage.total_cost_usd))]);
    Ok(Said { doc, ..Said::default() })
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

async fn diff(deps: &Deps, session: &SessionId) -> Result<Said, String> {
    let diff = git::diff(deps, session).await?;
    if diff.trim().is_empty() {
        return Ok(Said::words("Nothing is changed."));
    }
    let files = diff.lines().filter(|line| line.starts_with("diff --git ")).count();
    let added = diff.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++")).count();
    let taken = diff.lines().filter(|line| line.starts_with('-') && !line.starts_with("---")).count();
    let mut doc = Doc::default().line([bold(format!("{files} files, +{added} −{taken}"))]);
    let mut file = None;
    if diff.chars().count() <= DIFF_SHOWN {
        doc = doc.pre("diff", &diff);
    } else {
        for name in diff.lines().filter_map(|line| line.strip_prefix("+++ b/")).take(30) {
            doc = doc.line([code(cut(name, 100))]);
        }
        // What lies in the outbox is kept in the log, so there is a limit to it.
        let text: String = diff.chars().take(400_000).collect();
        file = Some(FileSource::Text { name: "changes.diff".to_owned(), text });
    }
    Ok(Said { doc, file, ..Said::default() })
}

fn approvals(deps: &Deps) -> Said {
    let open = deps.world.read_model().open_approvals();
    if open.is_empty() {
        return Said::words("Nothing is asked just now.");
    }
    let mut doc = Doc::default().line([bold(format!("{} open", open.len()))]);
    for approval in open.iter().take(20) {
        let entry = deps.world.read_model().session(&approval.session_id);
        let of = entry.map(|entry| title_of(&entry.record.session)).unwrap_or_default();
        doc = doc.line([
            plain("• "),
            bold(cut(&of, 40)),
            plain(format!(": {}", super::cards::in_a_line(approval))),
        ]);
    }
    Said { doc: doc.line([plain("Each is answered in its session's thread.")]), ..Said::default() }
}

async fn grants(deps: &Deps, session: Option<&SessionId>) -> Result<Said, String> {
    let grants = deps.world.grants(session).await.map_err(|error| error.to_string())?;
    if grants.is_empty() {
        return Ok(Said::words("There are no standing permissions."));
    }
    let mut doc = Doc::default();
    for (at, grant) in grants.iter().enumerate() {
        let covers = match &grant.cover {
            GrantCover::Tool { tool_name } => format!("every {tool_name}"),
            GrantCover::All => "everything".to_owned(),
            GrantCover::Directory { path } => format!("file changes below {path}"),
        };
        let until = grant.expires_at.map_or_else(|| "with the session".to_owned(), |end| end.to_string());
        let entry = deps.world.read_model().session(&grant.session_id);
        let of = entry.map(|entry| title_of(&entry.record.session)).unwrap_or_default();
        doc = doc.line([
            plain(format!("{}. ", at + 1)),
            bold(cut(&covers, 100)),
            plain(format!(" in {}, ends {until}, by {} ", cut(&of, 40), grant.created_by)),
            code(grant.id.to_string()),
        ]);
    }
    let prefix = deps.platform.traits().prefix;
    Ok(Said { doc: doc.line([code(format!("{prefix}revoke <id>")), plain(" ends one.")]), ..Said::default() })
}

async fn revoke(deps: &Deps, which: &str, asker: &Asker) -> Result<Said, String> {
    let grants = deps.world.grants(asker.session.as_ref()).await.map_err(|error| error.to_string())?;
    let by_number = which.parse::<usize>().ok().and_then(|number| grants.get(number.checked_sub(1)?));
    let found = grants.iter().find(|grant| grant.id.as_str() == which).or(by_number);
    let prefix = deps.platform.traits().prefix;
    let grant = found.ok_or_else(|| format!("there is no such permission: {prefix}grants lists them"))?;
    deps.world.revoke_grant(&grant.id, asker.by.clone()).await.map_err(|error| error.to_string())?;
    Ok(Said::words("It is ended: such requests are asked again."))
}
