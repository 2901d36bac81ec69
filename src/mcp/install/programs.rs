//! The programs that use MCP servers: where each keeps them, and in what form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Launch, json, toml};

/// So long a program shall wait for a tool, in seconds, where its file can say so: a person may take long to answer.
const PATIENCE: u64 = 24 * 3600;

/// Where a person's settings lie.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// The project whose file is meant, in place of the person's own.
    pub project: Option<PathBuf>,
    /// Whether applications keep their settings as macOS has it.
    pub is_mac: bool,
}

impl Places {
    fn home(&self) -> Result<&Path, String> {
        self.home.as_deref().ok_or_else(|| "no home folder is known (set HOME)".to_owned())
    }

    /// A folder that a variable names, or else this one below the home folder.
    fn named(&self, variable: &str, usual: &str) -> Result<PathBuf, String> {
        match self.environment.get(variable).filter(|value| !value.is_empty()) {
            Some(folder) => Ok(folder.into()),
            None => Ok(self.home()?.join(usual)),
        }
    }

    /// Where desktop applications keep their settings.
    fn applications(&self) -> Result<PathBuf, String> {
        match self.is_mac {
            true => Ok(self.home()?.join("Library/Application Support")),
            false => self.named("XDG_CONFIG_HOME", ".config"),
        }
    }
}

/// A program that uses MCP servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    /// Claude Code
    Claude,
    /// Claude Desktop
    ClaudeDesktop,
    /// Codex CLI
    Codex,
    /// OpenCode
    Opencode,
    /// Pi, with its extension pi-mcp-adapter
    Pi,
    /// Gemini CLI
    Gemini,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    Vscode,
    /// Windsurf
    Windsurf,
    /// Zed
    Zed,
}

impl Program {
    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Claude => "Claude Code",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::Codex => "Codex CLI",
            Self::Opencode => "OpenCode",
            Self::Pi => "Pi",
            Self::Gemini => "Gemini CLI",
            Self::Cursor => "Cursor",
            Self::Vscode => "Visual Studio Code",
            Self::Windsurf => "Windsurf",
            Self::Zed => "Zed",
        }
    }

    /// What else to do so that it takes effect.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Pi => {
                "Pi has no MCP of its own: install its extension once with `pi install npm:pi-mcp-adapter`, then start Pi again."
            }
            Self::Gemini => {
                "It counts for sessions that you start from now on, in folders that Gemini trusts."
            }
            Self::Claude | Self::Codex | Self::Opencode => {
                "It counts for sessions that you start from now on."
            }
            Self::ClaudeDesktop | Self::Cursor | Self::Vscode | Self::Windsurf | Self::Zed => {
                "Start it again, if it runs, so that it reads the file."
            }
        }
    }

    /// The file.
    pub(super) fn file(self, places: &Places) -> Result<PathBuf, String> {
        if let Some(project) = &places.project {
            return self.project_file().map(|file| project.join(file));
        }
        Ok(match self {
            // With its own variable set, Claude Code keeps this file in that folder, else beside `~/.claude`.
            Self::Claude => places.named("CLAUDE_CONFIG_DIR", "")?.join(".claude.json"),
            Self::ClaudeDesktop => places.applications()?.join("Claude/claude_desktop_config.json"),
            Self::Codex => places.named("CODEX_HOME", ".codex")?.join("config.toml"),
            Self::Opencode => {
                let folder = places.named("XDG_CONFIG_HOME", ".config")?.join("opencode");
                let with_comments = folder.join("opencode.jsonc");
                if with_comments.exists() { with_comments } else { folder.join("opencode.json") }
            }
            Self::Pi => places.named("PI_CODING_AGENT_DIR", ".pi/agent")?.join("mcp.json"),
            Self::Gemini => places.home()?.join(".gemini/settings.json"),
            Self::Cursor => places.home()?.join(".cursor/mcp.json"),
            Self::Vscode => places.applications()?.join("Code/User/mcp.json"),
            Self::Windsurf => places.home()?.join(".codeium/windsurf/mcp_config.json"),
            Self::Zed => match places.is_mac {
                true => places.home()?.join(".config/zed/settings.json"),
                false => places.applications()?.join("zed/settings.json"),
            },
        })
    }

    fn project_file(self) -> Result<&'static str, String> {
        match self {
            Self::Claude => Ok(".mcp.json"),
            Self::Codex => Ok(".codex/config.toml"),
            Self::Opencode => Ok("opencode.json"),
            Self::Pi => Ok(".pi/mcp.json"),
            Self::Gemini => Ok(".gemini/settings.json"),
            Self::Cursor => Ok(".cursor/mcp.json"),
            Self::Vscode => Ok(".vscode/mcp.json"),
            Self::Zed => Ok(".zed/settings.json"),
            Self::ClaudeDesktop | Self::Windsurf => {
                Err("it knows no servers of single projects (leave --project out)".to_owned())
            }
        }
    }

    /// Under which key the servers lie.
    fn within(self) -> &'static str {
        match self {
            Self::Codex => "mcp_servers",
            Self::Opencode => "mcp",
            Self::Vscode => "servers",
            Self::Zed => "context_servers",
            Self::Claude | Self::ClaudeDesktop | Self::Pi | Self::Gemini | Self::Cursor | Self::Windsurf => {
                "mcpServers"
            }
        }
    }

    /// What it takes for a server.
    pub(super) fn entry(self, launch: &Launch) -> Value {
        let mut entry = Map::new();
        let mut set = |name: &str, value: Value| {
            entry.insert(name.to_owned(), value);
        };
        match self {
            Self::Claude | Self::Vscode => set("type", "stdio".into()),
            Self::Opencode => set("type", "local".into()),
            Self::Zed => set("source", "custom".into()),
            _ => {}
        }
        if self == Self::Opencode {
            let words = std::iter::once(&launch.command).chain(&launch.args);
            set("command", words.map(String::as_str).collect());
        } else {
            set("command", launch.command.as_str().into());
            set("args", launch.args.iter().map(String::as_str).collect());
        }
        if !launch.env.is_empty() {
            set(if self == Self::Opencode { "environment" } else { "env" }, json!(launch.env));
        }
        match self {
            Self::Codex => set("tool_timeout_sec", PATIENCE.into()),
            Self::Opencode => {
                set("enabled", true.into());
                set("timeout", (PATIENCE * 1000).into());
            }
            Self::Gemini => set("timeout", (PATIENCE * 1000).into()),
            _ => {}
        }
        Value::Object(entry)
    }

    /// The entry of this name in a file's text.
    pub(super) fn look(self, text: &str, name: &str) -> Result<Option<Value>, String> {
        match self {
            Self::Codex => toml::look(text, self.within(), name),
            _ => json::look(text, self.within(), name),
        }
    }

    /// The text with the entry set, or taken out.
    pub(super) fn edit(self, text: &str, name: &str, entry: Option<&Value>) -> Result<String, String> {
        match self {
            Self::Codex => toml::edit(text, self.within(), name, entry),
            _ => json::edit(text, self.within(), name, entry),
        }
    }
}
