//! The server itself: where it listens, and how it treats connections.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use tether_actors::log::LogError;
use tether_actors::registry::World;

use super::{Api, Settings, ShutdownSwitch, routes};

/// Idle connections are closed after this.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client has so long to send its head; it guards against those that never finish one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// What was sent and is not acknowledged for so long means that the client is gone. The kernel must watch this: a
/// stalled connection is not looked at otherwise.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;
/// Connections of one worker.
const CONNECTIONS: usize = 8192;

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The name has no address.
    #[error("cannot listen on {host}: {error}; give an address of this machine, such as 127.0.0.1")]
    Name {
        /// What was asked for.
        host: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// Somebody else has the port.
    #[error(
        "port {port} on {host} is in use: stop what uses it (another daemon? `tether stop`), or choose another port"
    )]
    InUse {
        /// What was asked for.
        host: String,
        /// What was asked for.
        port: u16,
    },
    /// Something else.
    #[error("cannot listen on {host}:{port}: {error}")]
    Other {
        /// What was asked for.
        host: String,
        /// What was asked for.
        port: u16,
        /// What the system says.
        error: std::io::Error,
    },
}

/// A port that is ours.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<TcpListener>,
    port: u16,
}

impl Listener {
    /// The port, also when any was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }
}

/// Takes the port, on every address that the host name has, before anything else is begun.
pub fn bind(host: &str, port: u16) -> Result<Listener, BindError> {
    let name = |error| BindError::Name { host: host.to_owned(), error };
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(name)?.collect();
    let mut listener = Listener { sockets: Vec::new(), port };
    let mut failed = None;
    for mut address in addresses {
        // With port 0 the second address takes the port that the first one got.
        address.set_port(listener.port);
        match listen(address) {
            Ok(socket) => {
                listener.port = socket.local_addr().map_or(listener.port, |address| address.port());
                listener.sockets.push(socket);
            }
            // A name may have an address that is not set up here (`localhost` without IPv6).
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => failed = Some(error),
            Err(error) => return Err(bind_error(host, port, error)),
        }
    }
    if listener.sockets.is_empty() {
        let error = failed.unwrap_or_else(|| std::io::Error::other("the name has no address"));
        return Err(bind_error(host, port, error));
    }
    Ok(listener)
}

fn bind_error(host: &str, port: u16, error: std::io::Error) -> BindError {
    let host = host.to_owned();
    match error.kind() {
        std::io::ErrorKind::AddrInUse => BindError::InUse { host, port },
        _ => BindError::Other { host, port, error },
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // So that a daemon can start again while connections of the last one are still ending.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && !address.ip().is_unspecified() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG.cast_signed())?;
    Ok(socket.into())
}

/// A server that was built. It serves while `server` is awaited.
pub struct Running {
    /// Serves until it is stopped.
    pub server: Server,
    /// Stops it.
    pub handle: ServerHandle,
    api: Data<Api>,
}

impl Running {
    /// A new code that logs one browser in, for the link that the daemon prints.
    pub fn login_code(&self) -> String {
        self.api.pairing.new_code()
    }
}

/// Builds the server. Signals are not touched; the error is the log's, which could not tell the paired devices.
pub async fn serve(
    listener: Listener,
    world: World,
    settings: Settings,
    shutdown: ShutdownSwitch,
) -> Result<Running, ServeError> {
    let devices = world.log().list_devices().await?;
    let settings = Settings { port: listener.port, bound: listener.addresses(), ..settings };
    let (workers, shutdown_timeout) = (settings.workers.max(1), settings.shutdown_timeout.as_secs());
    let api = Api::new(world, settings, devices, shutdown);
    let shared = api.clone();
    let mut server = HttpServer::new(move || routes::app(shared.clone()))
        .workers(workers)
        .disable_signals()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .max_connections(CONNECTIONS)
        .shutdown_timeout(shutdown_timeout)
        .on_connect(|connection, _| {
            if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() {
                watch(stream);
            }
        });
    for socket in listener.sockets {
        server = server.listen(socket)?;
    }
    let server = server.run();
    let stopping = api.clone();
    actix_web::rt::spawn(async move {
        // An open socket would hold the server for its whole patience.
        stopping.shutdown.turned().await;
        stopping.mcp.close();
        stopping.sockets.goodbye("the daemon is stopping");
    });
    Ok(Running { handle: server.handle(), server, api })
}

/// Why the server could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The log could not tell the paired devices.
    #[error("cannot read the paired devices: {0}")]
    Log(#[from] LogError),
    /// The system refused.
    #[error("cannot serve: {0}")]
    Io(#[from] std::io::Error),
}

/// Lets the kernel drop the connection when what we sent is not taken.
fn watch(stream: &actix_web::rt::net::TcpStream) {
    let socket = socket2::SockRef::from(stream);
    // A connection without it still works; it is only noticed later that its client is gone.
    if let Err(error) = socket.set_tcp_nodelay(true) {
        tracing::debug!(%error, "cannot switch off delays");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
        tracing::debug!(%error, "cannot set the time for acknowledgement");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_told_with_what_to_do() {
        let first = bind("127.0.0.1", 0).expect("some port is free");
        assert_ne!(first.port(), 0);
        let error = bind("127.0.0.1", first.port()).expect_err("it is taken");
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        assert!(error.to_string().contains("choose another port"));
    }

    #[test]
    fn a_name_without_an_address_is_an_error() {
        assert!(matches!(bind("does not exist", 0), Err(BindError::Name { .. })));
    }

    #[test]
    fn all_addresses_of_a_name_get_the_same_port() {
        let listener = bind("localhost", 0).expect("localhost has an address");
        assert!(listener.addresses().iter().all(|address| address.port() == listener.port()));
    }
}
