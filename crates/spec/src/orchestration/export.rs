//! Orchestrations as text.

use fracas_core::chaos::Orchestration;
use serde::ser::Error as _;

use crate::literal::{self, escaped};

/// Writes an orchestration as text that can be read again, by [`orchestration`](crate::orchestration): what would be read as a variable is
/// no variable of it.
///
/// ```
/// use fracas_core::chaos::{Orchestration as OrchestratedScenario, Scenario, Step as ScenarioStep};
/// use fracas_spec::Export as _;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (scenario1, scenario2) = (Scenario::named("slow_backend"), Scenario::named("peak_traffic"));
/// # let directory = tempfile::tempdir()?;
/// # std::env::set_current_dir(&directory)?;
///
/// let orchestration = OrchestratedScenario::new("my_test")
///     .with_description("Programmatic orchestration")
///     .add_step(
///         ScenarioStep::new("step1", scenario1)
///             .with_duration(60)
///             .with_delay_before(5)
///     )
///     .add_step(
///         ScenarioStep::new("step2", scenario2)
///             .with_duration(120)
///             .continue_on_failure()
///     )
///     .with_parallel_execution();
///
/// // Export to share
/// let yaml = orchestration.to_yaml()?;
/// std::fs::write("orchestration.yaml", yaml)?;
/// # let source = fracas_spec::Source {
/// #     name: "orchestration.yaml".to_owned(),
/// #     text: std::fs::read_to_string("orchestration.yaml")?,
/// # };
/// # assert_eq!(fracas_spec::orchestration(&source, &|_| None, None).unwrap(), orchestration);
/// # assert!(orchestration.parallel && orchestration.steps[1].continue_on_failure);
/// # Ok(())
/// # }
/// ```
pub trait Export {
    /// As YAML, for people.
    ///
    /// # Errors
    /// A value has no form.
    fn to_yaml(&self) -> serde_json::Result<String>;

    /// As JSON, in lines, for a document has no long ones.
    ///
    /// # Errors
    /// The same.
    fn to_json(&self) -> serde_json::Result<String>;
}

impl Export for Orchestration {
    fn to_yaml(&self) -> serde_json::Result<String> {
        serde_saphyr::to_string(&escaped(self)?).map_err(serde_json::Error::custom)
    }

    fn to_json(&self) -> serde_json::Result<String> {
        let text = literal::json(self)?;
        let mut printable = String::with_capacity(text.len());
        for c in text.chars() {
            // JSON lets them stand in a text, and YAML does not (1.2.2, 5.1).
            if matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}') {
                printable.extend(format!("\\u{:04x}", u32::from(c)).chars());
            } else {
                printable.push(c);
            }
        }
        Ok(printable)
    }
}
