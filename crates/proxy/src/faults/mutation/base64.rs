//! Base64, in the form in which it was found.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// RFC 4648, 4 and 5, with and without padding.
static FORMS: [&GeneralPurpose; 4] = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];

/// The bytes of a text, and its form. `None`: it is no base64, or has no byte.
pub(super) fn decode(text: &str) -> Option<(Vec<u8>, &'static GeneralPurpose)> {
    let of = |form: &&'static GeneralPurpose| Some((form.decode(text).ok()?, *form));
    FORMS.iter().find_map(of).filter(|(bytes, _)| !bytes.is_empty())
}

/// The text of bytes.
pub(super) fn encode(bytes: &[u8], form: &'static GeneralPurpose) -> String {
    form.encode(bytes)
}
