//! Which requests a block is about, and which of them meet an error of HTTP.

use fracas_core::chaos::{ErrorPattern, MOST_LISTENERS, PatternKind, RequestMatcher, is_listener};
use fracas_core::problem::codes;

use super::Finds;

/// Notes what is wrong with names of listeners. `at` is the path of what names them, with a dot behind it, or empty. Which there are is known
/// to a proxy alone.
pub(super) fn listeners(listeners: &[String], finds: &mut Finds<'_, '_>, at: &str) {
    if listeners.len() > MOST_LISTENERS {
        let what = format!("has more names than a proxy has listeners, which is {MOST_LISTENERS} at most");
        finds.wrong(&format!("{at}listeners"), &what);
        return;
    }
    for (index, name) in listeners.iter().enumerate() {
        let path = format!("{at}listeners[{index}]");
        if !is_listener(name) {
            finds.wrong(&path, "is no name of a listener: 1 to 32 of a to z, 0 to 9 and -");
        } else if listeners[..index].contains(name) {
            finds.error(
                &codes::DUPLICATE_NAME,
                &path,
                format!("`{path}` says `{name}` once more"),
                "leave it out",
            );
        }
    }
}

/// Notes what is wrong with a matcher. `at` is its path.
pub(super) fn matcher(matcher: &RequestMatcher, finds: &mut Finds<'_, '_>, at: &str) {
    listeners(&matcher.listeners, finds, &format!("{at}."));
    for (index, header) in matcher.headers.iter().enumerate() {
        let path = format!("{at}.headers[{index}]");
        if !is_name(&header.name) {
            finds.wrong(&format!("{path}.name"), "is no name of a header");
        }
        if header.value.as_deref().is_some_and(|value| !is_value(value)) {
            let what = "is nothing that a header says: spaces at its ends and line ends are no part of a value";
            finds.wrong(&format!("{path}.value"), what);
        }
    }
    let bounds = [
        ("min_body_size_bytes", matcher.min_body_size_bytes),
        ("max_body_size_bytes", matcher.max_body_size_bytes),
    ];
    if let [(_, Some(least)), (_, Some(most))] = bounds
        && least > most
    {
        let path = format!("{at}.max_body_size_bytes");
        let what = format!("`{path}` is less than `{at}.min_body_size_bytes`: {most} is less than {least}");
        finds.contradiction(&path, &what, "change one of the two");
    }
    for (key, _) in bounds
        .iter()
        .filter(|(_, bound)| matcher.chunked_only && bound.is_some())
    {
        let path = format!("{at}.{key}");
        let what =
            format!("`{path}` bounds a size, and of a body in chunks (`{at}.chunked_only`) nobody knows it in time");
        finds.contradiction(&path, &what, "remove one of the two");
    }
}

/// Notes what is wrong with a pattern. `at` is its path, `statuses` are those of its block.
pub(super) fn pattern(pattern: &ErrorPattern, statuses: &[u16], finds: &mut Finds<'_, '_>, at: &str) {
    let kind = pattern.kind.name();
    let needed: &[&str] = match pattern.kind {
        PatternKind::Burst => &["count", "interval_ms"],
        PatternKind::Random => &["probability"],
        PatternKind::Sequential => &["sequence"],
    };
    for (key, is_said) in [
        ("count", pattern.count.is_some()),
        ("interval_ms", pattern.interval_ms.is_some()),
        ("probability", pattern.probability.is_some()),
        ("sequence", pattern.sequence.is_some()),
    ] {
        match (needed.contains(&key), is_said) {
            (true, false) => {
                let spot = finds.root.nearest(at).spot;
                let what = format!("`{at}` has no `{key}`, which a pattern of type `{kind}` needs");
                finds.problems.error(&codes::MISSING_KEY, spot, what);
            }
            (false, true) => {
                let path = format!("{at}.{key}");
                let what = format!("`{path}` means nothing to a pattern of type `{kind}`");
                finds.contradiction(&path, &what, "remove it, or change the type");
            }
            _ => {}
        }
    }
    if pattern.count == Some(0) {
        finds.wrong(&format!("{at}.count"), "must be at least 1: nothing would ever fail");
    }
    if let Some(interval) = pattern.interval_ms {
        let path = format!("{at}.interval_ms");
        if interval == 0 {
            finds.wrong(&path, "must be at least 1 millisecond");
        }
        finds.millis(&path, interval as f64);
    }
    if let Some(probability) = pattern.probability {
        finds.probability(&format!("{at}.probability"), probability);
    }
    let sequence = pattern.sequence.as_deref();
    for (index, status) in sequence.into_iter().flatten().enumerate() {
        if !(400..=599).contains(status) && *status != 200 {
            let what = format!("must be the status of an error, from 400 to 599, or 200 to let one pass, not {status}");
            finds.wrong(&format!("{at}.sequence[{index}]"), &what);
        }
    }
    if sequence.is_some_and(|sequence| sequence.iter().all(|status| *status == 200)) {
        finds.wrong(&format!("{at}.sequence"), "has no error in it: nothing would ever fail");
    }
    if statuses.is_empty() && pattern.kind != PatternKind::Sequential {
        let what = format!("`{at}` says which requests meet one of `http_errors`, and that is empty");
        finds.contradiction(at, &what, "name a status in `http_errors`, or remove the pattern");
    }
}

/// Whether this is the name of a header, or of a method.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

/// RFC 9110, 5.6.2
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110, 5.5
fn is_value(text: &str) -> bool {
    let inner = |c: char| c == '\t' || !c.is_ascii_control();
    text.chars().all(inner) && text.trim_matches([' ', '\t']) == text
}
