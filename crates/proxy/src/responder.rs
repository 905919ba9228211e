//! What answers where there is no upstream: it says what it was asked.

use http_body_util::BodyExt as _;
use hyper::{Request, Response, StatusCode};
use serde::Serialize;

use crate::answer::{self, Body};
use crate::upload::Upload;

#[derive(Debug, Serialize)]
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    /// In bytes.
    body: u64,
}

/// Takes in all of the body, however long, keeping none of it, and answers. An error is an answer, too: that the body did not come.
pub(crate) async fn answer(request: Request<Upload>) -> Result<Response<Body>, Box<Response<Body>>> {
    let (head, mut body) = request.into_parts();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => length += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(_) if body.progress().is_silent() => {
                let why = "the client sent nothing of its body for too long";
                return Err(Box::new(answer::problem(StatusCode::REQUEST_TIMEOUT, why)));
            }
            Err(_) => {
                let why = "the body of the request broke off";
                return Err(Box::new(answer::problem(StatusCode::BAD_REQUEST, why)));
            }
        }
    }
    Ok(answer::json(&Asked {
        method: head.method.as_str(),
        path: head.uri.path(),
        body: length,
    }))
}
