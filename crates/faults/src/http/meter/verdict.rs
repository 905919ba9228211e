//! What was delivered, and whether that is what was asked.

use fracas_core::record::Landed;

use super::super::parts::{Need, Part};
use super::expected::Seen;
use super::{Measured, TELLING};
use crate::impairment::verdict::{millis, share};

/// Of so many parts is said what was delivered; of all is judged whether they landed.
const MOST_SAID: usize = 8;

impl Measured {
    /// What it did to others.
    pub(crate) fn effect(&self) -> String {
        format!(
            "{} of {} requests of others were hit, in {} connections",
            self.report.hit, self.report.asked, self.own
        )
    }

    /// What was delivered, and whether that is what was asked.
    pub(crate) fn judge(&self, parts: &[Part], port: u16) -> (String, Landed) {
        let mut delivered = Vec::new();
        let mut landed = Vec::new();
        let mut unsaid = 0;
        for (at, part) in parts.iter().enumerate() {
            let (said, judged) = self.judge_part(at, part);
            landed.extend(judged);
            if delivered.len() < MOST_SAID {
                delivered.extend(said);
            } else {
                unsaid += usize::from(said.is_some());
            }
        }
        if unsaid > 0 {
            delivered.push(format!("{unsaid} more parts"));
        }
        if landed.is_empty() {
            delivered.push("the worker answers for the port".to_owned());
            let why = "what counts requests is not tried by requests of our own: see the effect".to_owned();
            landed.push(Landed::Unmeasured(why));
        }
        delivered.push(match &self.bystander {
            None => "another port answers as ever".to_owned(),
            Some(why) => why.clone(),
        });
        if let Some(why) = &self.bystander {
            landed.push(Landed::No(why.clone()));
        }
        if self.report.asked == 0 {
            landed.push(Landed::No(match self.own {
                0 => format!("nobody else opened a connection to port {port}"),
                some => format!("no request came by {some} connections to port {port}"),
            }));
        }
        (delivered.join(", "), worst(landed))
    }

    /// The same of one part. Nothing is said of what asks nothing.
    fn judge_part(&self, at: usize, part: &Part) -> (Option<String>, Vec<Landed>) {
        let expected = &part.expected;
        let seen = self.known.seen.get(at).copied().unwrap_or_default();
        let mut delivered = Vec::new();
        let mut landed = Vec::new();
        let is_tried = part.asks.is_some() && seen != Seen::default();
        for (what, asked, tally) in [
            ("failed", expected.failed, seen.failed),
            ("dropped", expected.dropped, seen.dropped),
            ("harmed", expected.harmed, seen.harmed),
            ("late", expected.late.share, seen.late),
        ] {
            if asked > 0.0 && is_tried {
                // Where all fail there is none that could be late.
                if tally.of == 0 && what != "failed" {
                    delivered.push(format!("none that could be {what}"));
                    // By chance, or because none was to fail.
                    if expected.failed < 1.0 {
                        landed.push(Landed::Unmeasured(format!("no request of ours could be {what} so far")));
                    }
                    continue;
                }
                let (words, judged) = share(what, asked, tally, None, 1.0);
                delivered.push(words);
                landed.push(judged);
            } else if is_amiss(what) && tally.seen > 0 {
                landed.push(Landed::No(format!(
                    "{} of {} probes {what}, and none was to",
                    tally.seen, tally.of
                )));
            }
        }
        if part.asks.is_some() && !is_tried {
            landed.push(Landed::Unmeasured("no request of ours was for it so far".to_owned()));
        }
        let mine = self.heard.iter().filter(|(of, _)| *of == at).map(|(_, heard)| heard);
        if let Some(held) = expected.held(mine, self.without) {
            delivered.push(format!("{} late", millis(held)));
            landed.extend(expected.late.is_too_long(held));
        }
        let least = TELLING.max(self.without.as_secs_f64() * 1000.0);
        if expected.late.share > 0.0 && expected.late.from < least {
            let why = format!("a delay of mostly less than {least:.0}ms cannot be told from none");
            landed.push(Landed::Unmeasured(why));
        }
        landed.extend(part.unseen.clone().map(Landed::Unmeasured));
        for need in &part.needs {
            let (came, hit) = self.report.parts.get(&need.counter).copied().unwrap_or_default();
            if need.is_hit {
                delivered.push(format!("{hit} hits on {came} {} of others", need.of));
            }
            landed.extend(self.lacks(need, came, hit));
        }
        if part.words.is_empty() {
            return ((!delivered.is_empty()).then(|| delivered.join(", ")), landed);
        }
        let said = format!("{}: {}", part.words, delivered.join(", "));
        let of_it = |landed: Landed| match landed {
            Landed::No(why) => Landed::No(format!("{}: {why}", part.words)),
            Landed::Unmeasured(why) => Landed::Unmeasured(format!("{}: {why}", part.words)),
            Landed::Yes => Landed::Yes,
        };
        let landed = landed.into_iter().map(of_it).collect();
        ((!delivered.is_empty()).then_some(said), landed)
    }

    /// Why nothing of it has landed on others.
    fn lacks(&self, need: &Need, came: u64, hit: u64) -> Option<Landed> {
        if came == 0 {
            // Where none came at all that is said.
            if self.report.asked == 0 {
                return None;
            }
            let why = format!("none of {} requests of others was {}", self.report.asked, need.what);
            return Some(Landed::No(why));
        }
        (need.is_hit && hit == 0).then(|| {
            let why = format!("none of {came} {} of others was hit so far", need.of);
            Landed::Unmeasured(why)
        })
    }
}

/// Whether it should not be seen where it was not asked.
fn is_amiss(what: &str) -> bool {
    ["failed", "dropped"].contains(&what)
}

/// What did not land, before what is not known.
fn worst(all: Vec<Landed>) -> Landed {
    let rank = |landed: &Landed| match landed {
        Landed::No(_) => 0,
        Landed::Unmeasured(_) => 1,
        Landed::Yes => 2,
    };
    all.into_iter().min_by_key(rank).unwrap_or(Landed::Yes)
}
