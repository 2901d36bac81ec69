//! Which `Host` and `Origin` headers are ours.
//!
//! A page of another site can make a browser send requests to a daemon on this machine, under a name that
//! it made point here (DNS rebinding). It cannot choose the headers, so they tell.

use std::net::IpAddr;

/// The names under which the daemon answers.
#[derive(Debug, Clone)]
pub struct Hosts {
    port: u16,
    bound: Name,
    /// Bound to more than loopback, so that the machine's own addresses are asked for.
    any_address: bool,
    allowed: Vec<(Name, Option<u16>)>,
}

/// A host without its port.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    Name(String),
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(|ip: IpAddr| Self::Address(ip.to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        (!name.is_empty() && name.bytes().all(fits)).then(|| Self::Name(name.to_ascii_lowercase()))
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

/// `name`, `name:port`, `[v6]:port`.
fn parse(text: &str) -> Option<(Name, Option<u16>)> {
    let (name, port) = match text.rfind(':') {
        // The last colon is the port's, unless it lies within the brackets of an address.
        Some(at) if !text.get(at..)?.contains(']') => (text.get(..at)?, Some(text.get(at + 1..)?)),
        _ => (text, None),
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    Some((Name::parse(name)?, port))
}

impl Hosts {
    /// For a daemon that was told to listen at `host` (name or address) and has got `port`. An entry of
    /// `allowed` is `name` (then with any port) or `name:port`.
    pub fn new(host: &str, port: u16, allowed: &[String]) -> Self {
        let bound = match host.parse::<IpAddr>() {
            Ok(address) => Name::Address(address.to_canonical()),
            Err(_) => Name::Name(host.to_ascii_lowercase()),
        };
        let any_address = !bound.is_loopback();
        let allowed = allowed.iter().filter_map(|entry| parse(entry.trim())).collect();
        Self { port, bound, any_address, allowed }
    }

    /// Whether a `Host` header names us.
    pub fn is_ours(&self, host: &str) -> bool {
        let Some((name, port)) = parse(host) else { return false };
        let our_port = port.is_none_or(|port| port == self.port);
        (our_port && (name.is_loopback() || name == self.bound))
            // An address cannot be made to point elsewhere, and its port may be mapped.
            || (self.any_address && matches!(name, Name::Address(_)))
            || self.is_allowed(&name, port)
    }

    fn is_allowed(&self, name: &Name, port: Option<u16>) -> bool {
        self.allowed.iter().any(|(allowed, only)| allowed == name && (only.is_none() || *only == port))
    }

    /// Whether a request to `host` (which is ours) may come from a page of `origin`.
    pub fn may_come_from(&self, origin: &str, host: &str) -> bool {
        let (rest, default_port) = if let Some(rest) = origin.strip_prefix("http://") {
            (rest, 80)
        } else if let Some(rest) = origin.strip_prefix("https://") {
            (rest, 443)
        } else {
            return false;
        };
        let (Some((name, port)), Some((host, host_port))) = (parse(rest), parse(host)) else { return false };
        let same = name == host && port.unwrap_or(default_port) == host_port.unwrap_or(default_port);
        same || self.is_allowed(&name, port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Vec<String> {
        vec!["tether.example.org".into(), "Proxy.example.org:8443".into(), "localhost:9000".into()]
    }

    #[test]
    fn on_loopback_only_loopback_and_allowed_names_are_ours() {
        let hosts = Hosts::new("127.0.0.1", 8787, &allowed());
        for ours in [
            "127.0.0.1:8787",
            "127.0.0.1",
            "localhost:8787",
            "LOCALHOST",
            "localhost.:8787",
            "web.localhost:8787",
            "[::1]:8787",
            "[::1]",
            "[::ffff:127.0.0.1]:8787",
            "127.9.9.9:8787",
            "tether.example.org",
            "tether.example.org:443",
            "proxy.example.org:8443",
            "localhost:9000",
        ] {
            assert!(hosts.is_ours(ours), "{ours}");
        }
        for foreign in [
            "",
            ":8787",
            "evil.example",
            "evil.example:8787",
            "localhost:8788",
            "localhost.evil.example:8787",
            "127.0.0.1.evil.example:8787",
            "127.0.0.1:8787@evil.example",
            "192.168.1.5:8787",
            "proxy.example.org:443",
            "proxy.example.org",
            "localhost:8787:8787",
            "localhost:+8787",
            "localhost:99999",
            "[::1",
            "[localhost]:8787",
            "a b",
            "tether.example.org/x",
        ] {
            assert!(!hosts.is_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn on_other_addresses_any_address_is_ours_and_names_are_not() {
        for bound in ["0.0.0.0", "::", "192.168.1.5", "box.lan"] {
            let hosts = Hosts::new(bound, 8787, &[]);
            for ours in ["192.168.1.5:8787", "10.0.0.1:80", "[fe80::1]:8787", "localhost:8787"] {
                assert!(hosts.is_ours(ours), "{bound} {ours}");
            }
            assert!(!hosts.is_ours("evil.example:8787"), "{bound}");
            assert_eq!(hosts.is_ours("box.lan:8787"), bound == "box.lan");
            assert!(!hosts.is_ours("box.lan:1"));
        }
    }

    #[test]
    fn an_origin_is_the_hosts_own_or_an_allowed_one() {
        let hosts = Hosts::new("127.0.0.1", 8787, &allowed());
        for (origin, host, fine) in [
            ("http://127.0.0.1:8787", "127.0.0.1:8787", true),
            ("https://tether.example.org", "tether.example.org", true),
            ("https://tether.example.org", "tether.example.org:443", true),
            ("http://tether.example.org:443", "tether.example.org:443", true),
            ("https://tether.example.org", "127.0.0.1:8787", true),
            ("http://[::1]:8787", "[::1]:8787", true),
            ("http://localhost:8787", "127.0.0.1:8787", false),
            ("http://localhost:3000", "localhost:8787", false),
            ("http://localhost", "localhost:8787", false),
            ("https://evil.example", "127.0.0.1:8787", false),
            ("https://evil.example", "tether.example.org", false),
            ("null", "127.0.0.1:8787", false),
            ("", "127.0.0.1:8787", false),
            ("file://", "127.0.0.1:8787", false),
            ("http://127.0.0.1:8787/", "127.0.0.1:8787", false),
        ] {
            assert_eq!(hosts.may_come_from(origin, host), fine, "{origin} -> {host}");
        }
    }
}
