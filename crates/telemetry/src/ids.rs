//! Ids of traces and spans. They derive from the run's id alone, so that whoever cleans up after a dead runner tells its spans into
//! the same trace, and nobody needs to hand an id over.

use fracas_core::ids::RunId;
use fracas_core::seed::Seed;

/// The id of a trace.
pub type TraceId = [u8; 16];
/// The id of a span.
pub type SpanId = [u8; 8];

/// The trace of a run.
pub fn trace_id(run: &RunId) -> TraceId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&draw("otlp trace", run, "", 0));
    id[8..].copy_from_slice(&draw("otlp trace", run, "", 1));
    id
}

/// The span of a run for this, the `ordinal`th of its kind.
pub fn span_id(run: &RunId, what: &str, ordinal: u64) -> SpanId {
    draw("otlp span", run, what, ordinal)
}

/// The span of the run itself: what has no other parent is its child.
pub fn root_id(run: &RunId) -> SpanId {
    span_id(run, "run", 0)
}

fn draw(purpose: &str, run: &RunId, what: &str, ordinal: u64) -> [u8; 8] {
    // An id of zeros is invalid, see "SpanContext" in the specification of OpenTelemetry.
    let drawn = Seed(0).draw(purpose, &format!("{run}/{what}"), ordinal).0;
    drawn.max(1).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_run_kind_and_ordinal_and_never_by_chance() {
        let run: RunId = "20261121-100000-beef".parse().unwrap();
        let other: RunId = "20261121-100000-beee".parse().unwrap();
        assert_eq!(trace_id(&run), trace_id(&run));
        assert_ne!(trace_id(&run), trace_id(&other));
        assert_ne!(trace_id(&run)[..8], trace_id(&run)[8..]);
        let spans = [
            root_id(&run),
            root_id(&other),
            span_id(&run, "apply", 0),
            span_id(&run, "apply", 1),
            span_id(&run, "revert", 0),
        ];
        for (index, span) in spans.iter().enumerate() {
            assert!(!spans[..index].contains(span), "{spans:?}");
        }
    }

    // Golden: a guardian of one version and a recovery by the next must agree.
    #[test]
    fn ids_never_change_between_releases() {
        let run: RunId = "20261121-100000-beef".parse().unwrap();
        assert_eq!(u128::from_be_bytes(trace_id(&run)), TRACE);
        assert_eq!(u64::from_be_bytes(root_id(&run)), ROOT);
    }

    const TRACE: u128 = 3_162_069_780_987_532_359_167_926_948_274_902_785;
    const ROOT: u64 = 18_305_136_303_878_059_396;
}
