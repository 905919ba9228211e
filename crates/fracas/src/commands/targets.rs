//! `fracas targets`: candidates, chosen, protected, and why.

use std::fmt::Write as _;
use std::process::ExitCode;

use fracas_core::event::Candidate;
use fracas_core::experiment::Experiment;
use fracas_core::problem::{Problem, Result, Said};
use fracas_core::seed::Seed;
use fracas_docker::Engine;
use fracas_report::plain;
use serde::Serialize;

use crate::cli::{Common, Format, Targets};
use crate::document::load;
use crate::output::{print, print_json, tell, tell_problem};
use crate::settings::Settings;

/// What was found.
#[derive(Debug, Serialize)]
struct Shown {
    aliases: Vec<Alias>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Alias {
    alias: String,
    candidates: Vec<Candidate>,
    sum: Option<String>,
    chosen: Vec<String>,
    problem: Option<Said>,
}

pub(crate) fn command(common: &Common, targets: &Targets) -> Result<ExitCode> {
    let settings = Settings::load(common)?;
    let experiment = load(&targets.file, &targets.document, &settings)?.experiment;
    let (shown, problems) = super::runtime()?.block_on(find(&experiment, settings.docker_host().as_deref()))?;
    match targets.format {
        Format::Json => print_json(&shown)?,
        Format::Text => {
            print(&text(&shown))?;
            for problem in &problems {
                tell_problem(problem);
            }
        }
    }
    Ok(ExitCode::from(if problems.is_empty() { 0 } else { 2 }))
}

async fn find(experiment: &Experiment, docker_host: Option<&str>) -> Result<(Shown, Vec<Box<Problem>>)> {
    let engine = if fracas_targets::needs_engine(&experiment.targets, &experiment.preconditions) {
        Some(Engine::connect(docker_host).await?)
    } else {
        None
    };
    // Which are drawn depends on the seed; without one in the document this is one possible draw.
    let seed = experiment.seed.unwrap_or(Seed(0));
    let mut shown = Shown {
        aliases: Vec::new(),
        notes: Vec::new(),
    };
    let mut problems = Vec::new();
    if let Err(problem) = fracas_targets::discover(&[], &experiment.preconditions, engine.as_ref(), seed).await {
        problems.push(problem);
    }
    // One alias after the other: what is wrong with one says nothing of the next.
    let mut left_to_chance = false;
    for spec in &experiment.targets {
        match fracas_targets::discover(std::slice::from_ref(spec), &[], engine.as_ref(), seed).await {
            Ok(found) => {
                shown.notes.extend(found.notes);
                for chosen in found.chosen {
                    left_to_chance |= !chosen.decisions.is_empty();
                    shown.aliases.push(Alias {
                        alias: chosen.alias,
                        candidates: chosen.candidates,
                        sum: Some(chosen.sum),
                        chosen: chosen.targets.into_iter().map(|target| target.identity).collect(),
                        problem: None,
                    });
                }
            }
            Err(problem) => {
                shown.aliases.push(Alias {
                    alias: spec.alias.clone(),
                    candidates: Vec::new(),
                    sum: None,
                    chosen: Vec::new(),
                    problem: Some(Said::from(&*problem)),
                });
                problems.push(problem);
            }
        }
    }
    if left_to_chance && experiment.seed.is_none() {
        shown
            .notes
            .push("the document has no seed: a run draws its own, and may choose others".to_owned());
    }
    Ok((shown, problems))
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    for alias in &shown.aliases {
        let sum = alias.sum.as_deref().map_or_else(|| "nothing".to_owned(), plain);
        let _ = writeln!(text, "{}: {sum}", plain(&alias.alias));
        for candidate in &alias.candidates {
            let _ = writeln!(text, "  {}", super::plan::line(candidate));
        }
    }
    for note in &shown.notes {
        tell(&format!("note: {}", plain(note)));
    }
    text
}
