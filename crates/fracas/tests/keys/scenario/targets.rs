//! Which containers are broken.

use super::spec;
use crate::seen::{Look, differ, keys, look, swap};
use crate::stage::Stage;

/// A scenario with this target and more.
macro_rules! on {
    ($target:literal) => {
        on!($target, "")
    };
    ($target:literal, $more:literal) => {
        spec!(
            "  targets:\n    - { alias: it, ",
            $target,
            " }\n",
            "  faults: [{ phase: p, target: it, type: memory_pressure, params: { memory_mb: 64 } }]\n",
            $more
        )
    };
}

keys! { Stage::containers(), Targets, on!("selector: { pattern: '@C-1' }");
    key_spec_targets_selector_pattern: "@C-1" => "@C-[2]", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

keys! { Stage::containers(), Targets, on!("selector: { pattern: '@C', labels: { number: '1' } }");
    key_spec_targets_selector_labels: "'1'" => "'2'", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

keys! { Stage::containers(), Targets, on!("selector: { container_id: '@ID1' }");
    key_spec_targets_selector_container_id: "@ID1" => "@ID2", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

keys! { Stage::containers(), Targets, on!("selector: { service_name: '@C-1' }");
    key_spec_targets_selector_service_name: "@C-1" => "@C-2", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

keys! { Stage::containers(), Targets, on!("selector: { pattern: '@C', enclave: '@C-1' }");
    key_spec_targets_selector_enclave: "enclave: '@C-1'" => "enclave: '@C-2'", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

keys! { Stage::containers(), Targets, on!("selector: { pattern: '@C' }, count: 0");
    key_spec_targets_count: "count: 0" => "count: 1", "/count", "2" => "1";
}

keys! { Stage::containers(), Targets, on!("selector: { pattern: '@C' }", "  preconditions: { min_validators: 2, validator_pattern: '@C-' }\n");
    key_spec_preconditions_min_validators: "min_validators: 2" => "min_validators: 3", "/code", "0" => "2";
    key_spec_preconditions_validator_pattern: "validator_pattern: '@C-'" => "validator_pattern: '@C-1'", "/code", "0" => "2";
}

/// A service of Kurtosis has its label; one of the two has not.
#[test]
fn key_spec_targets_selector_type() {
    let Some(stage) = Stage::container() else { return };
    let stage = stage.with_another();
    differ(
        &stage,
        Look::Targets,
        on!("selector: { type: docker_container, pattern: '@C' }"),
        ("docker_container", "kurtosis_service"),
        "/count",
        ("2", "1"),
    );
}

#[test]
fn key_spec_targets_alias() {
    let Some(stage) = Stage::container() else { return };
    let base = on!("selector: { pattern: '@C-1' }");
    differ(
        &stage,
        Look::Plan,
        base,
        ("alias: it", "alias: that"),
        "/code",
        ("0", "2"),
    );
    let both = swap(&swap(base, "alias: it", "alias: that"), "target: it", "target: that");
    assert_eq!(look(&stage, Look::Plan, base)["out"]["targets"][0]["alias"], "it");
    assert_eq!(look(&stage, Look::Plan, &both)["out"]["targets"][0]["alias"], "that");
}

#[test]
fn key_spec_faults_target() {
    let Some(stage) = Stage::containers() else { return };
    let base = on!("selector: { pattern: '@C-1' } }\n    - { alias: other, selector: { pattern: '@C-2' }");
    differ(
        &stage,
        Look::Plan,
        base,
        ("target: it", "target: other"),
        "/out/changes/0/target",
        ("@C-1", "@C-2"),
    );
}
