//! Where else clients of `fracas proxy` come to.

use std::str::FromStr;

use clap::Args;
use fracas_proxy::Upstream;
use fracas_telemetry::Listen;

/// Other listeners.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Listeners")]
pub(crate) struct Listeners {
    /// Another address and port to which clients come, `payments=127.0.0.1:3001,http://10.0.0.7:8080`, with where their requests go from there;
    /// without that the proxy answers them itself. May be given more than once. What is done to traffic is done at all of them, unless a key
    /// `listeners` of the configuration names some; the one of --listen is called `main`. Clients come by TLS to all of them or to none, and the
    /// API is at none of these
    #[arg(
        long = "listener",
        value_name = "NAME=ADDR:PORT[,URL]",
        conflicts_with = "tls_passthrough"
    )]
    pub(crate) others: Vec<Other>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Other {
    pub(crate) name: String,
    pub(crate) listen: Listen,
    pub(crate) upstream: Option<Upstream>,
}

impl FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, rest)) = text.split_once('=') else {
            return Err(
                "is no name with an address: write it like payments=127.0.0.1:3001,http://10.0.0.7:8080".to_owned(),
            );
        };
        let (listen, upstream) = match rest.split_once(',') {
            Some((listen, upstream)) => (listen, Some(upstream)),
            None => (rest, None),
        };
        let of = |part: &str| {
            let part = part.to_owned();
            move |why: String| format!("{part} {why}")
        };
        Ok(Self {
            // Which names there can be is the proxy's business.
            name: name.to_owned(),
            listen: listen.parse().map_err(of(listen))?,
            upstream: upstream
                .map(|upstream| upstream.parse().map_err(of(upstream)))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_has_a_name_an_address_and_perhaps_an_upstream() {
        let read = |text: &str| {
            let one: Other = text.parse()?;
            let upstream = one.upstream.map(|upstream| upstream.to_string());
            Ok::<_, String>((one.name, one.listen.address().to_string(), upstream))
        };
        let said = |name: &str, at: &str, upstream: Option<&str>| {
            Ok((name.to_owned(), at.to_owned(), upstream.map(str::to_owned)))
        };
        assert_eq!(read("a=3001"), said("a", "127.0.0.1:3001", None));
        let whole = read("a=[::1]:0,http://b:80/x,y=z");
        assert_eq!(whole, said("a", "[::1]:0", Some("http://b:80/x,y=z")));
        for (text, why) in [
            ("a", "is no name with an address"),
            ("a=", " is no address of this machine"),
            ("a=b:1", "b:1 is no address of this machine"),
            ("a=1,", " has no scheme"),
            ("a=1,b:80", "b:80 has no scheme"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.starts_with(why), "{text}: {said}");
        }
    }
}
