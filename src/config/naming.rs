//! Naming a server in `servers.yaml`. A person writes that file by hand, so whatever else stands in it stays as it is:
//! only lines are put in or replaced, and what comes of it is read again before it counts.

use std::path::{Path, PathBuf};

use super::servers::{Servers, Written, check_name};
use super::sources::Sources;
use super::{ConfigError, file, yaml};

/// A daemon that is reached through a port of this machine.
pub struct Server<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The port here that leads to it.
    pub port: u16,
    /// Its token, if it wants one.
    pub token: Option<&'a str>,
    /// The machine, as ssh takes it.
    pub ssh: &'a str,
    /// Who one is there.
    pub user: Option<&'a str>,
}

/// What a file says of a name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Free,
    /// The very same.
    Same,
    /// Something else.
    Taken,
}

impl Server<'_> {
    /// The line that names it, without what goes before it.
    fn line(&self) -> String {
        format!("{}: {}", word(self.name), self.value(self.token.map(quoted).as_deref()))
    }

    fn value(&self, token: Option<&str>) -> String {
        let mut fields = vec!["host: 127.0.0.1".to_owned(), format!("port: {}", self.port)];
        fields.extend(token.map(|token| format!("token: {token}")));
        fields.push(format!("ssh: {}", word(self.ssh)));
        fields.extend(self.user.map(|user| format!("user: {}", word(user))));
        format!("{{{}}}", fields.join(", "))
    }

    /// What a person may put into the file themselves; the token is left to them.
    pub fn by_hand(&self) -> String {
        format!("servers:\n  {}: {}", word(self.name), self.value(Some("...")))
    }

    /// What a file says of its name.
    ///
    /// # Errors
    /// The file is there and cannot be used, or the name is none.
    pub fn standing(&self, sources: &Sources) -> Result<Standing, ConfigError> {
        check_name(self.name).map_err(ConfigError::Conflict)?;
        let servers = Servers::read(sources)?;
        let Some(known) = servers.get(self.name) else { return Ok(Standing::Free) };
        let alone = self.alone().map_err(ConfigError::Conflict)?;
        let same = alone.entry(self.name).is_some_and(|entry| entry == known);
        Ok(if same { Standing::Same } else { Standing::Taken })
    }

    /// Writes it into `servers.yaml`, in the place of what has its name. Answers the file.
    ///
    /// # Errors
    /// The file cannot be written, or is written in a way in which nothing can be put in without losing something.
    pub fn store(&self, sources: &Sources) -> Result<PathBuf, ConfigError> {
        let no_home =
            || ConfigError::Conflict("there is no home folder: set HOME or TETHER_SERVERS_FILE".to_owned());
        let path = Servers::read(sources)?.path.ok_or_else(no_home)?;
        let unwritable =
            |why: &dyn std::fmt::Display| ConfigError::Conflict(format!("{}: {why}", path.display()));
        // A link stays one: what it leads to is replaced.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let text = match std::fs::read_to_string(&real) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unwritable(&error)),
        };
        let text = self.put_into(&text).map_err(|why| unwritable(&why))?;
        let fresh = real.with_extension(format!("{}.new", std::process::id()));
        file::private_folder(real.parent().unwrap_or(Path::new(".")))
            .and_then(|()| file::write_private(&fresh, text.as_bytes()))
            .and_then(|()| std::fs::rename(&fresh, &real))
            .map_err(|error| {
                let _ = std::fs::remove_file(&fresh);
                unwritable(&error)
            })?;
        Ok(path)
    }

    fn alone(&self) -> Result<Written, String> {
        yaml::parse(&format!("servers:\n  {}\n", self.line()))
    }

    /// The text with this server in it, and all else as it was.
    fn put_into(&self, text: &str) -> Result<String, String> {
        let before: Written = yaml::parse(text)?;
        let new = insert(text, self.name, &self.line());
        let as_meant = yaml::parse::<Written>(&new).is_ok_and(|after| {
            let ours = self.alone();
            let is_there = ours.is_ok_and(|ours| after.entry(self.name) == ours.entry(self.name));
            is_there && after.without(self.name) == before.without(self.name)
        });
        as_meant.then_some(new).ok_or_else(|| "nothing can be put in as it is written".to_owned())
    }
}

/// Puts the line below `servers:`, in the place of what has the name there.
fn insert(text: &str, name: &str, line: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_heading = |line: &String| {
        let rest =
            line.strip_prefix("servers:").map(|rest| rest.split(" #").next().unwrap_or_default().trim());
        rest.is_some_and(|rest| rest.is_empty() || matches!(rest, "{}" | "~" | "null"))
    };
    let Some(heading) = lines.iter().position(is_heading) else {
        lines.extend(["servers:".to_owned(), format!("  {line}")]);
        return lines.join("\n") + "\n";
    };
    let below = heading + 1;
    let indent = lines.iter().skip(below).find(|line| says_something(line)).map_or(0, |line| depth(line));
    if indent == 0 {
        // Nobody is named yet.
        if let Some(heading) = lines.get_mut(heading) {
            *heading = "servers:".to_owned();
        }
        lines.insert(below, format!("  {line}"));
        return lines.join("\n") + "\n";
    }
    let names = [name.to_owned(), quoted(name), format!("'{name}'")];
    let is_named =
        |line: &str| depth(line) == indent && names.iter().any(|name| key(line.trim_start(), name));
    let end_of_all = lines.iter().skip(below).position(|line| says_something(line) && depth(line) < indent);
    let end_of_all = end_of_all.map_or(lines.len(), |at| below + at);
    let old = (below..end_of_all).find(|at| lines.get(*at).is_some_and(|line| is_named(line)));
    let range = match old {
        None => below..below,
        Some(start) => {
            let rest = lines.iter().skip(start + 1).take(end_of_all - start - 1);
            start..start + 1 + rest.take_while(|line| !line.trim().is_empty() && depth(line) > indent).count()
        }
    };
    lines.splice(range, [format!("{}{line}", " ".repeat(indent))]);
    lines.join("\n") + "\n"
}

/// Whether a line begins with this key.
fn key(line: &str, name: &str) -> bool {
    line.strip_prefix(name)
        .and_then(|rest| rest.trim_start().strip_prefix(':'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn says_something(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A text as YAML has it: plain where nothing could be meant otherwise.
fn word(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// In double quotes, which are JSON's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "s3cret: \"#{x}";

    fn server(name: &str) -> Server<'_> {
        Server { name, port: 9001, token: Some(TOKEN), ssh: "box", user: Some("me") }
    }

    fn put(text: &str, name: &str) -> Result<String, String> {
        server(name).put_into(text)
    }

    #[test]
    fn what_else_stands_in_the_file_stays_to_the_letter() {
        let text = "# mine\nservers:   # all of them\n    a: {host: x}   # first\n\n    'b':\n        host: y\n        # why\n        \
                    port: 1\n    c: {host: z}\n\n# last\ndefault: a\n";
        let added = put(text, "new").expect("put in");
        let line =
            "    new: {host: 127.0.0.1, port: 9001, token: \"s3cret: \\\"#{x}\", ssh: box, user: me}\n";
        assert_eq!(added, text.replace("all of them\n", &format!("all of them\n{line}")));
        let replaced = put(text, "b").expect("put in");
        let old = "    'b':\n        host: y\n        # why\n        port: 1\n";
        assert_eq!(replaced, text.replace(old, &line.replace("new:", "b:")));
        assert_eq!(put(&added, "new").as_ref(), Ok(&added), "a second time nothing changes");
    }

    #[test]
    fn a_file_that_is_empty_or_names_nobody_gets_the_first() {
        for text in [
            "",
            "# nothing\n",
            "servers:\n",
            "servers: {}\n",
            "default: box\nservers: ~  # none\n",
            "default: box",
        ] {
            let new = put(text, "box").expect(text);
            let written: Written = yaml::parse(&new).expect("it is YAML");
            assert!(written.entry("box").is_some(), "{new}");
            assert_eq!(new.contains("default: box"), text.contains("default"), "{new}");
        }
        for odd in ["5", "on", "a#b", "{x", "\"y", "é"] {
            put("servers:\n  a: {host: x}\n", odd).expect(odd);
        }
    }

    #[test]
    fn what_cannot_be_put_in_without_losing_something_is_refused() {
        for text in [
            "servers: {a: {host: x}}\n",
            "servers: {\n  a: {host: x}}\n",
            "{servers: {a: {host: x}}, default: a}",
            "servers:\n  a: &x {host: y}\n  b: *x\n---\n",
            "servers: &s\n  a: {host: x}\n",
        ] {
            let done = put(text, "new");
            let kept = done.as_ref().is_ok_and(|new| {
                let (new, old): (Result<Written, _>, Result<Written, _>) =
                    (yaml::parse(new), yaml::parse(text));
                new.is_ok_and(|new| old.is_ok_and(|old| new.without("new") == old))
            });
            assert!(done.is_err() || kept, "{text}");
        }
        assert!(put("servers: {a: {host: x}}\n", "new").is_err());
    }
}
