//! `fracas config`: every setting, its value, and where it came from.

use std::fmt::Write as _;
use std::process::ExitCode;

use fracas_core::problem::Result;
use fracas_report::plain;
use fracas_telemetry::metrics::Described;
use serde_json::json;

use crate::cli::{Common, Config};
use crate::output::{print, print_json};
use crate::settings::{KNOWN, Known, REFUSED, Settings};

pub(crate) fn command(common: &Common, config: &Config) -> Result<ExitCode> {
    if config.markdown {
        print(&markdown())?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::load(common)?;
    if config.json {
        let all: Vec<_> = settings
            .all()
            .map(|value| {
                json!({
                    "key": value.known.key,
                    "value": value.shown(),
                    "from": value.from.words(),
                    "meaning": value.known.meaning,
                })
            })
            .collect();
        print_json(&json!({ "file": settings.file, "settings": all }))?;
    } else {
        print(&text(&settings))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(settings: &Settings) -> String {
    let mut text = match &settings.file {
        Some(path) => format!("settings file: {}\n", plain(&path.display().to_string())),
        None => "settings file: none\n".to_owned(),
    };
    for value in settings.all() {
        let shown = value.shown().as_deref().map_or_else(|| "-".to_owned(), plain);
        let _ = writeln!(
            text,
            "  {:<28} {shown:<28} {}",
            value.known.key,
            plain(&value.from.words())
        );
    }
    text
}

fn markdown() -> String {
    let mut page = String::from(
        "# Settings\n\nFlags win over the environment, that over the settings file, that over defaults. `fracas config` shows each \
         with its value and where it came from.\n\nThe settings file is YAML: `--config`, else FRACAS_CONFIG, else \
         `/etc/fracas/config.yaml` as root, else `./fracas.yaml` or `fracas/config.yaml` in the user's configuration. Root does \
         not read `./fracas.yaml`. The file must belong to the user who runs Fracas and be writable by nobody else. Unknown keys \
         are errors. `${NAME}` and `${NAME:-default}` are replaced from the environment.\n\n| setting | value | default | \
         environment | flag | meaning |\n|---|---|---|---|---|---|\n",
    );
    for Known {
        key,
        variables,
        flag,
        kind,
        default,
        meaning,
    } in KNOWN
    {
        let code = |text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("`{text}`")
            }
        };
        let variables: Vec<_> = variables.iter().map(|name| code(name)).collect();
        let _ = writeln!(
            page,
            "| `{key}` | {} | {} | {} | {} | {meaning} |",
            kind.word(),
            code(default.unwrap_or_default()),
            variables.join(", "),
            code(flag)
        );
    }
    page.push_str(
        "\n## Metrics\n\nWhat `telemetry.metrics_listen` serves, as Prometheus' text format or as OpenMetrics. A label has 50 values at \
         most; what comes later is `other`. A run that is over serves nothing: its report has the rest.\n\n| metric | type | \
         labels | meaning |\n|---|---|---|---|\n",
    );
    for Described {
        name,
        kind,
        labels,
        help,
    } in fracas_telemetry::metrics::ALL
    {
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help}. |");
    }
    page.push_str("\nThose of `fracas proxy`:\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for Described {
        name,
        kind,
        labels,
        help,
    } in fracas_telemetry::proxy::ALL
    {
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help}. |");
    }
    page.push_str("\nThose of its API of Toxiproxy:\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for Described {
        name,
        kind,
        labels,
        help,
    } in fracas_telemetry::toxiproxy::ALL
    {
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help}. |");
    }
    page.push_str("\n## Settings of other tools that Fracas does not have\n\nEach is refused by name.\n\n| setting | instead |\n|---|---|\n");
    for (key, instead) in REFUSED {
        let _ = writeln!(page, "| `{key}` | {instead} |");
    }
    page
}
