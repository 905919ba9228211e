//! From candidates to targets: who may be broken, how many, and which.

use fracas_core::event::Candidate;
use fracas_core::experiment::TargetSpec;
use fracas_core::problem::codes::{NO_TARGETS, PROTECTED_TARGET};
use fracas_core::problem::{Problem, Result};
use fracas_core::seed::Seed;
use fracas_core::target::{Kind, Target};
use serde::{Deserialize, Serialize};

/// As many reasons as a message shows.
const SHOWN: usize = 10;

/// The targets under one alias, with everything that led to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The alias.
    pub alias: String,
    /// All that matched, by identity, with the reason where one was left out.
    pub candidates: Vec<Candidate>,
    /// The sum behind the number of targets.
    pub sum: String,
    /// The chosen, by identity.
    pub targets: Vec<Target>,
    /// What chance decided; nothing where all were taken.
    pub decisions: Vec<Decision>,
}

/// One thing that chance decided, as `DecisionLog::add` of fracas-core wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided: always `target` here.
    pub purpose: String,
    /// About what.
    pub identity: String,
    /// How often before.
    pub ordinal: u64,
    /// `yes` or `no`.
    pub chosen: String,
}

/// Something that matched a selector.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) identity: String,
    pub(crate) kind: Kind,
    pub(crate) out: Option<Out>,
}

/// Why something that matched is not a target in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Out {
    /// It is never broken.
    Protected(String),
    /// It is not healthy: it does not count for what must be left healthy either.
    Unfit(String),
}

impl Out {
    fn why(&self) -> String {
        match self {
            Self::Protected(why) => format!("protected: {why}"),
            Self::Unfit(why) => why.clone(),
        }
    }
}

/// Everything that matched one selector.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    pub(crate) found: Vec<Found>,
    /// What helps to understand why nothing matched.
    pub(crate) hints: Vec<String>,
    /// Whether the selector names a single thing: by id or pid file.
    pub(crate) outright: bool,
}

/// Chooses. `noun` is what the candidates are: `container`, `process`.
pub(crate) fn choose(spec: &TargetSpec, noun: &str, matched: Matched, seed: Seed) -> Result<Chosen> {
    let Matched {
        mut found,
        hints,
        outright,
    } = matched;
    let alias = &spec.alias;
    found.sort_by(|a, b| a.identity.cmp(&b.identity));

    let protected = |found: &Found| matches!(found.out, Some(Out::Protected(_)));
    let only_protected = !found.is_empty() && found.iter().all(protected);
    if only_protected || (outright && found.iter().any(protected)) {
        let problem = Problem::new(
            &PROTECTED_TARGET,
            format!("target {alias:?} selects only what is protected"),
        );
        return Err(reasons(problem, &found));
    }
    if found.is_empty() {
        let mut problem = Problem::new(&NO_TARGETS, format!("no running {noun} matches target {alias:?}"));
        problem.causes = hints;
        return Err(problem);
    }

    let mut fit: Vec<&Found> = found.iter().filter(|found| found.out.is_none()).collect();
    let (count, sum) = spec.blast_radius.of(fit.len());
    if count == 0 {
        let problem = Problem::new(
            &NO_TARGETS,
            format!(
                "none of the {} that match target {alias:?} may be broken",
                plural(noun, found.len())
            ),
        )
        .since(format!("blast radius: {sum}"));
        return Err(reasons(problem, &found));
    }

    let mut decisions = Vec::new();
    if count < fit.len() {
        // The smallest draws are taken. Equal draws of 64 bits do not happen; the identity settles it all the same.
        fit.sort_by_key(|found| (seed.draw("target", &found.identity, 0), &found.identity));
        decisions = fit
            .iter()
            .enumerate()
            .map(|(place, found)| Decision {
                purpose: "target".to_owned(),
                identity: found.identity.clone(),
                ordinal: 0,
                chosen: if place < count { "yes" } else { "no" }.to_owned(),
            })
            .collect();
        // The log has one order, whatever the draws.
        decisions.sort_by(|a, b| a.identity.cmp(&b.identity));
        fit.truncate(count);
        fit.sort_by(|a, b| a.identity.cmp(&b.identity));
    }
    let taken = |identity: &str| fit.iter().any(|found| found.identity == identity);
    Ok(Chosen {
        alias: alias.clone(),
        candidates: found
            .iter()
            .map(|found| {
                let chosen = taken(&found.identity);
                Candidate {
                    identity: found.identity.clone(),
                    chosen,
                    why: match &found.out {
                        Some(out) => Some(out.why()),
                        None => (!chosen).then(|| "blast radius".to_owned()),
                    },
                }
            })
            .collect(),
        sum,
        targets: fit
            .iter()
            .map(|found| Target {
                alias: alias.clone(),
                identity: found.identity.clone(),
                kind: found.kind.clone(),
            })
            .collect(),
        decisions,
    })
}

#[expect(clippy::unnecessary_box_returns, reason = "problems travel boxed")]
fn reasons(mut problem: Box<Problem>, found: &[Found]) -> Box<Problem> {
    let out = || found.iter().filter_map(|found| Some((found, found.out.as_ref()?)));
    for (found, why) in out().take(SHOWN) {
        problem.causes.push(format!("{}: {}", found.identity, why.why()));
    }
    let more = out().count().saturating_sub(SHOWN);
    if more > 0 {
        problem.causes.push(format!("and {more} more"));
    }
    problem
}

pub(crate) fn plural(noun: &str, count: usize) -> String {
    match (noun, count) {
        (_, 1) => format!("1 {noun}"),
        ("process", _) => format!("{count} processes"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests;
