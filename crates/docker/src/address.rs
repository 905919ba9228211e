//! Where an engine is: `unix:///path` or `tcp://host:port`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use fracas_core::problem::codes::ENGINE_UNREACHABLE;
use fracas_core::problem::{Problem, Result};

/// Where Docker listens unless somebody says otherwise.
const DEFAULT: &str = "unix:///var/run/docker.sock";
/// The port of an engine without TLS where the address names none.
const PORT: u16 = 2375;

/// The place of an engine, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A host and a port, without encryption.
    Tcp {
        /// A name or an address; an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Address {
    /// The address that was asked for, or the default.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        let text = text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(DEFAULT);
        let bad = |why: &str| {
            Problem::new(
                &ENGINE_UNREACHABLE,
                format!("{text:?} is not an address of a container engine"),
            )
            .since(why)
            .next("write unix:///path/to/docker.sock or tcp://host:port")
        };
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("unix", _)) => Err(bad("the path of a socket begins with a slash")),
            Some(("tcp" | "http", place)) => {
                let place = place.strip_suffix('/').unwrap_or(place);
                let (host, port) = match place.rsplit_once(':') {
                    // Colons inside brackets belong to an IPv6 address.
                    Some((host, port)) if !port.ends_with(']') => (
                        host,
                        port.parse().map_err(|_| bad("the port is not a number up to 65535"))?,
                    ),
                    _ => (place, PORT),
                };
                let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
                let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
                if host.is_empty() || !host.chars().all(plain) {
                    return Err(bad("the host is not a name or an address"));
                }
                Ok(Self::Tcp {
                    host: host.to_owned(),
                    port,
                })
            }
            Some(("https", _)) => Err(bad("engines behind TLS are not supported")),
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
        }
    }

    /// What to write in the `Host` header.
    pub(crate) fn host_header(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { .. } => write!(f, "tcp://{}", self.host_header()),
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
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.is_local()),
                (shown, local),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, why) in [
            ("/var/run/docker.sock", "before ://"),
            ("unix://docker.sock", "slash"),
            ("https://h:2376", "TLS"),
            ("ssh://h", "\"ssh\""),
            ("tcp://h:99999", "65535"),
            ("tcp://", "host"),
            ("tcp://a b:1", "host"),
            ("tcp://h\r\nX: y:1", "host"),
        ] {
            let problem = Address::parse(Some(text)).unwrap_err();
            assert_eq!(problem.code.id, "X001");
            assert!(problem.line().contains(why), "{}", problem.line());
        }
    }
}
