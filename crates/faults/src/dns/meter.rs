//! How much was delivered: questions of our own, asked from the target's network namespace as the C library would ask them.
//!
//! Some are for a name that is meant, some for a bystander's, and some of each go past whatever Fracas has there: what these hear is what
//! everybody would hear without the fault. That an answer is the fault's, and not by chance the name server's, the kernel says, which
//! counts what came to the queue and what went on from there.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use fracas_core::ids::is_trace_name;
use fracas_core::params::{self, Answer};
use fracas_core::record::Landed;
use fracas_core::seed::Seed;
use fracas_linux::clock;
use fracas_linux::netlink::Netlink;

use super::ask::{Heard, Kind, Line, Meets};
use super::{SOON, asked, rules};
use crate::impairment::verdict::{Tally, millis, share};
use crate::packet_worker::is_served;

/// What has come of it.
pub(super) enum Outcome {
    Measured(Box<Measured>),
    /// The fault is not there.
    Missed(String),
    /// It cannot be told; why.
    Unmeasured(String),
}

/// What was heard.
pub(super) struct Measured {
    server: IpAddr,
    name: String,
    kind: Kind,
    heard: Vec<Option<Heard>>,
    /// What is heard of this name without the fault.
    without: Option<Heard>,
    /// A name that is not meant, what is heard of it, and what without the fault. `None`: all names are meant.
    bystander: Option<Bystander>,
    /// How many packets were hit while this was measured.
    hits: u64,
    /// Packets of the target's own that were hit since the fault is on.
    own: u64,
    /// Whether no other fault of ours is on packets here.
    alone: bool,
}

struct Bystander {
    name: &'static str,
    heard: Option<Heard>,
    without: Option<Heard>,
}

/// So many questions where all are hit, and where chance decides.
const FEW: u16 = 3;
const MANY: u16 = 20;
/// Between two: not more than 20 a second.
const GAP: Duration = Duration::from_millis(50);
/// Names that a name server answers by itself and at once (RFC 6761, 6.3 and 6.4).
const BYSTANDERS: [&str; 2] = ["localhost", "invalid"];
/// What stands for a `*` in the name that is asked for.
const WORD: &str = "fracas-probe";
/// So many times the counters are read: what is in the queue at this moment is neither hit nor passed.
const READINGS: u32 = 5;
/// How late an answer may be on a machine that has something else to do.
const SLACK: Duration = Duration::from_millis(50);
const SHARE: f64 = 0.05;
/// A name server's own time differs by that.
const JITTER: Duration = Duration::from_millis(5);

/// How long it may take altogether.
pub(super) fn longest(params: &params::Dns) -> Duration {
    SOON + GAP * u32::from(MANY) + params.delay.0 + SOON + Duration::from_secs(10)
}

/// Asks and hears, in the namespace of this thread. `ours` is how many of our own questions were hit before, and becomes how many there
/// are now.
pub(super) fn measure(table: &str, server: IpAddr, params: &params::Dns, ours: &mut u64) -> io::Result<Outcome> {
    let mut netlink = Netlink::netfilter()?;
    let tables = netlink.tables()?;
    if !tables.iter().any(|one| one.name == table) {
        return Ok(Outcome::Missed(format!("there is no table {table}")));
    }
    if !is_served(&mut netlink, table)? {
        return Ok(Outcome::Missed("its worker does not serve the queue".to_owned()));
    }
    let alone = !tables.iter().any(|one| one.name != table && is_trace_name(&one.name));
    let Some(pattern) = params.names.first() else {
        return Ok(Outcome::Missed("it is about no name".to_owned()));
    };
    let name = pattern.example(WORD);
    let kind = if params.addresses.iter().any(|address| address.0.is_ipv4()) || params.addresses.is_empty() {
        Kind::V4
    } else {
        Kind::V6
    };
    let is_meant = |name: &str| params.names.iter().any(|pattern| pattern.matches(name));
    let bystander = BYSTANDERS.into_iter().find(|name| !is_meant(name));
    let mut ids = ids(table);
    let lines = Line::to(server, Meets::NoNames).and_then(|past| Ok((past, Line::to(server, Meets::All)?)));
    let (mut past, mut line) = match lines {
        Ok(lines) => lines,
        Err(error) => {
            let why = format!("the name server {server} cannot be asked: {error}");
            return Ok(Outcome::Unmeasured(why));
        }
    };
    // Without the fault.
    let mut without = vec![past.ask(ids(), &name, kind)?];
    if let Some(other) = bystander {
        without.push(past.ask(ids(), other, kind)?);
    }
    past.listen(SOON, &without)?;
    // With it.
    let hits_before = hits(&mut netlink, table)?;
    let count = if params.probability.fraction() >= 1.0 {
        FEW
    } else {
        MANY
    };
    let mut numbers = Vec::new();
    let mut others = Vec::new();
    for _ in 0..count {
        numbers.push(line.ask(ids(), &name, kind)?);
        if let Some(other) = bystander.filter(|_| others.is_empty()) {
            others.push(line.ask(ids(), other, kind)?);
        }
        line.listen(GAP, &[])?;
    }
    let all = [&numbers[..], &others].concat();
    line.listen(params.delay.0 + SOON, &all)?;
    let hits = hits(&mut netlink, table)?;
    let heard = |line: &Line, numbers: &[usize], at: usize| numbers.get(at).and_then(|at| line.heard(*at)).cloned();
    let mut measured = Measured {
        server,
        kind,
        heard: numbers.iter().map(|number| line.heard(*number).cloned()).collect(),
        without: heard(&past, &without, 0),
        bystander: bystander.map(|name| Bystander {
            name,
            heard: heard(&line, &others, 0),
            without: heard(&past, &without, 1),
        }),
        name,
        hits: hits.saturating_sub(hits_before),
        own: 0,
        alone,
    };
    *ours += measured.ours(params);
    measured.own = hits.saturating_sub(*ours);
    Ok(Outcome::Measured(Box::new(measured)))
}

/// How many packets came to the queue and did not go on from there as they were.
fn hits(netlink: &mut Netlink, table: &str) -> io::Result<u64> {
    let mut fewest = u64::MAX;
    for _ in 0..READINGS {
        let counters = netlink.rule_counters(table)?;
        let sum = |chain: &str| -> u64 {
            let of_chain = counters.iter().filter(|((name, _), _)| name == chain);
            of_chain.map(|(_, counter)| counter.packets).sum()
        };
        fewest = fewest.min(sum(rules::QUESTIONS).saturating_sub(sum(rules::PASSED)));
    }
    Ok(fewest)
}

/// Numbers for questions, of which a resolver on the machine has seen none lately.
fn ids(table: &str) -> impl FnMut() -> u16 {
    let mut next = Seed(clock::boottime().as_nanos() as u64).draw("question", table, 0).0 as u16;
    move || {
        next = next.wrapping_add(1);
        next
    }
}

impl Measured {
    /// Whether what was heard is what was asked.
    fn is_as_asked(&self, params: &params::Dns, heard: Option<&Heard>) -> bool {
        let Some(heard) = heard else {
            return params.answer == Some(Answer::Timeout);
        };
        let late = heard.took >= params.delay.0;
        late && match params.answer {
            Some(Answer::Timeout) => false,
            Some(Answer::Nxdomain) => heard.code == 3,
            Some(Answer::Servfail) => heard.code == 2,
            Some(Answer::Refused) => heard.code == 5,
            None if params.addresses.is_empty() => true,
            None => {
                heard.code == 0 && heard.addresses.iter().copied().collect::<BTreeSet<_>>() == self.expected(params)
            }
        }
    }

    fn expected(&self, params: &params::Dns) -> BTreeSet<IpAddr> {
        let is_of_kind = |address: &IpAddr| address.is_ipv4() == (self.kind == Kind::V4);
        params
            .addresses
            .iter()
            .map(|address| address.0)
            .filter(is_of_kind)
            .collect()
    }

    fn as_asked(&self, params: &params::Dns) -> u32 {
        let is = |heard: &&Option<Heard>| self.is_as_asked(params, heard.as_ref());
        self.heard.iter().filter(is).count() as u32
    }

    /// How many of our questions were hit; where that cannot be told, as many as can have been.
    fn ours(&self, params: &params::Dns) -> u64 {
        let certain = params.probability.fraction() < 1.0 && !self.is_as_asked(params, self.without.as_ref());
        if certain {
            u64::from(self.as_asked(params))
        } else {
            self.heard.len() as u64
        }
    }

    /// Packets of the target's own that were hit.
    pub(super) fn own(&self) -> u64 {
        self.own
    }

    /// What was delivered, and whether that is what was asked.
    pub(super) fn judge(&self, params: &params::Dns) -> (String, Landed) {
        let (seen, of) = (self.as_asked(params), self.heard.len() as u32);
        let whom = format!("questions for {} to {}", self.name, self.server);
        let mut delivered = format!("{} to {seen} of {of} {whom}", asked(params));
        if !params.delay.0.is_zero()
            && let Some(late) = self.late(params)
        {
            delivered = format!("{delivered}, {} late", millis(late));
        }
        delivered = format!("{delivered}; {}", self.bystander_words());
        // Who hears nothing either way can tell nothing of a delay.
        if params.answer.is_none() && params.addresses.is_empty() && seen == 0 && self.without.is_none() {
            let why = format!("the name server {} does not answer in time", self.server);
            return (delivered, Landed::Unmeasured(why));
        }
        let landed = self.landed(params, seen, of);
        (delivered, landed)
    }

    fn landed(&self, params: &params::Dns, seen: u32, of: u32) -> Landed {
        if seen == 0 && params.probability.fraction() >= 1.0 {
            return Landed::No(format!("none of {of} questions for {} was hit", self.name));
        }
        // Another fault of ours may have its part in what becomes of each.
        if self.alone {
            let probes = Tally {
                seen: seen.into(),
                of: of.into(),
            };
            match share("as asked", params.probability.fraction(), probes, None, 1.0) {
                (_, Landed::Yes) => {}
                (_, not) => return not,
            }
        }
        if self.hits == 0 && seen > 0 {
            let why = "what was heard is what the name server says: no question was taken from it";
            return Landed::No(why.to_owned());
        }
        if let Some(late) = self.late(params).filter(|_| self.alone) {
            let most = params.delay.0.mul_f64(1.0 + SHARE) + SLACK;
            if late + JITTER < params.delay.0 || late > most {
                return Landed::No(format!(
                    "answers come {} late in place of {}",
                    millis(late),
                    params.delay
                ));
            }
        }
        if let Some(why) = self.bystander_harmed(params) {
            return Landed::No(why);
        }
        if self.own == 0 {
            return Landed::No("no question of the target's own was among those that it is about".to_owned());
        }
        Landed::Yes
    }

    /// How much later answers come that are as asked, the one in the middle. `None`: there is none, or nothing to compare with and none
    /// that is made up.
    fn late(&self, params: &params::Dns) -> Option<Duration> {
        if params.delay.0.is_zero() {
            return None;
        }
        let is = |heard: &&Heard| self.is_as_asked(params, Some(heard));
        let mut times: Vec<_> = self.heard.iter().flatten().filter(is).map(|heard| heard.took).collect();
        times.sort_unstable();
        let middle = *times.get(times.len() / 2)?;
        let made_up = params.answer.is_some() || !params.addresses.is_empty();
        if made_up {
            return Some(middle);
        }
        Some(middle.saturating_sub(self.without.as_ref()?.took))
    }

    fn bystander_harmed(&self, params: &params::Dns) -> Option<String> {
        let other = self.bystander.as_ref().filter(|_| self.alone)?;
        // Without an answer there is nothing that could be taken from it.
        let without = other.without.as_ref()?;
        let why = match &other.heard {
            None => "gets no answer".to_owned(),
            Some(heard) if heard.code != without.code => {
                format!("gets the code {} in place of {}", heard.code, without.code)
            }
            Some(heard) if !params.delay.0.is_zero() && heard.took > without.took + params.delay.0 / 2 => {
                format!("is answered after {}", millis(heard.took))
            }
            Some(_) => return None,
        };
        Some(format!("{}, which it is not about, {why}", other.name))
    }

    fn bystander_words(&self) -> String {
        match &self.bystander {
            None => "it is about all names".to_owned(),
            Some(_) if !self.alone => "bystanders have other faults of Fracas".to_owned(),
            Some(other) if other.without.is_none() => format!("the bystander {} has no answer anyway", other.name),
            Some(other) => match &other.heard {
                None => format!("no answer to the bystander {}", other.name),
                Some(heard) => format!("the bystander {} answered in {}", other.name, millis(heard.took)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use fracas_core::names::NamePattern;
    use fracas_core::units::{Percent, Span};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn heard(code: u8, took: u32) -> Heard {
        let (addresses, took) = (Vec::new(), took * MS);
        Heard {
            code,
            addresses,
            whole: true,
            took,
        }
    }

    fn all(heard: Heard) -> Vec<Option<Heard>> {
        vec![Some(heard); 3]
    }

    fn measured(heard_all: Vec<Option<Heard>>) -> Measured {
        Measured {
            server: IpAddr::from([10, 0, 0, 1]),
            name: "db".to_owned(),
            kind: Kind::V4,
            hits: heard_all.len() as u64,
            heard: heard_all,
            without: Some(heard(0, 1)),
            bystander: Some(Bystander {
                name: "localhost",
                heard: Some(heard(0, 2)),
                without: Some(heard(0, 1)),
            }),
            own: 9,
            alone: true,
        }
    }

    fn params(answer: Option<Answer>, delay: u64, probability: f64) -> params::Dns {
        params::Dns {
            answer,
            delay: Span::millis(delay),
            probability: Percent(probability),
            ..params::Dns::new(vec![NamePattern::all()])
        }
    }

    #[track_caller]
    fn no(params: &params::Dns, measured: &Measured, why: &str) {
        let (delivered, landed) = measured.judge(params);
        let Landed::No(said) = landed else {
            panic!("{delivered}: {landed:?}")
        };
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn what_was_asked_lands_and_anything_else_does_not() {
        let nxdomain = params(Some(Answer::Nxdomain), 0, 100.0);
        let good = measured(all(self::heard(3, 1)));
        let (delivered, landed) = good.judge(&nxdomain);
        assert_eq!(landed, Landed::Yes);
        assert_eq!(
            delivered,
            "NXDOMAIN to 3 of 3 questions for db to 10.0.0.1; the bystander localhost answered in 2.0ms"
        );
        no(&nxdomain, &measured(all(self::heard(0, 1))), "none of 3 questions");
        no(&nxdomain, &measured(vec![None; 3]), "none of 3 questions");
        no(
            &nxdomain,
            &measured(vec![Some(heard(3, 1)), Some(heard(0, 1)), Some(heard(3, 1))]),
            "66.7%",
        );
        no(&nxdomain, &Measured { hits: 0, ..good }, "what the name server says");
        let lost = params(Some(Answer::Timeout), 0, 100.0);
        assert_eq!(measured(vec![None; 3]).judge(&lost).1, Landed::Yes);
        let good = measured(vec![None; 3]);
        no(&lost, &Measured { own: 0, ..good }, "no question of the target's own");
    }

    #[test]
    fn a_delay_is_compared_with_what_it_is_without() {
        let delay = params(None, 200, 100.0);
        let of = |took| measured(all(self::heard(0, took)));
        assert_eq!(of(203).judge(&delay).1, Landed::Yes);
        no(&delay, &of(150), "none of 3 questions");
        no(&delay, &of(280), "279.0ms late in place of 200ms");
        let silent = Measured {
            without: None,
            ..measured(vec![None; 3])
        };
        assert!(matches!(silent.judge(&delay).1, Landed::Unmeasured(_)));
    }

    #[test]
    fn a_bystander_that_hears_something_else_was_hit() {
        let nxdomain = params(Some(Answer::Nxdomain), 0, 100.0);
        let with = |heard: Option<Heard>, without: Option<Heard>| Measured {
            bystander: Some(Bystander {
                name: "localhost",
                heard,
                without,
            }),
            ..measured(all(self::heard(3, 1)))
        };
        no(
            &nxdomain,
            &with(Some(heard(3, 1)), Some(heard(0, 1))),
            "the code 3 in place of 0",
        );
        no(&nxdomain, &with(None, Some(heard(0, 1))), "gets no answer");
        assert_eq!(with(None, None).judge(&nxdomain).1, Landed::Yes, "nobody answers it");
        let late = params(Some(Answer::Nxdomain), 100, 100.0);
        let hit = Measured {
            heard: all(self::heard(3, 101)),
            ..with(Some(heard(0, 102)), Some(heard(0, 1)))
        };
        no(&late, &hit, "is answered after 102.0ms");
        let other = Measured { alone: false, ..hit };
        assert_eq!(other.judge(&late).1, Landed::Yes, "that may be another fault's");
    }

    #[test]
    fn a_share_is_what_chance_makes_of_it() {
        let half = params(Some(Answer::Servfail), 0, 50.0);
        let of = |hit: usize| measured([vec![Some(heard(2, 1)); hit], vec![Some(heard(0, 1)); 20 - hit]].concat());
        assert_eq!(of(9).judge(&half).1, Landed::Yes);
        no(&half, &of(20), "whatever chance does");
        no(&half, &of(0), "whatever chance does");
        assert_eq!(of(9).ours(&half), 9);
        let whole = params(Some(Answer::Servfail), 0, 100.0);
        assert_eq!(of(9).ours(&whole), 20, "all can have been hit");
    }
}
