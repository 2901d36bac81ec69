//! Under which addresses this daemon can be reached, and what to think of each.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::Serialize;

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressKind {
    /// A name that was allowed: a tunnel or a proxy in front.
    Named,
    /// From the person's own Tailscale network, which encrypts.
    Tailscale,
    /// From the same network.
    Lan,
    /// From this machine only.
    Loopback,
}

/// An address for a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Address {
    /// Without a slash at its end.
    pub url: String,
    /// How it is reached.
    pub kind: AddressKind,
    /// What to know before it is used; often null.
    pub warning: Option<String>,
}

const PLAIN: &str = "plain HTTP: whoever can listen on this network can read along and act in your name; use it in networks that you trust";

/// The addresses of a daemon that listens on `bound`, the best for a phone first. `interfaces` are the machine's
/// own, with their names; `named` are further names, `name` or `name:port`.
pub fn reachable(
    bound: &[SocketAddr],
    interfaces: impl IntoIterator<Item = (String, IpAddr)>,
    port: u16,
    named: &[String],
) -> Vec<Address> {
    let mut ips: Vec<IpAddr> = Vec::new();
    if bound.iter().any(|address| address.ip().is_unspecified()) {
        let v6 = bound.iter().any(SocketAddr::is_ipv6);
        ips.extend(
            interfaces
                .into_iter()
                .filter(|(name, ip)| !is_virtual(name) && (v6 || ip.is_ipv4()))
                .map(|(_, ip)| ip),
        );
    } else {
        ips.extend(bound.iter().map(SocketAddr::ip));
    }
    ips.retain(|ip| match ip {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_unspecified(),
    });
    let mut list: Vec<Address> = named.iter().map(|name| of_name(name, port)).collect();
    list.extend(ips.into_iter().map(|ip| {
        let kind = kind_of(ip);
        let warning = (kind == AddressKind::Lan).then(|| PLAIN.to_owned());
        Address { url: format!("http://{}", SocketAddr::new(ip, port)), kind, warning }
    }));
    // Old before new addresses of the Internet: they are shorter, and work in more places.
    list.sort_by_key(|address| (address.kind, address.url.contains('[')));
    list.dedup_by(|a, b| a.url == b.url);
    list
}

/// The machine's own addresses, with the names of their interfaces; none if the system does not tell.
pub fn interfaces() -> Vec<(String, IpAddr)> {
    match if_addrs::get_if_addrs() {
        Ok(found) => found.into_iter().map(|interface| (interface.name.clone(), interface.ip())).collect(),
        Err(error) => {
            tracing::warn!(%error, "the machine's own addresses could not be read");
            Vec::new()
        }
    }
}

/// A name with our own port is ours, over plain HTTP; any other has something in front that speaks TLS.
fn of_name(name: &str, port: u16) -> Address {
    let ours = name.rsplit_once(':').is_some_and(|(_, given)| given == port.to_string());
    let scheme = if ours { "http" } else { "https" };
    let warning = ours.then(|| PLAIN.to_owned());
    Address { url: format!("{scheme}://{name}"), kind: AddressKind::Named, warning }
}

fn kind_of(ip: IpAddr) -> AddressKind {
    match ip.to_canonical() {
        ip if ip.is_loopback() => AddressKind::Loopback,
        IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64 => AddressKind::Tailscale,
        IpAddr::V6(v6) if is_tailscale(v6) => AddressKind::Tailscale,
        _ => AddressKind::Lan,
    }
}

/// `fd7a:115c:a1e0::/48`.
fn is_tailscale(v6: Ipv6Addr) -> bool {
    v6.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0]
}

/// Networks between this machine and what runs within it.
fn is_virtual(name: &str) -> bool {
    ["docker", "br-", "veth", "virbr", "vmnet", "cni", "flannel", "lxc", "podman"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Vec<(String, IpAddr)> {
        [
            ("lo", "127.0.0.1"),
            ("eth0", "192.168.1.5"),
            ("eth0", "fe80::1"),
            ("eth0", "2001:db8::5"),
            ("tailscale0", "100.101.102.103"),
            ("tailscale0", "fd7a:115c:a1e0::1"),
            ("docker0", "172.17.0.1"),
        ]
        .map(|(name, ip)| (name.to_owned(), ip.parse().expect("an address")))
        .into()
    }

    fn urls(bound: &str, named: &[&str]) -> Vec<(String, AddressKind, bool)> {
        let bound: SocketAddr = bound.parse().expect("an address");
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        reachable(&[bound], machine(), 8787, &named)
            .into_iter()
            .map(|address| (address.url, address.kind, address.warning.is_some()))
            .collect()
    }

    #[test]
    fn all_addresses_are_told_when_it_listens_on_all() {
        let expected = [
            ("http://100.101.102.103:8787", AddressKind::Tailscale, false),
            ("http://192.168.1.5:8787", AddressKind::Lan, true),
            ("http://127.0.0.1:8787", AddressKind::Loopback, false),
        ];
        assert_eq!(urls("0.0.0.0:8787", &[]), expected.map(|(url, kind, warned)| (url.into(), kind, warned)));
        let both = urls("[::]:8787", &[]);
        assert!(both.iter().any(|(url, _, _)| url == "http://[2001:db8::5]:8787"), "{both:?}");
        assert!(!both.iter().any(|(url, _, _)| url.contains("fe80") || url.contains("172.17")), "{both:?}");
    }

    #[test]
    fn only_the_bound_address_is_told_otherwise_and_names_come_first() {
        assert_eq!(
            urls("127.0.0.1:8787", &[]),
            [("http://127.0.0.1:8787".into(), AddressKind::Loopback, false)]
        );
        let named = urls("127.0.0.1:8787", &["tether.example.org", "box.lan:8787"]);
        assert_eq!(named[0], ("https://tether.example.org".into(), AddressKind::Named, false));
        assert_eq!(named[1], ("http://box.lan:8787".into(), AddressKind::Named, true));
        assert_eq!(urls("192.168.1.5:8787", &[]).len(), 1);
    }
}
