//! What the target's own files say of hosts: hosts(5) and resolv.conf(5), and whom to ask for the rest.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use fracas_core::names::HostName;
use fracas_core::seed::Seed;
use fracas_linux::clock;
use fracas_linux::inside::{Access, Inside, is_missing};

use crate::dns::ask::{Kind, Line, Meets};

const HOSTS: &str = "/etc/hosts";
const SERVERS: &str = "/etc/resolv.conf";
/// Lists of hosts that nobody wants to reach are long.
const LONGEST_HOSTS: u64 = 4 << 20;
/// A longer file names no more servers: the resolver reads three.
const LONGEST_SERVERS: u64 = 64 << 10;
/// So many servers are asked, and in so many domains is looked (`MAXNS`; the C library knows no limit of domains any more).
const MOST_SERVERS: usize = 3;
const MOST_DOMAINS: usize = 8;
/// `RES_MAXNDOTS`.
const MOST_DOTS: usize = 15;
/// How long one server may take.
const ANSWER: Duration = Duration::from_secs(1);
/// There is no such name.
const NXDOMAIN: u8 = 3;

/// What these files say.
#[derive(Debug)]
pub(super) struct Known {
    hosts: String,
    servers: Vec<IpAddr>,
    /// Domains in which a name is looked for.
    domains: Vec<String>,
    /// With so many dots a name is first looked for as it is.
    dots: usize,
}

/// The name servers that the target's programs ask.
pub(crate) fn servers(files: &Inside) -> io::Result<Vec<IpAddr>> {
    Ok(named(&text(files, SERVERS, LONGEST_SERVERS)?))
}

/// The text of a file in the target, as far as this; nothing where it is missing.
fn text(files: &Inside, path: &str, longest: u64) -> io::Result<String> {
    match files.file(Path::new(path), Access::Read) {
        Err(error) if is_missing(&error) => Ok(String::new()),
        file => {
            let mut text = Vec::new();
            file?.take(longest).read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
    }
}

/// The name servers that a text of resolv.conf(5) names.
fn named(text: &str) -> Vec<IpAddr> {
    values(text, "nameserver")
        .filter_map(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .collect()
}

/// What stands behind this word at the beginning of lines.
fn values<'a>(text: &'a str, word: &'static str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| value(line, word))
}

fn value<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.strip_prefix(word).filter(|rest| rest.starts_with([' ', '\t']))
}

impl Known {
    pub(super) fn read(files: &Inside) -> io::Result<Self> {
        let resolv = text(files, SERVERS, LONGEST_SERVERS)?;
        Ok(Self::of(text(files, HOSTS, LONGEST_HOSTS)?, &resolv))
    }

    fn of(hosts: String, resolv: &str) -> Self {
        let mut servers = named(resolv);
        if servers.is_empty() {
            // Without any, it is the one on this machine (resolv.conf(5)).
            servers.push(IpAddr::from([127, 0, 0, 1]));
        }
        servers.truncate(MOST_SERVERS);
        // The last of these lines counts, and `domain` is the older word for one domain.
        let searched = |line| value(line, "search").or_else(|| value(line, "domain"));
        let domains = resolv.lines().filter_map(searched).next_back().unwrap_or_default();
        let options = values(resolv, "options").flat_map(str::split_ascii_whitespace);
        let dots: Option<usize> = options
            .filter_map(|option| option.strip_prefix("ndots:")?.parse().ok())
            .last();
        Self {
            hosts,
            servers,
            domains: domains
                .split_ascii_whitespace()
                .take(MOST_DOMAINS)
                .map(|domain| domain.trim_matches('.').to_owned())
                .collect(),
            dots: dots.unwrap_or(1).min(MOST_DOTS),
        }
    }

    /// Where a host is; else why that is not known. In the network namespace of this thread.
    pub(super) fn find(&self, name: &HostName, until: Instant) -> Result<BTreeSet<IpAddr>, String> {
        let own = self.in_hosts(name.name());
        if !own.is_empty() {
            return Ok(own);
        }
        let mut why = "there is nobody to ask".to_owned();
        for full in self.full_names(name) {
            match self.ask(&full, until) {
                Ok(found) => return Ok(found),
                Err(next) => why = next,
            }
        }
        Err(why)
    }

    /// What hosts(5) says of a name.
    fn in_hosts(&self, name: &str) -> BTreeSet<IpAddr> {
        let address = |line: &str| {
            let mut words = line.split('#').next()?.split_ascii_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            let is_it = |word: &str| word.strip_suffix('.').unwrap_or(word).eq_ignore_ascii_case(name);
            words.any(is_it).then(|| address.to_canonical())
        };
        self.hosts.lines().filter_map(address).collect()
    }

    /// The names that are asked for in its place, in this order.
    fn full_names(&self, name: &HostName) -> Vec<String> {
        let own = name.name().to_owned();
        if name.is_absolute() {
            return vec![own];
        }
        let first = own.matches('.').count() >= self.dots;
        let within = self.domains.iter().map(|domain| format!("{own}.{domain}"));
        // What the root's domain makes of it is the name itself; what is too long is nobody's name.
        let mut all: Vec<String> = within
            .filter(|full| !full.ends_with('.') && full.parse::<HostName>().is_ok())
            .collect();
        let at = if first { 0 } else { all.len() };
        all.insert(at, own);
        all
    }

    /// Asks the servers, one after the other, until one knows.
    fn ask(&self, name: &str, until: Instant) -> Result<BTreeSet<IpAddr>, String> {
        let mut why = String::new();
        for (server, behind) in self.servers.iter().zip((0..self.servers.len() as u32).rev()) {
            // One that is down must not take the time of those behind it.
            let left = (until.saturating_duration_since(Instant::now()) / (behind + 1)).min(ANSWER);
            if left.is_zero() {
                return Err(format!("there was no time left to ask for {name}"));
            }
            match asked(*server, name, left) {
                Ok(Answer::Addresses(found)) => return Ok(found),
                // That is certain, whomever one asks.
                Ok(Answer::Nobody(why)) => return Err(why),
                Ok(Answer::Unknown(next)) => why = next,
                Err(error) => why = format!("the name server {server} cannot be asked: {error}"),
            }
        }
        Err(why)
    }
}

/// What a server says of a name.
enum Answer {
    Addresses(BTreeSet<IpAddr>),
    /// It has no address.
    Nobody(String),
    /// It does not say.
    Unknown(String),
}

fn asked(server: IpAddr, name: &str, limit: Duration) -> io::Result<Answer> {
    let mut line = Line::to(server, Meets::Nothing)?;
    let id = Seed(clock::boottime().as_nanos() as u64).draw("host", name, 0).0 as u16;
    let questions = [
        line.ask(id, name, Kind::V4)?,
        line.ask(id.wrapping_add(1), name, Kind::V6)?,
    ];
    line.listen(limit, &questions)?;
    let heard: Vec<_> = questions.iter().filter_map(|number| line.heard(*number)).collect();
    let certain = |code| matches!(code, 0 | NXDOMAIN);
    let whole = heard.iter().all(|heard| heard.whole);
    let found: BTreeSet<IpAddr> = heard
        .iter()
        .filter(|heard| certain(heard.code))
        .flat_map(|heard| heard.addresses.iter().copied())
        .collect();
    Ok(match heard.iter().find(|heard| !certain(heard.code)) {
        _ if !whole => Answer::Nobody(format!(
            "the name server {server} has more addresses of {name} than one answer"
        )),
        _ if !found.is_empty() => Answer::Addresses(found),
        Some(heard) => Answer::Unknown(format!(
            "the name server {server} answers {name} with the code {}",
            heard.code
        )),
        None if heard.len() < questions.len() => {
            Answer::Unknown(format!("the name server {server} does not answer for {name}"))
        }
        None => Answer::Nobody(format!("the name server {server} knows no address of {name}")),
    })
}

/// Reads whatever it is. For the fuzzer.
pub(crate) fn fuzz(text: &str) {
    let known = Known::of(text.to_owned(), text);
    if let Ok(name) = text
        .split_ascii_whitespace()
        .next()
        .unwrap_or_default()
        .parse::<HostName>()
    {
        let _nobody = known.in_hosts(name.name());
        let names = known.full_names(&name);
        assert!(names.len() <= 1 + MOST_DOMAINS && names.iter().all(|full| full.len() <= 253));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(hosts: &str, resolv: &str) -> Known {
        Known::of(hosts.to_owned(), resolv)
    }

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    #[test]
    fn servers_are_those_that_the_resolver_would_ask() {
        let text = "# nameserver 10.0.0.1\nsearch a.b\nnameserver  127.0.0.11 # ours\nnameserver\t2001:db8::53\n nameserver 10.0.0.3\n\
                    nameservers 10.0.0.2\nnameserver fe80::1%eth0\nnameserver\n";
        let expected: Vec<IpAddr> = ["127.0.0.11", "2001:db8::53"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        assert_eq!(named(text), expected, "one with a link is left alone");
        assert_eq!(known("", text).servers, expected);
        assert_eq!(known("", "").servers, [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(known("", &"nameserver 10.0.0.1\n".repeat(9)).servers.len(), 3);
    }

    #[test]
    fn a_file_of_hosts_knows_names_and_their_aliases() {
        let text = "127.0.0.1 localhost\n10.0.0.7\tDb.example.com db # db2\n2001:db8::7 db.\n10.0.0.8\nnonsense db\n#10.0.0.9 db\n";
        let found = |name: &str| {
            known(text, "")
                .in_hosts(name)
                .iter()
                .map(IpAddr::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(found("db"), ["10.0.0.7", "2001:db8::7"]);
        assert_eq!(found("db.example.com"), ["10.0.0.7"]);
        assert!(found("db2").is_empty() && found("example.com").is_empty());
        let until = Instant::now();
        assert_eq!(
            known(text, "").find(&name("DB"), until).unwrap().len(),
            2,
            "nobody is asked"
        );
    }

    #[test]
    fn names_are_completed_as_the_resolver_does() {
        let resolv = "domain x\nsearch old\nsearch a.b c.\noptions rotate ndots:2\n";
        let all = |text: &str| known("", resolv).full_names(&name(text));
        assert_eq!(all("db"), ["db.a.b", "db.c", "db"]);
        assert_eq!(all("db.x.y"), ["db.x.y", "db.x.y.a.b", "db.x.y.c"]);
        assert_eq!(all("db."), ["db"]);
        assert_eq!(known("", "domain x\n").full_names(&name("db")), ["db.x", "db"]);
        assert_eq!(known("", "search .\n").full_names(&name("db")), ["db"]);
        assert_eq!(known("", "").full_names(&name("db.x")), ["db.x"]);
        let many = format!("search{}\noptions ndots:99999999999999999999\n", " d".repeat(99));
        assert_eq!(known("", &many).full_names(&name("db")).len(), 9);
        let long = format!("{}.example", "a.".repeat(118).trim_end_matches('.'));
        assert_eq!(
            known("", "search a-long-domain.example\n").full_names(&name(&long)),
            [long.as_str()]
        );
        for text in [resolv, &many, "10.0.0.7 db\n", "db 1\nsearch"] {
            fuzz(text);
        }
    }

    #[test]
    fn who_has_no_time_is_told_so() {
        let why = known("", "nameserver 127.0.0.1\n")
            .find(&name("db"), Instant::now())
            .unwrap_err();
        assert_eq!(why, "there was no time left to ask for db");
    }
}
