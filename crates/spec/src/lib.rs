//! Documents in, experiments and diagnostics out.
//!
//! A document becomes a tree in which every value knows its position; overrides and variables change the tree; the JSON schema,
//! made from the Rust types of the format, reads it; then the parts are checked against each other. All problems are found, not
//! the first, and each has its file, line and column. Nothing here touches the system, but for [`read_file`].

mod chaos;
mod check;
mod file;
mod later;
mod lenient;
mod literal;
mod native;
mod orchestration;
mod overrides;
mod place;
mod problems;
mod promql;
mod recognise;
mod scenario;
mod schema;
mod shape;
mod template;
mod tree;
mod typed;
mod vars;
mod yaml;

use fracas_core::experiment::{Experiment, Format};
use fracas_core::problem::{Problem, codes};
use fracas_core::units::Span;

pub use chaos::{Chaos, ProfileForm, chaos, chaos_text, mutations, profile_text};
pub use file::{LARGEST, read_file};
pub use orchestration::{Export, ORCHESTRATION, orchestration};
pub use schema::{chaos_schema, orchestration_schema, schema};
pub use template::template;
pub use typed::{Typed, typed};

use place::Sources;
use problems::Problems;
use tree::Node;

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of the file as the user gave it; problems show it. A document without a name of its own takes it from here.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A document that can be run.
#[derive(Debug)]
pub struct Loaded {
    /// What it asks for, every default filled in.
    pub experiment: Experiment,
    /// What a person should know. Each says what happens instead in [`Problem::next`].
    pub warnings: Vec<Problem>,
    /// What is left out of the experiment because no version of Fracas does it; each is among the warnings too. A run is refused
    /// unless the user agrees (`--skip-unsupported`). With everything left out, [`Experiment::faults`] is empty.
    pub unsupported: Vec<Problem>,
    /// The document's format.
    pub format: Format,
}

/// How often Prometheus scrapes where nobody says it.
pub const SCRAPE_INTERVAL: Span = Span::secs(15);

/// What a document's author leaves to the tool's settings. `None` is the format's own default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Defaults {
    /// `warmup` of a `ChaosScenario`: else 2m.
    pub warmup: Option<Span>,
    /// `cooldown` of a `ChaosScenario`: else 2m.
    pub cooldown: Option<Span>,
    /// `interval` of a `ChaosScenario`, at most a quarter of its `duration`: else 15s.
    pub refresh_interval: Option<Span>,
    /// How long a `ChaosScenario`'s criteria wait for Prometheus: else 10s.
    pub prometheus_timeout: Option<Span>,
    /// How often Prometheus scrapes what a `ChaosScenario`'s criteria ask for: else [`SCRAPE_INTERVAL`].
    pub scrape_interval: Option<Span>,
}

/// Reads a document with the formats' own defaults; see [`load_with`].
pub fn load(
    source: &Source,
    overrides: &[(String, String)],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Vec<Box<Problem>>> {
    load_with(source, overrides, env, &Defaults::default())
}

/// Reads a document.
///
/// `overrides` are paths with their values, as `--set path=value` has them: `duration` = `10s`, `faults.slow.start` = `1s`,
/// `spec.targets[0].selector.enclave` = `test`. A value in brackets or quotes is YAML, any other is itself. Of two for one path the
/// later wins. `env` answers for `${NAME}`; overrides may use it too.
///
/// # Errors
/// All problems, in the order of the document: D001 (too large) to D013, and F005 for a fault that has no way back.
pub fn load_with(
    source: &Source,
    overrides: &[(String, String)],
    env: &dyn Fn(&str) -> Option<String>,
    defaults: &Defaults,
) -> Result<Loaded, Vec<Box<Problem>>> {
    if source.text.len() as u64 > LARGEST {
        let what = format!(
            "{} is larger than {} KiB",
            place::printable(&source.name),
            LARGEST / 1024
        );
        return Err(vec![Problem::new(&codes::DOCUMENT_READ, what)]);
    }
    recognise::by_name(&source.name).map_err(|problem| vec![problem])?;
    let mut sources = Sources::default();
    sources.add(&source.name, &source.text);
    let set: Vec<usize> = overrides
        .iter()
        .map(|(path, value)| sources.add("--set", &format!("{path}={value}")))
        .collect();
    let mut root = yaml::parse(&source.text, 0, &sources).map_err(|problem| vec![problem])?;
    let mut problems = Problems::new(&sources);
    vars::expand(&mut root, env, &mut problems);
    let Some(kind) = recognise::by_shape(&root, &mut problems) else {
        return Err(boxed(sorted(problems)));
    };
    let shape = match kind.format {
        Format::Native => native::shape(),
        Format::ChaosScenario => scenario::shape(),
    };
    for ((path, text), source) in overrides.iter().zip(set) {
        if let Some(mut value) = overrides::value(text, source, path.chars().count() + 1, &mut problems) {
            vars::expand(&mut value, env, &mut problems);
            overrides::set(
                &shape,
                &mut root,
                kind.format == Format::ChaosScenario,
                path,
                value,
                &mut problems,
            );
        }
    }
    let experiment = read(&shape, &root, &kind, &source.name, defaults, &mut problems);
    match experiment {
        Some(experiment) if problems.errors.is_empty() => Ok(Loaded {
            experiment,
            warnings: problems.warnings,
            unsupported: problems.unsupported,
            format: kind.format,
        }),
        _ => Err(boxed(sorted(problems))),
    }
}

/// As they leave: every problem crosses boundaries in a box.
#[expect(clippy::vec_box, reason = "the form in which the rest of Fracas has problems")]
fn boxed(problems: Vec<Problem>) -> Vec<Box<Problem>> {
    problems.into_iter().map(Box::new).collect()
}

fn read(
    shape: &shape::Shape,
    root: &Node,
    kind: &recognise::Kind,
    name: &str,
    defaults: &Defaults,
    problems: &mut Problems<'_>,
) -> Option<Experiment> {
    match kind.format {
        Format::Native => native::load(shape, root, problems),
        Format::ChaosScenario => scenario::load(shape, root, kind.bare, &recognise::name_of(name), defaults, problems),
    }
}

/// The errors, in the order of the document; overrides come last.
fn sorted(problems: Problems<'_>) -> Vec<Problem> {
    let mut errors = problems.errors;
    errors.sort_by_key(|problem| {
        let place = problem.place.as_deref();
        place.map(|place| (place.file == "--set", place.line, place.column))
    });
    errors.dedup();
    // A value with a variable that is not set is wrong in every other way too: that says nothing new.
    let unset: Vec<_> = errors
        .iter()
        .filter(|problem| *problem.code == codes::UNSET_VARIABLE)
        .filter_map(|problem| problem.place.clone())
        .collect();
    errors.retain(|problem| {
        *problem.code == codes::UNSET_VARIABLE || problem.place.as_ref().is_none_or(|place| !unset.contains(place))
    });
    errors
}

#[cfg(test)]
mod tests;
