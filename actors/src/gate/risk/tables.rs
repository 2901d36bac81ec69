//! Names that tell: of commands, of their first arguments, of variables, and the words for why.

/// Commands whose name says it all.
pub const BY_NAME: [(&[&str], &str); 12] = [
    (&["sudo", "doas", "su", "pkexec", "run0"], "runs with the rights of another user"),
    (&["shred", "srm", "wipe", "rimraf", "trash-empty"], "deletes for good"),
    (
        &[
            "fdisk",
            "sfdisk",
            "gdisk",
            "sgdisk",
            "parted",
            "wipefs",
            "mkswap",
            "cryptsetup",
            "blkdiscard",
            "hdparm",
            "lvremove",
            "vgremove",
            "pvremove",
            "zpool",
            "diskutil",
        ],
        "changes disks",
    ),
    (&["kill", "pkill", "killall", "xkill", "skill", "taskkill"], "ends processes"),
    (&["shutdown", "reboot", "halt", "poweroff", "telinit"], "stops the machine"),
    (&["crontab", "at", "launchctl", "schtasks"], "makes something run by itself later"),
    (
        &["useradd", "usermod", "userdel", "groupadd", "passwd", "chpasswd", "visudo", "adduser", "deluser"],
        "changes users or their passwords",
    ),
    (&["iptables", "ip6tables", "nft", "ufw", "firewall-cmd", "pfctl"], "changes the firewall"),
    (&["mount", "umount", "insmod", "rmmod", "modprobe", "sysctl"], "changes the running system"),
    (&["ssh", "mosh", "telnet"], "works on another machine"),
    (&["scp", "sftp", "nc", "ncat", "netcat", "socat"], "sends or fetches over the network"),
    (&["dropdb", "dropuser"], "deletes a database"),
];

/// First arguments that make a command risky.
pub const BY_VERB: [(&[&str], &[&str], &str); 20] = [
    (
        &["npm", "pnpm", "yarn", "bun"],
        &["publish", "unpublish", "deprecate", "adduser", "login", "token"],
        PUBLISHES,
    ),
    (&["cargo"], &["publish", "yank", "owner", "login"], PUBLISHES),
    (&["twine"], &["upload"], PUBLISHES),
    (&["poetry", "uv", "hatch", "flit", "pdm", "maturin"], &["publish", "upload"], PUBLISHES),
    (&["gem"], &["push", "yank"], PUBLISHES),
    (&["docker", "podman", "helm", "skopeo", "oras"], &["push"], PUBLISHES),
    (&["mvn", "mvnw"], &["deploy"], PUBLISHES),
    (&["gradle", "gradlew"], &["publish"], PUBLISHES),
    (&["vsce", "ovsx"], &["publish"], PUBLISHES),
    (&["docker", "podman"], &["rm", "rmi", "prune", "kill", "stop"], "removes or ends containers"),
    (&["kubectl", "oc"], &["delete", "apply", "drain", "scale", "replace", "patch", "exec"], LIVE),
    (&["helm"], &["install", "upgrade", "uninstall", "rollback", "delete"], LIVE),
    (
        &["terraform", "tofu", "terragrunt", "pulumi", "cdk"],
        &["apply", "destroy", "up", "deploy", "import"],
        LIVE,
    ),
    (
        &["vercel", "netlify", "fly", "flyctl", "wrangler", "firebase", "heroku", "serverless"],
        &["deploy"],
        LIVE,
    ),
    (
        &["systemctl", "service", "rc-service", "initctl", "brew"],
        &["stop", "restart", "disable", "mask", "kill", "poweroff", "reboot", "halt", "isolate", "services"],
        "stops or changes a service",
    ),
    (&["gh", "glab"], &["auth", "secret", "ssh-key", "gpg-key"], "touches credentials"),
    (
        &["pass", "op", "gopass", "vault", "security"],
        &["show", "read", "kv", "find-generic-password", "dump-keychain"],
        "touches credentials",
    ),
    (
        &["apt", "apt-get", "dnf", "yum", "pacman", "zypper", "brew", "snap"],
        &["remove", "purge", "autoremove", "uninstall", "-R", "-Rs", "-Rns"],
        "removes installed programs",
    ),
    (&["init"], &["0", "6"], "stops the machine"),
    (&["tmux", "screen"], &["kill-server", "kill-session"], "ends processes"),
];

pub const PUBLISHES: &str = "publishes, or changes what is published";
pub const LIVE: &str = "changes a live system";
pub const PRINTED: &str = "runs what another command prints";
pub const UNKNOWN_YET: &str = "what runs here is only known when it runs";
pub const OUTSIDE: &str = "writes outside the session's directory";

/// Programs that run what they are given as text on their input.
pub const INTERPRETERS: [&str; 10] =
    ["python", "python2", "python3", "node", "deno", "perl", "ruby", "php", "lua", "osascript"];
/// Programs that fetch.
pub const FETCHERS: [&str; 7] = ["curl", "wget", "fetch", "http", "https", "xh", "aria2c"];
/// In a program of another language, what deletes or runs others.
pub const IN_OTHER_LANGUAGES: [&str; 13] = [
    "rmtree",
    "os.remove",
    "os.system",
    "subprocess",
    "unlink",
    "child_process",
    "execSync",
    "rmSync",
    "rmdirSync",
    "rm_rf",
    "File.delete",
    "shell_exec",
    "system(",
];
/// Variables that decide which code runs.
pub const LOADERS: [&str; 10] = [
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "DYLD_INSERT_LIBRARIES",
    "BASH_ENV",
    "ENV",
    "PROMPT_COMMAND",
    "GIT_SSH_COMMAND",
    "GIT_EXTERNAL_DIFF",
    "NODE_OPTIONS",
];
