//! Answers that are read whole, and changed. What cannot be goes on as it came.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::{LARGEST, Rule, edit, says_json};
use crate::ahead::Ahead;
use crate::body::Body;
use crate::identity::Chance;
use crate::service::Shared;
use crate::upload::Broken;

/// In bytes, of all bodies that are read at the same time.
const ALL: usize = 128 << 20;
/// In bytes: what is larger is read, or changed, beside the others, whom it would hold up.
pub(super) const LARGE: usize = 64 << 10;

/// How long a body is held in front of somebody else's port, where no limit of ours is to be met.
pub(super) const HELD: Duration = Duration::from_secs(5);

/// Room for bodies that are read.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ALL))
}

/// An answer, and the name of the rule by which it was changed.
pub(crate) struct Changed {
    pub(crate) response: Response<Body>,
    pub(crate) by: Option<HeaderValue>,
}

/// What has come of a body, and the rest.
struct Come {
    ahead: Ahead,
    rest: Option<Body>,
    left: SizeHint,
}

/// Changes an answer, if this rule does.
pub(crate) async fn change(rule: &Arc<Rule>, chance: &Chance, shared: &Shared, response: Response<Body>) -> Changed {
    let passes = |response| Changed { response, by: None };
    if !rule.can_act() || !can_be(&response) {
        return passes(response);
    }
    let (mut head, body) = response.into_parts();
    let limit = match shared.front {
        Some(_) => shared.limits.answer.min(HELD),
        None => shared.limits.answer,
    };
    let (come, whole) = read(body, shared.live.room(), limit, shared.pardon()).await;
    let Some(whole) = whole.filter(|_| !shared.is_pardoned()) else {
        return passes(Response::from_parts(head, Body::changed(come)));
    };
    let by = Arc::clone(rule);
    let chance = chance.clone();
    let work = move || apply(&by, &whole, &chance);
    let changed = if come.left.lower() as usize > LARGE {
        // It fails when the proxy ends, and with it all.
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
    } else {
        work()
    };
    let Some(changed) = changed else {
        return passes(Response::from_parts(head, Body::changed(come)));
    };
    let by = HeaderValue::from_str(&rule.rule.name).ok();
    let has_length = head.headers.contains_key(CONTENT_LENGTH);
    let come = come.with(changed.into(), has_length);
    if let Some(length) = come.left.exact() {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Changed {
        response: Response::from_parts(head, Body::changed(come)),
        by,
    }
}

/// What becomes of a body. `None`: it stays.
fn apply(rule: &Rule, whole: &[u8], chance: &Chance) -> Option<String> {
    let text = std::str::from_utf8(whole).ok()?;
    serde_json::from_str::<&RawValue>(text).ok()?;
    if !rule.takes(chance) {
        return None;
    }
    let changed = edit::apply(text, &rule.rule.operations, chance);
    if changed.is_none() {
        rule.gives_back();
    }
    changed
}

/// Whether headers say that a body is compressed.
pub(super) fn is_coded(headers: &HeaderMap) -> bool {
    let is_none = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().any(|coding| !is_none(coding))
}

/// Whether an answer may be one that can be changed, by its head.
fn can_be(response: &Response<Body>) -> bool {
    // A part of a body is no whole one, whatever it looks like.
    ![StatusCode::SWITCHING_PROTOCOLS, StatusCode::PARTIAL_CONTENT].contains(&response.status())
        && !response.body().is_end_stream()
        && !is_coded(response.headers())
        && says_json(response.headers()) != Some(false)
        && response.body().size_hint().lower() <= LARGEST as u64
}

/// Reads a body: what has come of it, and if that is all, its bytes.
async fn read(
    mut body: Body,
    room: &Arc<Semaphore>,
    limit: Duration,
    over: impl Future<Output = ()>,
) -> (Come, Option<Bytes>) {
    let ends = async {
        tokio::select! {
            () = sleep(limit) => {}
            () = over => {}
        }
    };
    let (ahead, whole) = Ahead::read(&mut body, LARGEST, room, ends).await;
    let come = ahead.length();
    let come = Come {
        left: match whole {
            Some(_) => SizeHint::with_exact(come),
            // What was announced counts from the first byte on.
            None => announced(&body, come),
        },
        ahead,
        rest: whole.is_none().then_some(body),
    };
    (come, whole)
}

/// How long a body is of which so many bytes have come.
fn announced(rest: &Body, come: u64) -> SizeHint {
    match rest.size_hint().exact() {
        Some(left) => SizeHint::with_exact(left + come),
        None => SizeHint::default(),
    }
}

impl Come {
    /// The same with other bytes. Trailers stay: in HTTP/1.1 a body with a length has none.
    fn with(mut self, bytes: Bytes, has_length: bool) -> Self {
        let length = bytes.len() as u64;
        self.ahead.put(bytes);
        self.left = if has_length || !self.ahead.has_more() {
            SizeHint::with_exact(length)
        } else {
            SizeHint::default()
        };
        self
    }
}

impl hyper::body::Body for Come {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = match self.ahead.next() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => match &mut self.rest {
                Some(rest) => Pin::new(rest).poll_frame(cx),
                None => Poll::Ready(None),
            },
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(left)) = (&frame, self.left.exact()) {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.left = SizeHint::with_exact(left.saturating_sub(length));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use http_body_util::channel::Channel;
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    fn body() -> Body {
        Body::Own(Full::new(Bytes::from_static(b"[1,2]")))
    }

    #[tokio::test]
    async fn what_finds_no_room_passes_and_what_has_some_gives_it_back() {
        let limit = Duration::from_secs(30);
        for (count, is_read) in [(4, false), (5, true)] {
            let room = Arc::new(Semaphore::new(count));
            let (come, whole) = read(body(), &room, limit, pending()).await;
            assert_eq!(whole.is_some(), is_read);
            assert_eq!(come.size_hint().exact(), Some(5));
            assert_eq!(room.available_permits(), if is_read { 0 } else { 4 });
            let passed = come.collect().await.unwrap().to_bytes();
            assert_eq!(passed, b"[1,2]"[..]);
            assert_eq!(room.available_permits(), count);
        }
    }

    // A client that is slow for hours would otherwise hold what its first bytes took.
    #[tokio::test]
    async fn room_is_given_back_as_parts_go_on() {
        let room = Arc::new(Semaphore::new(9));
        let (mut sender, body) = Channel::<Bytes, Broken>::new(4);
        for part in ["[1,", "2,3", ",4]", "end"] {
            sender.send_data(Bytes::from_static(part.as_bytes())).await.unwrap();
        }
        let body = Body::changed(body);
        // There is no room for the last one.
        let (mut come, whole) = read(body, &room, Duration::from_secs(30), pending()).await;
        assert!(whole.is_none());
        for left in [3, 6, 9, 9] {
            assert!(come.frame().await.is_some());
            assert_eq!(room.available_permits(), left);
        }
    }

    #[tokio::test]
    async fn what_goes_on_in_its_place_gives_all_back() {
        for changed in ["[]", "[1,2,3,4,5]"] {
            let room = Arc::new(Semaphore::new(9));
            let (come, _) = read(body(), &room, Duration::from_secs(30), pending()).await;
            let mut come = come.with(Bytes::from_static(changed.as_bytes()), true);
            assert_eq!(room.available_permits(), 4);
            assert!(come.frame().await.is_some());
            assert_eq!(room.available_permits(), 9, "{changed}");
        }
    }

    #[tokio::test]
    async fn a_length_is_what_is_still_to_come() {
        let (come, _) = read(body(), &room(), Duration::from_secs(30), pending()).await;
        let mut come = come.with(Bytes::from_static(b"[]"), true);
        assert_eq!(come.size_hint().exact(), Some(2));
        assert!(!come.is_end_stream());
        assert!(come.frame().await.is_some());
        assert_eq!((come.size_hint().exact(), come.is_end_stream()), (Some(0), true));
    }
}
