//! Which requests a block is about.

use fracas_core::chaos::RequestMatcher;

use super::Finds;

/// Notes what is wrong with a matcher. `at` is its path.
pub(super) fn matcher(matcher: &RequestMatcher, finds: &mut Finds<'_, '_>, at: &str) {
    for (index, header) in matcher.headers.iter().enumerate() {
        let path = format!("{at}.headers[{index}]");
        if header.name.is_empty() || !header.name.bytes().all(is_token) {
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

/// RFC 9110, 5.6.2
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110, 5.5
fn is_value(text: &str) -> bool {
    let inner = |c: char| c == '\t' || !c.is_ascii_control();
    text.chars().all(inner) && text.trim_matches([' ', '\t']) == text
}
