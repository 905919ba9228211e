use super::*;

mod defaults;
mod formats;
mod hostile;
mod keys;
mod messages;
mod overrides;
mod series;

/// What comes of a document.
type Answer = Result<Loaded, Vec<Box<Problem>>>;

/// Loads a text without overrides or variables.
fn plain(text: &str) -> Answer {
    with(text, &[], &[])
}

/// Loads a text.
fn with(text: &str, set: &[(&str, &str)], env: &[(&str, &str)]) -> Answer {
    let source = Source {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
    };
    let set: Vec<_> = set
        .iter()
        .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
        .collect();
    load(&source, &set, &|name| {
        env.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

/// Everything that is said about an answer, as a person gets it.
fn said(answer: &Answer) -> String {
    let problems: Vec<String> = match answer {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|problem| format!("warning: {problem}"))
            .collect(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    problems.join("\n")
}

/// The experiment of a text that must load.
fn experiment(text: &str) -> Experiment {
    let answer = plain(text);
    let said = said(&answer);
    assert!(
        answer.is_ok(),
        "{said}
{text}"
    );
    answer.unwrap().experiment
}

/// A text with one part replaced, which must be there once.
fn swap(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?} must be there once");
    text.replace(old, new)
}

#[test]
fn templates_load() {
    use fracas_core::params::Inject;
    for fault in Inject::NAMES {
        let text = template(Format::Native, fault).unwrap();
        let answer = plain(&text);
        assert_eq!(said(&answer), "", "{fault}");
        let first = answer.unwrap().experiment.faults.swap_remove(0);
        let set = first.written.map(|written| written.kind);
        assert_eq!(set.as_deref().unwrap_or(first.inject.name()), *fault);
    }
    let mut seen = 0;
    for known in scenario::types::ALL {
        let Ok(text) = template(Format::ChaosScenario, known.name) else {
            continue;
        };
        assert_eq!(experiment(&text).format, Format::ChaosScenario);
        seen += 1;
    }
    assert_eq!(seen, 19);
    assert!(
        template(Format::Native, "memory_limt")
            .unwrap_err()
            .to_string()
            .contains("did you mean `memory_limit`?")
    );
}
