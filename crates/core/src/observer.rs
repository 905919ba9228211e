//! Whoever measures while a fault is on, and which packets are his: a fault that hit them would blind what judges it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Somebody who measures, as the runner knows him.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observer {
    /// Who it is, for people: "probe `up`", "container prometheus".
    pub who: String,
    /// The addresses from which it asks.
    pub addresses: Vec<IpAddr>,
    /// What it asks. `None`: it talks with every target, and all that it says counts.
    pub asks: Option<Asked>,
}

/// The server that an observer asks by TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its address. `None`: the target itself, behind a port that its engine has published.
    pub address: Option<IpAddr>,
    /// Its port, as the target has it.
    pub port: u16,
}

/// Packets between a target and one who measures it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spared {
    /// Who it is, for people.
    pub who: String,
    /// The address of the one who measures.
    pub address: IpAddr,
    /// The port of the target's, of TCP. `None`: any packets.
    pub port: Option<u16>,
}

impl Observer {
    /// What passes between it and a target that has these addresses: nothing where it asks somebody else.
    pub fn spared<'a>(&'a self, own: &'a [IpAddr]) -> impl Iterator<Item = Spared> + 'a {
        let asked = self.asks.and_then(|asks| asks.address);
        let here = asked.is_none_or(|address| own.contains(&address));
        // What a target sends to itself passes no device that a fault is about.
        let others = self
            .addresses
            .iter()
            .filter(move |address| here && !own.contains(address));
        // A server is asked from an address of its own family.
        let others = others.filter(move |from| asked.is_none_or(|to| to.is_ipv4() == from.is_ipv4()));
        others.map(|address| Spared {
            who: self.who.clone(),
            address: *address,
            port: self.asks.map(|asks| asks.port),
        })
    }
}

impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.who, self.address)?;
        match self.port {
            Some(port) => write!(f, " to port {port})"),
            None => f.write_str(")"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spared(asks: Option<Asked>, from: &[&str]) -> Vec<String> {
        let observer = Observer {
            who: "probe `up`".to_owned(),
            addresses: from.iter().map(|text| text.parse().unwrap()).collect(),
            asks,
        };
        let own = ["10.0.0.7", "2001:db8::7"].map(|text| text.parse().unwrap());
        observer.spared(&own).map(|one| one.to_string()).collect()
    }

    #[test]
    fn only_who_asks_the_target_is_spared_and_only_on_what_it_asks() {
        let asks = |address: &str| {
            Some(Asked {
                address: Some(address.parse().unwrap()),
                port: 80,
            })
        };
        let both = ["10.0.0.1", "2001:db8::1"];
        assert_eq!(spared(asks("10.0.0.7"), &both), ["probe `up` (10.0.0.1 to port 80)"]);
        assert_eq!(
            spared(asks("2001:db8::7"), &both),
            ["probe `up` (2001:db8::1 to port 80)"]
        );
        assert!(spared(asks("10.0.0.8"), &both).is_empty(), "that is another server");
        let published = Some(Asked {
            address: None,
            port: 81,
        });
        assert_eq!(spared(published, &both[..1]), ["probe `up` (10.0.0.1 to port 81)"]);
        assert_eq!(spared(None, &both[..1]), ["probe `up` (10.0.0.1)"]);
        assert!(spared(None, &["10.0.0.7"]).is_empty(), "that is the target itself");
    }
}
