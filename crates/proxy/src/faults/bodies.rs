//! What is done to the bodies of answers.

use std::time::Duration;

use fracas_core::chaos::{CorruptionType, FaultInjection, RouteFault, RouteFaultKind};
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

/// What is to be done to a body.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Harm {
    corruption: Option<CorruptionType>,
    cut: Option<CutBy>,
}

/// Where a body breaks off.
#[derive(Debug, Clone, Copy)]
enum CutBy {
    /// Anywhere.
    Chance,
    /// So that this is missing.
    Percent(f64),
}

impl Harm {
    /// By the block for all requests.
    pub(crate) fn decide(block: &FaultInjection, chance: &Chance) -> Self {
        Self {
            corruption: corruption::decide(block, chance),
            cut: partial::happens(block, chance).then_some(CutBy::Chance),
        }
    }

    /// By a fault of a route.
    pub(crate) fn of_route(fault: &RouteFault) -> Self {
        match fault.kind {
            RouteFaultKind::PartialResponse => Self {
                corruption: None,
                cut: fault.truncate_percent.map(CutBy::Percent),
            },
            RouteFaultKind::PayloadCorruption => Self {
                corruption: fault.corruption_type,
                cut: None,
            },
            RouteFaultKind::HttpError | RouteFaultKind::ConnectionError | RouteFaultKind::Timeout => Self::default(),
        }
    }

    /// Whether nothing is to be done.
    pub(crate) fn is_none(self) -> bool {
        self.corruption.is_none() && self.cut.is_none()
    }
}

/// An answer that meets what is to be done to its body. A fault is named when it acts: what has no byte meets none.
///
/// `asked` is the version of the request, and `limit` how long the first byte of a body without a length may be waited for, if that is not long.
pub(crate) async fn meet(
    harm: Harm,
    chance: &Chance,
    asked: Version,
    limit: Duration,
    response: Response<Body>,
    mut met: impl FnMut(&'static str),
) -> Response<Body> {
    let Harm { corruption, cut } = harm;
    let is_seen = partial::is_seen(response.body().size_hint().exact(), asked);
    let cut = cut.filter(|_| is_seen);
    if corruption.is_none() && cut.is_none() || response.body().is_end_stream() {
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
    let length = body.size_hint().exact();
    let place = cut.and_then(|cut| match cut {
        CutBy::Chance => partial::place(chance, length),
        CutBy::Percent(percent) => partial::place_without(percent, chance, length),
    });
    if let Some(place) = place {
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
