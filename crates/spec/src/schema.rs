//! The JSON schemas of the formats, for editors and for the reference. The same schema reads the documents.

use fracas_core::chaos::{ChaosConfig, Orchestration};
use fracas_core::experiment::Format;
use serde_json::{Value, json};

/// The JSON schema (2020-12) of a format, with a description of every key.
pub fn schema(format: Format) -> Value {
    match format {
        Format::Native => {
            let mut schema = crate::native::shape().json().clone();
            schema["title"] = json!("Fracas Experiment");
            long_signals(&mut schema);
            schema
        }
        Format::ChaosScenario => {
            let mut schema = crate::scenario::shape().json().clone();
            schema["title"] = json!("ChaosScenario");
            long_signals(&mut schema);
            // The bare form is for documents that exist; whoever writes a new one in an editor should write it whole.
            schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
            schema
        }
    }
}

/// The JSON schema of what a proxy does to traffic.
pub fn chaos_schema() -> Value {
    let mut schema = crate::chaos::shape::<ChaosConfig>().json().clone();
    schema["title"] = json!("ChaosConfig");
    schema
}

/// The JSON schema of an orchestration.
pub fn orchestration_schema() -> Value {
    let mut schema = crate::chaos::shape::<Orchestration>().json().clone();
    schema["title"] = json!("Orchestration");
    // A name alone.
    schema["$defs"]["Scenario"]["type"] = json!(["object", "string"]);
    schema
}

/// Adds the names of signals with `SIG`, which are read too.
fn long_signals(schema: &mut Value) {
    let Some(variants) = schema["$defs"]["Signal"]["oneOf"].as_array_mut() else {
        return;
    };
    let long: Vec<Value> = variants
        .iter()
        .filter_map(|variant| {
            variant["const"]
                .as_str()
                .map(|name| json!({ "const": format!("SIG{name}") }))
        })
        .collect();
    variants.extend(long);
}
