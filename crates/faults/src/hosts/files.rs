//! What the target's own files say of hosts: hosts(5) and resolv.conf(5), and whom to ask for the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use fracas_core::names::HostName;
use fracas_core::seed::Seed;
use fracas_linux::clock;
use fracas_linux::inside::{Access, Inside, is_missing};
use fracas_linux::netlink::Netlink;
use fracas_linux::relay::QUESTION;

use super::{Lost, Why};
use crate::dns::ask::{Heard, Kind, Line, Meets};

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
    /// What hosts(5) says of the names that are looked for.
    hosts: BTreeMap<String, BTreeSet<IpAddr>>,
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

/// The text of a file in the target, which is no longer than this; nothing where it is missing.
fn text(files: &Inside, path: &str, longest: u64) -> io::Result<String> {
    match files.file(Path::new(path), Access::Read) {
        Err(error) if is_missing(&error) => Ok(String::new()),
        file => whole(file?, longest).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}"))),
    }
}

/// All of a text that is no longer than this. The beginning of a longer one is not given out as the whole: what it does not say may follow.
fn whole(file: impl Read, longest: u64) -> io::Result<String> {
    let mut text = Vec::new();
    if file.take(longest + 1).read_to_end(&mut text)? as u64 > longest {
        return Err(io::Error::other(format!("it is longer than {longest} bytes")));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What hosts(5) says of these names: its text is long, and is gone through once for all of them.
fn in_hosts(text: &str, names: &BTreeSet<HostName>) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let mut found = BTreeMap::<String, BTreeSet<IpAddr>>::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next() else { continue };
        for word in words {
            let word = word.strip_suffix('.').unwrap_or(word);
            for name in names.iter().map(HostName::name) {
                if word.eq_ignore_ascii_case(name)
                    && let Ok(address) = address.parse::<IpAddr>()
                {
                    let all = found.entry(name.to_owned()).or_default();
                    all.insert(address.to_canonical());
                }
            }
        }
    }
    found
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
    /// Reads them, for these names.
    pub(super) fn read(files: &Inside, names: &BTreeSet<HostName>) -> io::Result<Self> {
        let resolv = text(files, SERVERS, LONGEST_SERVERS)?;
        Ok(Self::of(in_hosts(&text(files, HOSTS, LONGEST_HOSTS)?, names), &resolv))
    }

    fn of(hosts: BTreeMap<String, BTreeSet<IpAddr>>, resolv: &str) -> Self {
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
    pub(super) fn find(&self, name: &HostName, until: Instant) -> Result<BTreeSet<IpAddr>, Lost> {
        if let Some(own) = self.hosts.get(name.name()) {
            return Ok(own.clone());
        }
        let mut lost = Lost::new(Why::Nobody, "there is nobody to ask".to_owned());
        for full in self.full_names(name) {
            match self.ask(&full, until) {
                Ok(found) => return Ok(found),
                // As the C library does it: elsewhere is looked only where somebody has answered (`__res_context_search`).
                Err(next) if next.is_it() => return Err(next),
                Err(next) => lost = next,
            }
        }
        Err(lost)
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
    fn ask(&self, name: &str, until: Instant) -> Result<BTreeSet<IpAddr>, Lost> {
        let mut lost: Option<Lost> = None;
        for (server, behind) in self.servers.iter().zip((0..self.servers.len() as u32).rev()) {
            // One that is down must not take the time of those behind it.
            let left = (until.saturating_duration_since(Instant::now()) / (behind + 1)).min(ANSWER);
            if left.is_zero() {
                break;
            }
            match asked(*server, name, left) {
                Ok(found) => return Ok(found),
                // That is certain, whomever one asks.
                Err(next) if next.why == Why::Crowded => return Err(next),
                Err(next) if lost.as_ref().is_none_or(|lost| lost.part.is_empty()) => {
                    let certain = next.why == Why::Nobody;
                    lost = Some(next);
                    if certain {
                        break;
                    }
                }
                Err(_) => {}
            }
        }
        Err(lost.unwrap_or_else(|| Lost::new(Why::Silent, format!("there was no time left to ask for {name}"))))
    }
}

fn asked(server: IpAddr, name: &str, limit: Duration) -> Result<BTreeSet<IpAddr>, Lost> {
    let cannot = |error| {
        Lost::new(
            Why::Silent,
            format!("the name server {server} cannot be asked: {error}"),
        )
    };
    let (heard, silent) = answers(server, name, limit).map_err(cannot)?;
    judged(server, name, &heard, silent)
}

/// What is answered to the questions for both versions, and whether one is not.
fn answers(server: IpAddr, name: &str, limit: Duration) -> io::Result<(Vec<Heard>, bool)> {
    let until = Instant::now() + limit;
    // By another way is another server, or the same one that takes us for somebody else.
    if Netlink::route()?.rules_tell(QUESTION)? {
        let why = "routes are chosen by marks, among them those that Fracas gives to its questions (ip rule)";
        return Err(io::Error::other(why));
    }
    let mut line = Line::to(server, Meets::Nothing)?;
    let id = Seed(clock::boottime().as_nanos() as u64).draw("host", name, 0).0 as u16;
    let questions = [
        line.ask(id, name, Kind::V4)?,
        line.ask(id.wrapping_add(1), name, Kind::V6)?,
    ];
    line.listen(limit / 2, &questions)?;
    if line.ask_again()? {
        line.listen(until.saturating_duration_since(Instant::now()), &questions)?;
    }
    let heard: Vec<_> = questions
        .iter()
        .filter_map(|number| line.heard(*number).cloned())
        .collect();
    let silent = heard.len() < questions.len();
    Ok((heard, silent))
}

/// What answers mean. An address of one version says nothing of the other one: half of an answer is none.
fn judged(server: IpAddr, name: &str, heard: &[Heard], silent: bool) -> Result<BTreeSet<IpAddr>, Lost> {
    let certain = |code| matches!(code, 0 | NXDOMAIN);
    let found: BTreeSet<IpAddr> = heard
        .iter()
        .filter(|heard| certain(heard.code))
        .flat_map(|heard| heard.addresses.iter().copied())
        .collect();
    let (why, words) = if heard.iter().any(|heard| !heard.whole) {
        let words = format!("the name server {server} has more addresses of {name} than one answer");
        (Why::Crowded, words)
    } else if let Some(heard) = heard.iter().find(|heard| !certain(heard.code)) {
        let words = format!("the name server {server} answers {name} with the code {}", heard.code);
        (Why::Refused, words)
    } else if silent {
        let words = format!("the name server {server} does not answer for {name}");
        (Why::Silent, words)
    } else if found.is_empty() {
        let words = format!("the name server {server} knows no address of {name}");
        (Why::Nobody, words)
    } else {
        return Ok(found);
    };
    let half = if found.is_empty() || why == Why::Crowded {
        ""
    } else {
        ", but for addresses of the other version"
    };
    Err(Lost {
        why,
        words: words + half,
        part: found,
    })
}

/// Reads whatever it is. For the fuzzer.
pub(crate) fn fuzz(text: &str) {
    if let Ok(name) = text
        .split_ascii_whitespace()
        .next()
        .unwrap_or_default()
        .parse::<HostName>()
    {
        let known = Known::of(in_hosts(text, &BTreeSet::from([name.clone()])), text);
        let names = known.full_names(&name);
        assert!(names.len() <= 1 + MOST_DOMAINS && names.iter().all(|full| full.len() <= 253));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(resolv: &str) -> Known {
        Known::of(BTreeMap::new(), resolv)
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
        assert_eq!(known(text).servers, expected);
        assert_eq!(known("").servers, [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(known(&"nameserver 10.0.0.1\n".repeat(9)).servers.len(), 3);
    }

    #[test]
    fn a_file_of_hosts_knows_names_and_their_aliases() {
        let text = "127.0.0.1 localhost\n10.0.0.7\tDb.example.com db # db2\n2001:db8::7 db.\n10.0.0.8\nnonsense db\n#10.0.0.9 db\n";
        let names = ["db", "db.example.com", "db2", "example.com"].map(name);
        let all = in_hosts(text, &BTreeSet::from(names));
        let found = |name: &str| {
            let found = all.get(name).into_iter().flatten();
            found.map(IpAddr::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found("db"), ["10.0.0.7", "2001:db8::7"]);
        assert_eq!(found("db.example.com"), ["10.0.0.7"]);
        assert!(found("db2").is_empty() && found("example.com").is_empty());
        let until = Instant::now();
        assert_eq!(
            Known::of(all, "").find(&name("DB"), until).unwrap().len(),
            2,
            "nobody is asked"
        );
    }

    #[test]
    fn names_are_completed_as_the_resolver_does() {
        let resolv = "domain x\nsearch old\nsearch a.b c.\noptions rotate ndots:2\n";
        let all = |text: &str| known(resolv).full_names(&name(text));
        assert_eq!(all("db"), ["db.a.b", "db.c", "db"]);
        assert_eq!(all("db.x.y"), ["db.x.y", "db.x.y.a.b", "db.x.y.c"]);
        assert_eq!(all("db."), ["db"]);
        assert_eq!(known("domain x\n").full_names(&name("db")), ["db.x", "db"]);
        assert_eq!(known("search .\n").full_names(&name("db")), ["db"]);
        assert_eq!(known("").full_names(&name("db.x")), ["db.x"]);
        let many = format!("search{}\noptions ndots:99999999999999999999\n", " d".repeat(99));
        assert_eq!(known(&many).full_names(&name("db")).len(), 9);
        let long = format!("{}.example", "a.".repeat(118).trim_end_matches('.'));
        assert_eq!(
            known("search a-long-domain.example\n").full_names(&name(&long)),
            [long.as_str()]
        );
        for text in [resolv, &many, "10.0.0.7 db\n", "db 1\nsearch"] {
            fuzz(text);
        }
    }

    #[test]
    fn who_has_no_time_is_told_so() {
        let lost = known("nameserver 127.0.0.1\n")
            .find(&name("db"), Instant::now())
            .unwrap_err();
        assert_eq!(lost.words, "there was no time left to ask for db");
        assert!(lost.is_it(), "which says nothing of the name");
    }

    #[test]
    fn a_text_that_is_too_long_is_not_taken_for_its_beginning() {
        assert_eq!(whole(&b"10.0.0.7 db\n"[..], 12).unwrap(), "10.0.0.7 db\n");
        let why = whole(&b"10.0.0.7 db\n"[..], 11).unwrap_err().to_string();
        assert_eq!(why, "it is longer than 11 bytes");
    }

    /// An answer with this code and these addresses.
    fn heard(code: u8, addresses: &[&str]) -> Heard {
        Heard {
            code,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            whole: true,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn half_of_an_answer_is_none() {
        let server = IpAddr::from([10, 0, 0, 53]);
        let judged = |heard: &[Heard]| judged(server, "db", heard, heard.len() < 2);
        let four = heard(0, &["10.0.0.7"]);
        let part: BTreeSet<IpAddr> = four.addresses.iter().copied().collect();
        assert_eq!(judged(&[four.clone(), heard(0, &[])]).unwrap(), part, "it has no other");
        assert_eq!(judged(&[four.clone(), heard(NXDOMAIN, &[])]).unwrap(), part);
        let lost = judged(std::slice::from_ref(&four)).unwrap_err();
        assert_eq!((lost.why, &lost.part), (Why::Silent, &part));
        assert_eq!(
            lost.words,
            "the name server 10.0.0.53 does not answer for db, but for addresses of the other version"
        );
        let lost = judged(&[four.clone(), heard(2, &[])]).unwrap_err();
        assert_eq!((lost.why, &lost.part), (Why::Refused, &part));
        assert!(lost.is_it(), "it is not looked for elsewhere");
        // Nor is it nobody of whom only one half says so.
        let lost = judged(&[heard(NXDOMAIN, &[]), heard(2, &[])]).unwrap_err();
        assert_eq!(lost.why, Why::Refused);
        let lost = judged(&[heard(NXDOMAIN, &[]), heard(NXDOMAIN, &[])]).unwrap_err();
        assert_eq!(lost.why, Why::Nobody);
        let cut = Heard {
            whole: false,
            ..four.clone()
        };
        let lost = judged(&[cut]).unwrap_err();
        assert_eq!((lost.why, &lost.part), (Why::Crowded, &part));
    }
}
