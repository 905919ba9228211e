//! What paths say that keep something by a name.

use fracas_spec::{Chaos, Source, chaos};
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::{ROOT, refused};
use crate::answer::{self, Body};

/// Something was made: where it is, and what.
pub(super) fn made(status: StatusCode, at: &str, value: &impl Serialize) -> Response<Body> {
    let mut made = answer::json(value);
    if made.status() == StatusCode::OK {
        *made.status_mut() = status;
        if let Ok(at) = HeaderValue::from_str(&format!("{ROOT}{at}")) {
            made.headers_mut().insert(LOCATION, at);
        }
    }
    made
}

/// Something was removed.
pub(super) fn gone() -> Response<Body> {
    let mut gone = answer::with(StatusCode::NO_CONTENT, "application/json", "");
    gone.headers_mut().clear();
    gone
}

/// Reads what was sent. An error is the answer that says what is wrong.
pub(super) fn read<T: Chaos>(text: &str) -> Result<T, Box<Response<Body>>> {
    let source = Source {
        name: "the body of the request".to_owned(),
        text: text.to_owned(),
    };
    // What comes from the network reads no variable of ours.
    chaos::<T>(&source, &|_| None).map_err(|problems| Box::new(refused(&problems)))
}
