//! What people type: commands, and answers to approvals. One parser for all platforms.

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What there is.
    Help,
    /// The sessions.
    Status,
    /// Conversations elsewhere: a page, or a search.
    List(ListWanted),
    /// Take the n-th of the last list over; with `force`, from the program that has it open.
    Attach(Option<usize>, bool),
    /// A new session: the words behind it.
    New(String),
    /// Stop the turn.
    Stop,
    /// Tokens and money.
    Usage,
    /// What changed in the directory.
    Diff,
    /// The session's repository.
    Git(GitWanted),
    /// The open approvals.
    Approvals,
    /// The standing permissions.
    Grants,
    /// End one.
    Revoke(String),
    /// Another name.
    Rename(String),
    /// Another model; empty = which it is.
    Model(String),
    /// No thread any more.
    Detach,
    /// Use a code.
    Pair(String),
    /// What a session's own program wrote.
    Sync,
    /// None that we know.
    Unknown(String),
}

/// What is to be done with the repository of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitWanted {
    /// How it stands.
    Status,
    /// So many of the newest commits.
    Log(usize),
    /// Commit all with this message.
    Commit(String),
    /// Push the branch.
    Push,
    /// A new branch of this name.
    Branch(String),
    /// Another branch.
    Checkout(String),
    /// Ask for the branch to be merged.
    Request {
        /// Its title.
        title: String,
        /// Whether it is not ready yet.
        draft: bool,
    },
    /// None that we know.
    Unknown,
}

impl GitWanted {
    /// Of a word and what stands behind it.
    fn named(name: &str, argument: &str) -> Option<Self> {
        let own = || argument.to_owned();
        Some(match name {
            "" | "status" => Self::Status,
            "log" => Self::Log(argument.parse().unwrap_or(10)),
            "commit" => Self::Commit(own()),
            "push" => Self::Push,
            "branch" => Self::Branch(own()),
            "checkout" | "switch" => Self::Checkout(own()),
            "pr" | "mr" => {
                let draft = argument.split_whitespace().any(|word| word == "--draft");
                Self::Request { title: argument.replace("--draft", "").trim().to_owned(), draft }
            }
            _ => return None,
        })
    }

    /// Whether something is changed by it, here or elsewhere.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Status | Self::Log(_) | Self::Unknown)
    }
}

/// What of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListWanted {
    /// All of it, from the start.
    All,
    /// A page of what was searched for last, from 1.
    Page(usize),
    /// What has these words in its directory.
    Search(String),
}

/// The commands with what they do, for help texts and for platforms where they are registered.
pub const COMMANDS: [(&str, &str, &str); 24] = [
    ("status", "", "sessions and what they do"),
    ("list", "[page or search]", "conversations on this machine that can be taken over"),
    ("attach", "number [force]", "take over the n-th of the list"),
    ("new", "[agent] [directory]", "a new session"),
    ("stop", "", "stop the running turn"),
    ("usage", "", "tokens and cost"),
    ("diff", "", "what changed in the directory"),
    ("git", "[status, log, commit …]", "how the repository stands"),
    ("log", "[how many]", "the newest commits"),
    ("commit", "message", "commit all that changed"),
    ("push", "", "push the branch"),
    ("branch", "name", "a new branch"),
    ("checkout", "branch", "another branch"),
    ("pr", "title [--draft]", "push, and ask for the branch to be merged"),
    ("approvals", "", "open questions"),
    ("grants", "", "standing permissions"),
    ("revoke", "number or id", "end a standing permission"),
    ("rename", "name", "give the session another name"),
    ("model", "[name]", "which model the session has, or another one"),
    ("sync", "", "bring in what was written elsewhere"),
    ("detach", "", "stop showing the session here"),
    ("pair", "code", "be allowed to use this bot"),
    ("help", "", "this list"),
    ("start", "", "this list"),
];

/// The command in a text; `None` = it is none. A bot's name behind the word (`/stop@mybot`) is taken off.
pub fn command(text: &str, prefix: char) -> Option<Command> {
    let rest = text.trim_start().strip_prefix(prefix)?;
    let word = rest.split_whitespace().next().unwrap_or_default();
    // `/home/x is where it lies` and `!!` are words to the agent.
    let name = word.split('@').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if !is_name || !rest.starts_with(word) {
        return None;
    }
    let argument = rest.get(word.len()..).unwrap_or_default().trim();
    Some(named(name, argument))
}

/// The command of a name and what stands behind it.
pub fn named(name: &str, argument: &str) -> Command {
    let argument = argument.trim();
    let own = || argument.to_owned();
    match name.to_ascii_lowercase().replace('-', "_").as_str() {
        "help" | "start" => Command::Help,
        "list" if argument.is_empty() => Command::List(ListWanted::All),
        "list" => Command::List(match argument.parse() {
            Ok(page) => ListWanted::Page(page),
            Err(_) => ListWanted::Search(own()),
        }),
        "attach" => {
            let mut words = argument.split_whitespace();
            let number = words.next().and_then(|word| word.trim_end_matches('.').parse().ok());
            Command::Attach(number, words.next().is_some_and(|word| word.eq_ignore_ascii_case("force")))
        }
        "new" => Command::New(own()),
        "stop" | "interrupt" => Command::Stop,
        "usage" => Command::Usage,
        "diff" => Command::Diff,
        "git" => {
            let (name, argument) = argument.split_once(char::is_whitespace).unwrap_or((argument, ""));
            match name.to_ascii_lowercase().as_str() {
                "diff" => Command::Diff,
                name => Command::Git(GitWanted::named(name, argument.trim()).unwrap_or(GitWanted::Unknown)),
            }
        }
        "approvals" => Command::Approvals,
        "grants" => Command::Grants,
        "revoke" => Command::Revoke(own()),
        "rename" => Command::Rename(own()),
        "model" => Command::Model(own()),
        "detach" | "unbind" => Command::Detach,
        "sync" => Command::Sync,
        "pair" | "setup" => Command::Pair(own()),
        "status" | "sessions" => Command::Status,
        other => match GitWanted::named(other, argument) {
            Some(wanted) => Command::Git(wanted),
            None => Command::Unknown(other.to_owned()),
        },
    }
}

/// A typed answer to an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Yes, this once.
    Allow,
    /// Yes, and this tool for 30 minutes.
    AllowTool,
    /// Yes, and all for 30 minutes.
    AllowAll,
    /// Yes, and this directory for 30 minutes.
    AllowDirectory,
    /// No, with a reason if one was given.
    Deny(Option<String>),
}

/// The answer that a text is, and nothing else: exact words, so that nobody allows by "ok, and then ...".
pub fn answer(text: &str) -> Option<Typed> {
    let text = text.trim();
    let words = text.trim_end_matches(['.', '!']).to_ascii_lowercase();
    match words.as_str() {
        "allow" | "yes" | "approve" => return Some(Typed::Allow),
        "allow tool" => return Some(Typed::AllowTool),
        "allow all" => return Some(Typed::AllowAll),
        "allow dir" | "allow directory" => return Some(Typed::AllowDirectory),
        "deny" | "no" | "reject" => return Some(Typed::Deny(None)),
        _ => {}
    }
    let (head, reason) = text.split_once(':')?;
    let reason = reason.trim();
    let denies = matches!(head.trim().to_ascii_lowercase().as_str(), "deny" | "no" | "reject");
    (denies && !reason.is_empty()).then(|| Typed::Deny(Some(reason.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_apart_the_same_on_all_platforms() {
        for (text, expected) in [
            ("/status", Command::Status),
            ("/STOP@my_bot", Command::Stop),
            ("/list", Command::List(ListWanted::All)),
            ("/list 2", Command::List(ListWanted::Page(2))),
            ("/list my app", Command::List(ListWanted::Search("my app".into()))),
            ("/attach 3 force", Command::Attach(Some(3), true)),
            ("/attach", Command::Attach(None, false)),
            ("/new  claude ~/x", Command::New("claude ~/x".into())),
            ("/rename a b", Command::Rename("a b".into())),
            ("/git", Command::Git(GitWanted::Status)),
            ("/git log 3", Command::Git(GitWanted::Log(3))),
            ("/git diff", Command::Diff),
            ("/git rebase", Command::Git(GitWanted::Unknown)),
            ("/commit Mend it\n\nat last", Command::Git(GitWanted::Commit("Mend it\n\nat last".into()))),
            (
                "/pr Mend it --draft",
                Command::Git(GitWanted::Request { title: "Mend it".into(), draft: true }),
            ),
            ("/dance", Command::Unknown("dance".into())),
        ] {
            assert_eq!(command(text, '/'), Some(expected), "{text}");
        }
        assert_eq!(command("!stop", '!'), Some(Command::Stop));
        for text in ["stop", "/home/x/y is it", "/", "//x", "! stop", "/ stop"] {
            assert_eq!(command(text, '/'), None, "{text}");
        }
    }

    #[test]
    fn every_command_of_the_list_is_known() {
        for (name, _, _) in COMMANDS {
            assert!(!matches!(named(name, "x"), Command::Unknown(_)), "{name}");
        }
    }

    #[test]
    fn only_exact_words_are_an_answer() {
        for (text, expected) in [
            ("allow", Typed::Allow),
            (" Yes. ", Typed::Allow),
            ("ALLOW ALL", Typed::AllowAll),
            ("allow tool", Typed::AllowTool),
            ("allow dir", Typed::AllowDirectory),
            ("no", Typed::Deny(None)),
            ("deny: not on a Friday: no", Typed::Deny(Some("not on a Friday: no".into()))),
        ] {
            assert_eq!(answer(text), Some(expected), "{text}");
        }
        let not = [
            "ok",
            "go",
            "start",
            "allow me to explain",
            "yes please",
            "no, use the other",
            "allow bash",
            "yes: do",
            "",
        ];
        for text in not {
            assert_eq!(answer(text), None, "{text}");
        }
    }
}
