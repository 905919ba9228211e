//! `fracas schema`

use std::process::ExitCode;

use fracas_core::event::Event;
use fracas_core::experiment::Format;
use fracas_core::problem::Result;

use crate::cli::{Schema, SchemaOf};
use crate::output::print_json;

pub(crate) fn command(schema: &Schema) -> Result<ExitCode> {
    let value = match schema.of {
        SchemaOf::Experiment => fracas_spec::schema(Format::Native),
        SchemaOf::Scenario => fracas_spec::schema(Format::ChaosScenario),
        SchemaOf::ChaosConfig => fracas_spec::chaos_schema(),
        SchemaOf::Orchestration => fracas_spec::orchestration_schema(),
        SchemaOf::ProxyOpenapi => fracas_proxy::openapi(),
        SchemaOf::Report => schemars::schema_for!(fracas_report::Report).to_value(),
        SchemaOf::Events => schemars::schema_for!(Event).to_value(),
        SchemaOf::Settings => crate::settings::schema(),
    };
    print_json(&value)?;
    Ok(ExitCode::SUCCESS)
}
