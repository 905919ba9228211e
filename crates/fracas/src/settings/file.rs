//! The settings file: where it is, whether it can be believed, and what it says.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fracas_core::problem::{Place, Problem, Result, codes};
use fracas_linux::state_dir::private_file;
use fracas_spec::Source;
use serde_json::{Map, Value, json};

use super::known::{KNOWN, Kind, REFUSED};

/// The largest settings file, in bytes.
const LARGEST: u64 = 64 << 10;

/// The settings file and its text: the one that is named, or else the one in its usual place. `None`: there is none, and that is
/// fine unless it was named.
pub(super) fn find(
    named: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
    root: bool,
) -> Result<Option<(PathBuf, String)>> {
    let variable = env("FRACAS_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = named.map(Path::to_owned).or(variable) {
        return match open(&path)? {
            Some(text) => Ok(Some((path, text))),
            None => Err(Problem::new(
                &codes::BAD_SETTING,
                format!("there is no settings file {}", path.display()),
            )
            .next("check `--config` and FRACAS_CONFIG, or leave them out")),
        };
    }
    for path in usual(env, root) {
        if let Some(text) = open(&path)? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}

/// The usual places. Root reads only what root alone can have put there: the working directory may be anybody's.
fn usual(env: &dyn Fn(&str) -> Option<String>, root: bool) -> Vec<PathBuf> {
    if root {
        return vec![PathBuf::from("/etc/fracas/config.yaml")];
    }
    let absolute = |name: &str| env(name).filter(|path| path.starts_with('/')).map(PathBuf::from);
    let home = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let mut places = vec![PathBuf::from("fracas.yaml")];
    places.extend(home.map(|home| home.join("fracas/config.yaml")));
    places
}

fn open(path: &Path) -> Result<Option<String>> {
    let Some(file) = private_file(path)? else {
        return Ok(None);
    };
    let failed = |why: String| {
        Problem::new(
            &codes::BAD_SETTING,
            format!("the settings file {} cannot be read", path.display()),
        )
        .since(why)
    };
    let mut text = String::new();
    file.take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(failed(format!("it is larger than {} KiB", LARGEST >> 10)));
    }
    Ok(Some(text))
}

/// What a settings file says, by key.
pub(super) fn read(
    path: &Path,
    text: String,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, (String, Place)>> {
    let source = Source {
        name: path.display().to_string(),
        text,
    };
    let refused = |key: &str| REFUSED.iter().find(|(name, _)| *name == key).map(|(_, next)| *next);
    let typed = fracas_spec::typed(&source, &schema(), env, &refused).map_err(all)?;
    let mut given = BTreeMap::new();
    for known in KNOWN {
        let value = typed.value.pointer(&format!("/{}", known.key.replace('.', "/")));
        let text = match value {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        if let Some(place) = typed.places.get(known.key) {
            given.insert(known.key.to_owned(), (text, place.clone()));
        }
    }
    Ok(given)
}

/// All problems as one: the first is shown whole, the others as causes with their lines.
fn all(problems: Vec<Box<Problem>>) -> Box<Problem> {
    let mut problems = problems.into_iter();
    let Some(mut first) = problems.next() else {
        return Problem::new(&codes::BAD_SETTING, "the settings file was refused");
    };
    for problem in problems {
        let line = problem.place.as_ref().map_or(0, |place| place.line);
        let next = problem.next.as_deref().unwrap_or(problem.code.next);
        first = first.since(format!("also in line {line}: {} ({next})", problem.what));
    }
    first
}

/// The JSON schema of the file.
pub(crate) fn schema() -> Value {
    let mut groups: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for known in KNOWN {
        let Some((group, key)) = known.key.split_once('.') else {
            continue;
        };
        let mut schema = match known.kind {
            Kind::Wait | Kind::Span => json!({ "$ref": "#/$defs/Span" }),
            Kind::Size => json!({ "$ref": "#/$defs/Size" }),
            Kind::Count => json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
            Kind::Words(words) => json!({ "type": "string", "enum": words }),
            // A port alone is a number for whoever writes it.
            Kind::Listen => json!({ "type": ["string", "integer"] }),
            Kind::Text | Kind::Path | Kind::Web | Kind::Headers | Kind::Hook => json!({ "type": "string" }),
        };
        schema["description"] = known.meaning.into();
        groups.entry(group).or_default().insert(key.to_owned(), schema);
    }
    let group = |properties| json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let properties: Map<String, Value> = groups
        .into_iter()
        .map(|(name, properties)| (name.to_owned(), group(properties)))
        .collect();
    let mut whole = group(properties);
    whole["title"] = "Settings of Fracas".into();
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    whole["$defs"] = json!({
        "Size": schemars::schema_for!(fracas_core::units::Size),
        "Span": schemars::schema_for!(fracas_core::units::Span),
    });
    whole
}
