//! What a repository's own configuration may say, before we write with it.
//!
//! `.git/config` is a file like any other to an agent that works there, or to whoever packed the folder. git runs
//! programs that it names (filters, credential helpers, signing programs, transports) and follows where it points
//! (proxies, rewritten addresses, switched off certificates), with the person's own credentials. Reading switches those
//! off that could be met. Writing in a directory that nobody said to trust goes on only if every setting of the
//! repository's own is known to be harmless, or is overruled by us; otherwise it is refused, with the names.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// A setting as `git config --list --show-scope -z` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whether it is the person's (`system`, `global`), not the repository's.
    pub of_person: bool,
    /// Its name; the first and the last part are in small letters.
    pub name: Vec<u8>,
    /// Its value; `None` = it has none, which means yes.
    pub value: Option<Vec<u8>>,
}

impl Setting {
    /// Its name for people.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }
}

/// Reads the listing: scope, NUL, name, line feed, value, NUL.
pub fn parse(listing: &[u8]) -> Vec<Setting> {
    let fields: Vec<&[u8]> = listing.split(|b| *b == 0).collect();
    let settings = fields.chunks_exact(2).filter_map(|pair| {
        let [scope, setting] = pair else { return None };
        if *scope == b"command" {
            return None;
        }
        let mut parts = setting.splitn(2, |b| *b == b'\n');
        let name = parts.next()?.to_vec();
        let value = parts.next().map(<[u8]>::to_vec);
        Some(Setting { of_person: matches!(*scope, b"system" | b"global"), name, value })
    });
    settings.collect()
}

/// The person's own last word on a setting.
pub fn of_person(settings: &[Setting], name: &str) -> Option<OsString> {
    value(settings.iter().filter(|setting| setting.of_person), name)
}

/// The last word on a setting, whoever said it.
pub fn of_anybody(settings: &[Setting], name: &str) -> Option<OsString> {
    value(settings.iter(), name)
}

fn value<'a>(settings: impl Iterator<Item = &'a Setting>, name: &str) -> Option<OsString> {
    let found = settings.filter(|setting| setting.is(name)).last()?;
    found.value.clone().filter(|value| !value.is_empty()).map(OsString::from_vec)
}

/// Switches off the content filters that the repository itself (not the person) configures. They are programs, and
/// git runs them on changed files even to compare them.
pub fn disarmed(settings: &[Setting]) -> Vec<(OsString, OsString)> {
    let mut off: Vec<(OsString, OsString)> = settings
        .iter()
        .filter(|setting| !setting.of_person && setting.name.starts_with(b"filter."))
        .filter_map(|setting| {
            let value = match setting.name.rsplit(|b| *b == b'.').next()? {
                b"clean" | b"smudge" | b"process" => "",
                b"required" => "false",
                _ => return None,
            };
            Some((OsString::from_vec(setting.name.clone()), value.into()))
        })
        .collect();
    off.sort();
    off.dedup();
    off
}

/// The settings of the repository's own that could make git run something, or send something elsewhere.
pub fn doubtful(settings: &[Setting]) -> Vec<String> {
    let mut names: Vec<String> = settings
        .iter()
        .filter(|setting| !setting.of_person && !is_harmless(setting))
        .map(Setting::shown)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Sections of which nothing is run and nothing is followed by what we do.
const HARMLESS: &[&str] = &[
    "advice",
    "alias",
    "apply",
    "blame",
    "branch",
    "color",
    "column",
    "commit",
    "diff",
    "feature",
    "format",
    "gc",
    "gui",
    "help",
    "i18n",
    "include",
    "includeif",
    "index",
    "init",
    "interactive",
    "log",
    "maintenance",
    "notes",
    "pack",
    "pager",
    "pull",
    "rebase",
    "receive",
    "repack",
    "rerere",
    "stash",
    "status",
    "tag",
    "transfer",
    "user",
    "versionsort",
    "worktree",
];

/// Settings of other sections, without their middle part.
const HARMLESS_NAMES: &[(&str, &[&str])] = &[
    (
        "core",
        &[
            // Overruled by us.
            "askpass",
            "editor",
            "fsmonitor",
            "hookspath",
            "pager",
            "quotepath",
            "sshcommand",
            "abbrev",
            "autocrlf",
            "bare",
            "bigfilethreshold",
            "checkstat",
            "commentchar",
            "commitgraph",
            "compression",
            "eol",
            "filemode",
            "ignorecase",
            "logallrefupdates",
            "longpaths",
            "multipackindex",
            "precomposeunicode",
            "preloadindex",
            "protecthfs",
            "protectntfs",
            "repositoryformatversion",
            "safecrlf",
            "sharedrepository",
            "sparsecheckout",
            "sparsecheckoutcone",
            "splitindex",
            "symlinks",
            "trustctime",
            "untrackedcache",
        ],
    ),
    (
        "extensions",
        &[
            "compatobjectformat",
            "noop",
            "objectformat",
            "partialclone",
            "preciousobjects",
            "refstorage",
            "relativeworktrees",
            "worktreeconfig",
        ],
    ),
    ("fetch", &["fsckobjects", "parallel", "prune", "prunetags", "showforcedupdates", "writecommitgraph"]),
    ("gpg", &["format", "mintrustlevel"]),
    ("lfs", &["access", "locksverify", "repositoryformatversion"]),
    ("merge", &["conflictstyle", "ff", "log", "renamelimit", "renames", "stat", "tool", "verifysignatures"]),
    ("push", &["autosetupremote", "default", "followtags", "useforceifincludes"]),
    (
        "remote",
        &[
            "fetch",
            "gh-resolved",
            "mirror",
            "partialclonefilter",
            "promisor",
            "prune",
            "prunetags",
            "push",
            "pushdefault",
            "pushurl",
            "skipdefaultupdate",
            "skipfetchall",
            "tagopt",
            "url",
        ],
    ),
    ("submodule", &["active", "branch", "ignore", "url"]),
];

/// What `git lfs install --local` writes: the person's own program.
const LFS: &[(&str, &str)] = &[
    ("filter.lfs.clean", "git-lfs clean -- %f"),
    ("filter.lfs.smudge", "git-lfs smudge -- %f"),
    ("filter.lfs.smudge", "git-lfs smudge --skip -- %f"),
    ("filter.lfs.process", "git-lfs filter-process"),
    ("filter.lfs.process", "git-lfs filter-process --skip"),
    ("filter.lfs.required", "true"),
];

fn is_harmless(setting: &Setting) -> bool {
    let Ok(name) = std::str::from_utf8(&setting.name) else { return false };
    let Some((section, rest)) = name.split_once('.') else { return false };
    let last = rest.rsplit('.').next().unwrap_or_default();
    let lfs = |(known, value): &(&str, &str)| {
        *known == name && setting.value.as_deref().is_some_and(|set| set == value.as_bytes())
    };
    HARMLESS.contains(&section)
        || HARMLESS_NAMES.iter().any(|(of, names)| *of == section && names.contains(&last))
        || LFS.iter().any(lfs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(settings: &[(&str, &str, &str)]) -> Vec<Setting> {
        let text: String =
            settings.iter().map(|(scope, name, value)| format!("{scope}\0{name}\n{value}\0")).collect();
        parse(text.as_bytes())
    }

    #[test]
    fn the_repositorys_own_filters_are_switched_off_and_the_persons_are_kept() {
        let settings = listing(&[
            ("global", "filter.lfs.clean", "git-lfs clean"),
            ("local", "filter.x.clean", "touch x"),
            ("local", "filter.x=.y.process", "a\nb"),
            ("worktree", "filter.x.required", "true"),
            ("local", "user.name", "N"),
            ("command", "filter.z.clean", ""),
            ("local", "filter.x.clean", "again"),
        ]);
        let off = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        assert_eq!(
            disarmed(&settings),
            [off("filter.x.clean", ""), off("filter.x.required", "false"), off("filter.x=.y.process", "")]
        );
        assert!(disarmed(&parse(b"")).is_empty());
    }

    #[test]
    fn what_could_run_or_lead_elsewhere_is_found() {
        for bad in [
            "filter.x.clean",
            "credential.helper",
            "credential.https://h.helper",
            "gpg.program",
            "gpg.ssh.program",
            "http.proxy",
            "http.sslverify",
            "http.https://h/.extraheader",
            "url.ext::sh.insteadof",
            "protocol.ext.allow",
            "remote.origin.uploadpack",
            "remote.origin.receivepack",
            "remote.origin.vcs",
            "remote.origin.proxy",
            "merge.x.driver",
            "core.gitproxy",
            "core.alternaterefscommand",
            "core.worktree",
            "lfs.customtransfer.x.path",
            "lfs.url",
            "submodule.x.update",
            "submodule.recurse",
            "push.recursesubmodules",
            "uploadpack.packobjectshook",
            "trailer.x.command",
            "sequence.editor",
            "somethingnew.command",
            "ssh.variant",
        ] {
            assert_eq!(doubtful(&listing(&[("local", bad, "x")])), [bad], "{bad}");
            assert!(doubtful(&listing(&[("global", bad, "x")])).is_empty(), "the person's own: {bad}");
        }
    }

    #[test]
    fn what_repositories_usually_say_is_no_reason_to_refuse() {
        let usual = listing(&[
            ("local", "core.repositoryformatversion", "0"),
            ("local", "core.hookspath", ".husky/_"),
            ("local", "remote.origin.url", "x"),
            ("local", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            ("local", "branch.main.merge", "refs/heads/main"),
            ("local", "branch.a.b.vscode-merge-base", "x"),
            ("local", "user.email", "x"),
            ("local", "filter.lfs.clean", "git-lfs clean -- %f"),
            ("local", "lfs.https://h/info/lfs.access", "basic"),
            ("local", "submodule.x.url", "y"),
            ("worktree", "core.sparsecheckout", "true"),
        ]);
        assert!(doubtful(&usual).is_empty(), "{:?}", doubtful(&usual));
        assert_eq!(doubtful(&listing(&[("local", "filter.lfs.clean", "touch x")])), ["filter.lfs.clean"]);
    }

    #[test]
    fn the_persons_word_is_told_from_the_repositorys() {
        let settings = listing(&[
            ("system", "core.sshcommand", "a"),
            ("global", "core.sshcommand", "b"),
            ("local", "core.sshcommand", "evil"),
        ]);
        assert_eq!(of_person(&settings, "core.sshcommand"), Some("b".into()));
        assert_eq!(of_anybody(&settings, "core.sshcommand"), Some("evil".into()));
        assert_eq!(of_person(&settings, "core.hookspath"), None);
    }
}
