//! Where an engine is: `unix:///path`, `tcp://host:port` or `ssh://user@host:port`.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use fracas_core::problem::codes::ENGINE_UNREACHABLE;
use fracas_core::problem::{Problem, Result};

/// Where Docker listens unless somebody says otherwise.
const DEFAULT: &str = "unix:///var/run/docker.sock";
/// The port of an engine without TLS where the address names none.
const PORT: u16 = 2375;
/// That of one with TLS.
const TLS_PORT: u16 = 2376;

/// The place of an engine, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A host and a port.
    Tcp {
        /// A name or an address; an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whether it is spoken to by TLS.
        tls: bool,
    },
    /// A machine on which ssh(1) starts the engine's own client, which passes on what is said.
    Ssh {
        /// Who logs in; otherwise whom ssh chooses.
        user: Option<String>,
        /// A name, an address, or a name of ssh_config(5); an IPv6 address without its brackets.
        host: String,
        /// The port; otherwise the one that ssh chooses.
        port: Option<u16>,
        /// The engine's socket there; otherwise the one that the client there chooses.
        socket: Option<PathBuf>,
    },
}

impl Address {
    /// The address that was asked for, or the default. `tls`: what is at a port of TCP is spoken to by TLS.
    pub(crate) fn parse(text: Option<&str>, tls: bool) -> Result<Self> {
        let text = text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(DEFAULT);
        let bad = |why: &str| {
            Problem::new(
                &ENGINE_UNREACHABLE,
                format!("{text:?} is not an address of a container engine"),
            )
            .since(why)
            .next("write unix:///path/to/docker.sock, tcp://host:port or ssh://user@host")
        };
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("unix", _)) => Err(bad("the path of a socket begins with a slash")),
            Some((scheme @ ("tcp" | "http" | "https"), place)) => {
                let place = place.strip_suffix('/').unwrap_or(place);
                let (host, port) = place_of(place).map_err(bad)?;
                let tls = scheme == "https" || scheme == "tcp" && tls;
                Ok(Self::Tcp {
                    host,
                    port: port.unwrap_or(if tls { TLS_PORT } else { PORT }),
                    tls,
                })
            }
            Some(("ssh", rest)) => {
                let (place, socket) = match rest.find('/') {
                    Some(slash) => (&rest[..slash], Some(&rest[slash..]).filter(|path| *path != "/")),
                    None => (rest, None),
                };
                let (user, place) = match place.rsplit_once('@') {
                    Some((user, place)) => (Some(user), place),
                    None => (None, place),
                };
                let (host, port) = place_of(place).map_err(bad)?;
                // ssh(1) would take it for an option.
                if host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
                    return Err(bad("a user or a host does not begin with a dash"));
                }
                // The shell of the login there reads the command as one line.
                let plain = |text: &str, more: &str| {
                    text.chars()
                        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c) || more.contains(c))
                };
                if user.is_some_and(|user| user.is_empty() || !plain(user, "")) {
                    return Err(bad("the user is not a name; passwords are not taken"));
                }
                if socket.is_some_and(|socket| !plain(socket, "/")) {
                    return Err(bad(
                        "the path of the socket there has letters, digits, and / . _ - only",
                    ));
                }
                Ok(Self::Ssh {
                    user: user.map(str::to_owned),
                    host,
                    port,
                    socket: socket.map(PathBuf::from),
                })
            }
            Some((scheme, _)) => Err(bad(&format!("{scheme:?} is not a way to an engine"))),
            None => Err(bad("the part before :// is missing")),
        }
    }

    /// Whether the engine is on this machine as far as its address tells.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            // Linux takes a connection to 0.0.0.0 or :: to this machine.
            Self::Tcp { host, .. } => {
                host == "localhost"
                    || host
                        .parse()
                        .is_ok_and(|ip: IpAddr| ip.is_loopback() || ip.is_unspecified())
            }
            // What ssh takes for `localhost` its configuration says.
            Self::Ssh { .. } => false,
        }
    }

    /// The engine's socket on its own machine, where the address tells.
    pub(crate) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Ssh { socket, .. } => socket.as_deref(),
            Self::Tcp { .. } => None,
        }
    }

    /// What to write in the `Host` header.
    pub(crate) fn host_header(&self) -> String {
        match self {
            Self::Unix(_) | Self::Ssh { .. } => "localhost".to_owned(),
            Self::Tcp { host, port, .. } => format!("{}:{port}", bracketed(host)),
        }
    }
}

/// A host with its port, if it has one.
fn place_of(place: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match place.rsplit_once(':') {
        // Colons inside brackets belong to an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (
            host,
            Some(port.parse().map_err(|_| "the port is not a number up to 65535")?),
        ),
        _ => (place, None),
    };
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err("the host is not a name or an address");
    }
    Ok((host.to_owned(), port))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { .. } => write!(f, "tcp://{}", self.host_header()),
            Self::Ssh {
                user,
                host,
                port,
                socket,
            } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(host))?;
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                socket
                    .as_ref()
                    .map_or(Ok(()), |socket| write!(f, "{}", socket.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_documented_form() {
        for (text, shown, local) in [
            (None, "unix:///var/run/docker.sock", true),
            (Some(""), "unix:///var/run/docker.sock", true),
            (Some("unix:///tmp/d.sock"), "unix:///tmp/d.sock", true),
            (Some("tcp://10.0.0.7:2376"), "tcp://10.0.0.7:2376", false),
            (Some("http://127.0.0.1:2375/"), "tcp://127.0.0.1:2375", true),
            (Some("tcp://localhost"), "tcp://localhost:2375", true),
            (Some("tcp://[::1]:99"), "tcp://[::1]:99", true),
            (Some("tcp://0.0.0.0:99"), "tcp://0.0.0.0:99", true),
            (Some("tcp://[fd00::2]"), "tcp://[fd00::2]:2375", false),
            (Some("https://h"), "tcp://h:2376", false),
            (Some("ssh://h"), "ssh://h", false),
            (Some("ssh://me@h:22/"), "ssh://me@h:22", false),
            (Some("ssh://localhost/run/d.sock"), "ssh://localhost/run/d.sock", false),
            (Some("ssh://[fd00::2]:22"), "ssh://[fd00::2]:22", false),
        ] {
            let address = Address::parse(text, false).unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.is_local()),
                (shown, local),
                "{text:?}"
            );
        }
    }

    #[test]
    fn tls_is_for_tcp_and_has_a_port_of_its_own() {
        for (text, shown, with) in [
            ("tcp://h", "tcp://h:2376", true),
            ("tcp://h:99", "tcp://h:99", true),
            ("http://h", "tcp://h:2375", false),
        ] {
            let address = Address::parse(Some(text), true).unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(
                matches!(address, Address::Tcp { tls, .. } if tls == with),
                "{address:?}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, why) in [
            ("/var/run/docker.sock", "before ://"),
            ("unix://docker.sock", "slash"),
            ("npipe://h", "\"npipe\""),
            ("ssh://-oProxyCommand=x", "host"),
            ("ssh://-v", "dash"),
            ("ssh://-l@h", "dash"),
            ("ssh://a:b@h", "password"),
            ("ssh://h/a;b", "path"),
            ("ssh://h:ssh", "65535"),
            ("tcp://h:99999", "65535"),
            ("tcp://", "host"),
            ("tcp://a b:1", "host"),
            ("tcp://h\r\nX: y:1", "host"),
        ] {
            let problem = Address::parse(Some(text), false).unwrap_err();
            assert_eq!(problem.code.id, "X001");
            assert!(problem.line().contains(why), "{}", problem.line());
        }
    }
}
