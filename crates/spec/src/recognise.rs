//! What kind of document this is: by its name, by `apiVersion` and `kind`, or by its shape.

use fracas_core::experiment::Format;
use fracas_core::problem::{Problem, Result, codes};

use crate::place::{printable, quoted};
use crate::problems::{Problems, nearest};
use crate::tree::{Node, Scalar};

/// A kind of document that can be read.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) format: Format,
    /// Whether it consists of `spec` alone.
    pub(crate) bare: bool,
}

const NATIVE: &str = "fracas.dev/v1";

/// Refuses what the name of the file gives away.
pub(crate) fn by_name(name: &str) -> Result<()> {
    if std::path::Path::new(name)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
    {
        let what = format!(
            "{} looks like a suite, and suites are not available yet",
            printable(name)
        );
        return Err(Problem::new(&codes::NOT_AVAILABLE, what).next("write an experiment; see `fracas template`"));
    }
    Ok(())
}

/// A name for a document that has none: that of its file, in the letters that names have.
pub(crate) fn name_of(file: &str) -> String {
    let stem = std::path::Path::new(file)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let letters: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(128)
        .collect();
    let name = letters.trim_matches('-');
    if name.is_empty() {
        "scenario".to_owned()
    } else {
        name.to_owned()
    }
}

/// Finds out the kind. `None` if it cannot be read; the reason is noted.
pub(crate) fn by_shape(root: &Node, problems: &mut Problems<'_>) -> Option<Kind> {
    if root.entries().is_none() {
        problems.error(
            &codes::UNKNOWN_KIND,
            root.spot,
            format!("the document must be a map, not {}", root.kind()),
        );
        return None;
    }
    let word = |key: &str| {
        root.get(key)
            .and_then(Node::scalar)
            .map(|Scalar { text, .. }| text.as_str())
    };
    let (version, kind) = (word("apiVersion"), word("kind"));
    let spot = |key: &str| root.get(key).map_or(root.spot, |node| node.spot);
    let mut later = |spot, what: &str| {
        problems.error(
            &codes::NOT_AVAILABLE,
            spot,
            format!("this is {what}, which is not available yet"),
        );
        None
    };
    match (version, kind) {
        (_, Some("GameDay")) => later(spot("kind"), "a GameDay"),
        (Some(NATIVE), Some("Experiment")) => Some(Kind {
            format: Format::Native,
            bare: false,
        }),
        (_, Some("ChaosScenario")) => Some(Kind {
            format: Format::ChaosScenario,
            bare: false,
        }),
        (Some(version), _) if version.starts_with("chaos") => Some(Kind {
            format: Format::ChaosScenario,
            bare: false,
        }),
        (Some(NATIVE), None) => {
            problems.error(&codes::MISSING_KEY, root.spot, "the document has no `kind`");
            None
        }
        (Some(NATIVE), Some(kind)) => {
            let next = match nearest(kind, ["Experiment", "GameDay", "ChaosScenario"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write `kind: Experiment`".to_owned(),
            };
            problems.error_next(
                &codes::UNKNOWN_KIND,
                spot("kind"),
                format!("the kind {} is not known", quoted(kind)),
                next,
            );
            None
        }
        (Some(version), _) => {
            let what = format!("the apiVersion {} is not known", quoted(version));
            problems.error_next(
                &codes::UNKNOWN_KIND,
                spot("apiVersion"),
                what,
                "write `apiVersion: fracas.dev/v1`",
            );
            None
        }
        (None, Some("Experiment")) => {
            problems.error(&codes::MISSING_KEY, root.spot, "the document has no `apiVersion`");
            None
        }
        (None, Some(kind)) => {
            problems.error(
                &codes::UNKNOWN_KIND,
                spot("kind"),
                format!("the kind {} is not known", quoted(kind)),
            );
            None
        }
        (None, None) if root.get("spec").is_some() => Some(Kind {
            format: Format::ChaosScenario,
            bare: true,
        }),
        (None, None) if root.get("steps").is_some() => {
            problems.error_next(
                &codes::UNKNOWN_KIND,
                spot("steps"),
                "this is an orchestration: a proxy carries it out",
                "`fracas orchestrate start --file FILE` begins it in a proxy that runs",
            );
            None
        }
        (None, None) if root.get("agent").is_some() || root.get("failures").is_some() => {
            later(root.spot, "an agent's configuration")
        }
        (None, None) => {
            problems.error(&codes::UNKNOWN_KIND, root.spot, "the document does not say what it is");
            None
        }
    }
}
