//! What is done to the bodies of answers.

use std::time::Duration;

use fracas_core::chaos::{CorruptionType, FaultInjection};
use hyper::body::Body as _;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::{Response, Version};

use crate::body::Body;
use crate::faults::corruption::{self, Corrupted};
use crate::faults::partial::{self, Cut};
use crate::faults::truncation::{self, Truncated};
use crate::identity::Chance;

/// For the first byte of a body without a length. Its head waits as long, also that of one that then meets nothing, so it is short.
const FIRST: Duration = Duration::from_secs(5);

/// An answer that meets what is to be done to its body. A fault is named when it acts: what has no byte meets none.
///
/// `asked` is the version of the request, and `limit` how long the first byte of a body without a length may be waited for, if that is not long.
pub(crate) async fn meet(
    block: &FaultInjection,
    chance: &Chance,
    asked: Version,
    limit: Duration,
    response: Response<Body>,
    mut met: impl FnMut(&'static str),
) -> Response<Body> {
    let (corruption, cut) = (corruption::decide(block, chance), partial::happens(block, chance));
    let cut = cut && partial::is_seen(response.body().size_hint().exact(), asked);
    if corruption.is_none() && !cut || response.body().is_end_stream() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let (mut body, has_bytes) = body.has_bytes(limit.min(FIRST)).await;
    if !has_bytes {
        return Response::from_parts(head, body);
    }
    if let Some(kind) = corruption {
        met("payload_corruption");
        body = corrupt(kind, chance, &mut head.headers, body);
    }
    // Whoever looks whether bytes are still held must be the last who holds them.
    if cut && let Some(place) = partial::place(chance, body.size_hint().exact()) {
        met("partial_response");
        body = Body::changed(Cut::new(body, place));
    }
    Response::from_parts(head, body)
}

/// Headers stay as they are, so that a digest or an entity tag of the upstream's tells of the corruption; but not those without which nobody
/// could read the message.
fn corrupt(kind: CorruptionType, chance: &Chance, headers: &mut HeaderMap, body: Body) -> Body {
    match kind {
        CorruptionType::None => body,
        CorruptionType::RandomBytes => Body::changed(Corrupted::new(body, chance, true)),
        CorruptionType::BitFlip => Body::changed(Corrupted::new(body, chance, false)),
        CorruptionType::Truncate => {
            let length = body.size_hint().exact();
            let place = truncation::place(chance, length);
            if length.is_some() {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(place));
            }
            Body::changed(Truncated::new(body, place))
        }
    }
}
