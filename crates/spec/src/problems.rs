//! All problems of a document, collected, with their places.

use fracas_core::problem::{Code, Problem};

use crate::place::{Sources, Spot};

/// More than so many help nobody.
const MOST: usize = 100;

/// What was found so far.
#[derive(Debug)]
pub(crate) struct Problems<'a> {
    sources: &'a Sources,
    /// What keeps the document from being run.
    pub(crate) errors: Vec<Problem>,
    /// What a person should know.
    pub(crate) warnings: Vec<Problem>,
    /// What is right, but cannot be done by any version on this kind of target.
    pub(crate) unsupported: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(sources: &'a Sources) -> Self {
        Self {
            sources,
            errors: Vec::new(),
            warnings: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    /// The texts that places point into.
    pub(crate) fn sources(&self) -> &'a Sources {
        self.sources
    }

    /// Adds an error.
    pub(crate) fn error(&mut self, code: &'static Code, spot: Spot, what: impl Into<String>) {
        self.push(*Problem::new(code, what).at(self.sources.place(spot)));
    }

    /// Adds an error with its own advice.
    pub(crate) fn error_next(
        &mut self,
        code: &'static Code,
        spot: Spot,
        what: impl Into<String>,
        next: impl Into<String>,
    ) {
        self.push(*Problem::new(code, what).at(self.sources.place(spot)).next(next));
    }

    /// Adds an error that is already complete.
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.errors.len() < MOST {
            self.errors.push(problem);
        }
    }

    /// Adds a warning: what it is, and what happens instead.
    pub(crate) fn warn(&mut self, code: &'static Code, spot: Spot, what: impl Into<String>, next: impl Into<String>) {
        if self.warnings.len() < MOST {
            self.warnings
                .push(*Problem::new(code, what).at(self.sources.place(spot)).next(next));
        }
    }

    /// Adds something that is left out of the experiment.
    pub(crate) fn unsupported(&mut self, spot: Spot, what: impl Into<String>) {
        let problem = Problem::new(&fracas_core::problem::codes::NOT_AVAILABLE, what)
            .at(self.sources.place(spot))
            .next("`--skip-unsupported` runs the rest without it");
        self.warnings.push((*problem).clone());
        self.unsupported.push(*problem);
    }
}

/// The known word that a person may have meant.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Long words are compared in quadratic time, and nothing known is long.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(score, candidate)| *score > 0.84 || strsim::osa_distance(&word, candidate) <= 1)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Words for a sentence: `a`, `b`, `c`.
pub(crate) fn listed<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words
        .into_iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
