//! Which containers are broken: each test has two runs that differ in one key.

use serde_json::Value;

use crate::support::{Bench, Services, memory_limit, scenario};

/// The names of the targets that a run breaks whose selector is this; `more` is beside the selector.
fn broken(bench: &Bench, selector: &str, more: &str) -> Vec<String> {
    let document = scenario("PATTERN", "duration: 300ms", "", "")
        .replace("selector: { type: docker_container, pattern: \"PATTERN\" }", selector)
        .replace("  interval:", &format!("{more}  interval:"));
    let done = bench.run(&document, &[]).expect(0);
    done.assert_clean();
    let mut chosen = done.chosen();
    chosen.sort();
    let (_, report) = done.test_report();
    assert_eq!(report["fault_installs"], chosen.len(), "every target, and no other");
    let mut installed: Vec<String> = report["cleanup_log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| Value::as_str(&entry["what"]).unwrap())
        .filter_map(|what| what.rsplit(' ').next())
        .map(str::to_owned)
        .collect();
    installed.sort();
    assert_eq!(installed, chosen);
    chosen
}

#[tokio::test]
async fn pattern_count_labels_container_id_and_service_name_choose() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 3).await;
    let prefix = &services.prefix;
    let name = |index: usize| format!("{prefix}{index}");
    let all = vec![name(0), name(1), name(2)];
    let pattern = format!("selector: {{ pattern: \"{prefix}\" }}");
    assert_eq!(broken(&bench, &pattern, ""), all);
    // A regular expression, not anchored.
    let regex = format!("selector: {{ pattern: \"{prefix}[02]\" }}");
    assert_eq!(broken(&bench, &regex, ""), [name(0), name(2)]);

    let one = broken(&bench, &format!("{pattern}\n      count: 1"), "");
    assert!(one.len() == 1 && all.contains(&one[0]), "{one:?}");

    let label = format!(
        "selector: {{ pattern: \"{prefix}\", labels: {{ com.kurtosistech.id: \"{}\" }} }}",
        name(1)
    );
    assert_eq!(broken(&bench, &label, ""), [name(1)]);
    let service = format!("selector: {{ type: kurtosis_service, service_name: \"{}\" }}", name(2));
    assert_eq!(broken(&bench, &service, ""), [name(2)]);
    let id = format!("selector: {{ container_id: {} }}", services.containers[0].id());
    assert_eq!(broken(&bench, &id, ""), [name(0)]);
}

/// Fewer containers than the scenario needs: nothing is touched.
#[tokio::test]
async fn min_validators_and_validator_pattern_are_checked_before_anything_begins() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 2).await;
    let document = |least: u32, pattern: &str| {
        scenario(
            &services.prefix,
            &format!(
                "duration: 300ms\n  preconditions: {{ min_validators: {least}, validator_pattern: \"{pattern}\" }}"
            ),
            "",
            "",
        )
    };
    bench.run(&document(2, &services.prefix), &[]).expect(0);
    for document in [
        document(3, &services.prefix),
        document(2, &format!("{}0", services.prefix)),
    ] {
        let done = bench.run(&document, &[]).expect(2);
        assert!(done.stderr.contains(&services.prefix), "{}", done.stderr);
        assert_eq!(done.states(fracas_core::record::State::Applied), Vec::<u64>::new());
    }
    assert!(memory_limit(&services.containers[0]).await > 1 << 40);
}

/// The enclave's label keeps a scenario inside of it.
#[tokio::test]
async fn enclave_chooses_by_the_label_of_the_enclave() {
    let Some(bench) = Bench::new().await else { return };
    let name = format!("fracas-scenario-enclave-{}", std::process::id());
    let container = |end: &str, enclave: &str| {
        fracas_lab::TestContainer::build(&bench.engine)
            .name(&format!("{name}-{end}"))
            .label("com.kurtosistech.enclave-name", enclave)
            .start()
    };
    let mine = container("mine", "pos").await.unwrap();
    let other = container("other", "dev").await.unwrap();
    let both = format!("selector: {{ pattern: \"{name}\" }}");
    assert_eq!(broken(&bench, &both, ""), [mine.name(), other.name()]);
    let within = format!("selector: {{ pattern: \"{name}\", enclave: pos }}");
    assert_eq!(broken(&bench, &within, ""), [mine.name()]);
}
