use super::*;

mod messages;

/// Loads a text without overrides or variables.
fn plain(text: &str) -> Result<Loaded, Vec<Box<Problem>>> {
    with(text, &[], &[])
}

/// Loads a text.
fn with(text: &str, set: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Loaded, Vec<Box<Problem>>> {
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

/// All that is said about a text, as a person gets it.
fn said(text: &str) -> String {
    let problems: Vec<String> = match plain(text) {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|problem| format!("warning {problem}"))
            .collect(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    problems.join("\n")
}

#[test]
fn templates_load() {
    use fracas_core::params::Inject;
    for fault in Inject::NAMES {
        let text = template(Format::Native, fault).unwrap();
        let loaded = plain(&text).unwrap_or_else(|problems| panic!("{fault}: {}", problems[0]));
        assert_eq!(loaded.experiment.faults[0].inject.name(), *fault);
        assert_eq!(loaded.warnings, [], "{fault}");
    }
    for known in scenario::types::ALL {
        let Ok(text) = template(Format::ChaosScenario, known.name) else {
            continue;
        };
        let loaded = plain(&text).unwrap_or_else(|problems| panic!("{}: {}", known.name, problems[0]));
        assert_eq!(loaded.format, Format::ChaosScenario);
    }
    assert!(
        template(Format::Native, "memory_limt")
            .unwrap_err()
            .to_string()
            .contains("did you mean `memory_limit`?")
    );
}
