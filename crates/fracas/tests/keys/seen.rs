//! What a command shows of a document, and that two documents differ in it.

use fracas_core::event::{Event, What};
use serde_json::{Value, json};

use crate::stage::Stage;

/// A way to look at a document: each is one command of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// `fracas validate`, as JSON.
    Validate,
    /// `fracas targets`, as JSON; `count` is how many are chosen.
    Targets,
    /// `fracas plan`, as JSON.
    Plan,
    /// The report of `fracas run --dry-run`; `reading` is what the first probe gave.
    Dry,
    /// The report of `fracas run --dry-run=full`, which waits as the run would.
    Full,
    /// The report of `fracas run --yes`.
    Run,
}

/// What a look shows: `code`, `err`, `out`, and more for some.
pub(crate) fn look(stage: &Stage, look: Look, document: &str) -> Value {
    let file = stage.cli.file("document.yaml", &stage.text(document));
    let out = tempfile::tempdir_in(stage.cli.place()).unwrap();
    let to = out.path().display().to_string();
    let report = ["--format", "json", "--out", &to];
    let words: Vec<&str> = match look {
        Look::Validate => vec!["validate", &file, "--format", "json"],
        Look::Targets => vec!["targets", &file, "--format", "json"],
        Look::Plan => vec!["plan", &file, "--format", "json"],
        Look::Dry => [&["run", &file, "--dry-run"], report.as_slice()].concat(),
        Look::Full => [&["run", &file, "--dry-run=full"], report.as_slice()].concat(),
        Look::Run => [&["run", &file, "--yes"], report.as_slice()].concat(),
    };
    let said = stage.cli.run(&words);
    let shown: Value = serde_json::from_str(&said.out).unwrap_or_default();
    let count = shown["aliases"][0]["chosen"].as_array().map_or(0, Vec::len);
    let text = std::fs::read_to_string(out.path().join("events.ndjson")).unwrap_or_default();
    let reading = text.lines().find_map(|line| {
        let event: Event = serde_json::from_str(line).unwrap();
        match event.what {
            What::ProbeRead { reading, .. } => Some(serde_json::to_value(reading).unwrap()),
            _ => None,
        }
    });
    json!({ "code": said.code, "err": said.err, "out": shown, "count": count, "reading": reading })
}

/// A text with one part replaced, which must be there once.
pub(crate) fn swap(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?} must be there once");
    text.replace(old, new)
}

/// Looks at `base`, and at `base` with one key changed: what is shown at `at` (a JSON pointer) says `shown.0` of the one and
/// `shown.1` of the other. A text says what it contains, anything else what it is; both may hold words of the stage.
#[track_caller]
pub(crate) fn differ(stage: &Stage, with: Look, base: &str, change: (&str, &str), at: &str, shown: (&str, &str)) {
    let shown = (&stage.text(shown.0), &stage.text(shown.1));
    let one = look(stage, with, base);
    let other = look(stage, with, &swap(base, change.0, change.1));
    let says = |seen: &Value, text: &str| match seen.pointer(at) {
        Some(Value::String(whole)) => whole.contains(text),
        Some(value) => serde_json::from_str::<Value>(text).is_ok_and(|text| *value == text),
        None => false,
    };
    assert!(says(&one, shown.0), "not {} at {at}: {one:#}", shown.0);
    assert!(says(&other, shown.1), "not {} at {at}: {other:#}", shown.1);
    assert!(
        !says(&one, shown.1) && !says(&other, shown.0),
        "{at} does not tell one from the other: {one:#} {other:#}"
    );
}

/// Looks at `base`, and at `base` with the first of `change` replaced by the second: one is seen as the first of `seen`, the other as the second.
#[track_caller]
pub(crate) fn sees_differ(look: impl Fn(&str) -> String, base: &str, change: (&str, &str), seen: (&str, &str)) {
    assert_eq!(look(base), seen.0, "{base}");
    let other = swap(base, change.0, change.1);
    assert_eq!(look(&other), seen.1, "{other}");
}

/// Tests of keys by a `differ` of the module that they are in: name, base document, `old => new` in it, how it is looked at, and what is seen before
/// and after.
macro_rules! looks {
    ($($name:ident: $base:expr, $old:literal => $new:literal, $look:expr, $before:literal => $after:literal;)*) => {
        $(#[test] fn $name() { differ(&$base, $old, $new, $look, $before, $after); })*
    };
}
pub(crate) use looks;

/// Tests of keys: on which stage, how it is looked at and a document; then name, `old => new` in the document, and where what is
/// shown changes from what to what.
macro_rules! keys {
    ($stage:expr, $look:ident, $base:expr; $($name:ident: $old:literal => $new:literal, $at:literal, $before:literal => $after:literal;)*) => {
        $(#[test] fn $name() {
            let Some(stage) = Option::<$crate::stage::Stage>::from($stage) else { return };
            $crate::seen::differ(&stage, $crate::seen::Look::$look, $base, ($old, $new), $at, ($before, $after));
        })*
    };
}
pub(crate) use keys;
