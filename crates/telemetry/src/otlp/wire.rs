//! The messages of OTLP 1.x as far as a trace needs them: `opentelemetry/proto/trace/v1/trace.proto` and what it includes. The
//! numbers are those of the definitions, which tests decode with. Generated ones bring the SDK, which collects what is in the
//! process: here everything is an event already.

use prost::Message as _;

use crate::span::{Attribute, Happened, Kind, Outcome, Span as Ours, Value};

/// `collector/trace/v1/trace_service.proto`
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

/// The answer, as far as it is read.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
    #[prost(uint32, tag = "12")]
    dropped_events_count: u32,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3, 4")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Number(f64),
}

/// `SPAN_KIND_INTERNAL`
const INTERNAL: i32 = 1;
/// `SPAN_KIND_SERVER`
const SERVER: i32 = 2;
/// `STATUS_CODE_OK`
const OK: i32 = 1;
/// `STATUS_CODE_ERROR`
const ERROR: i32 = 2;

/// The body of a request with these spans.
pub(super) fn request(spans: Vec<Ours>) -> Vec<u8> {
    let about = vec![
        ("service.name", Value::from("fracas")),
        ("service.version", Value::from(env!("CARGO_PKG_VERSION"))),
    ];
    let request = Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: attributes(about),
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(Scope {
                    name: "fracas".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                }),
                spans: spans.into_iter().map(span).collect(),
            }],
        }],
    };
    request.encode_to_vec()
}

/// How many spans an answer refuses, and why. An answer that makes no sense refuses none: the status said that all is well.
pub(super) fn refused(answer: &[u8]) -> (u64, String) {
    let partial = Answer::decode(answer).ok().and_then(|answer| answer.partial_success);
    partial.map_or((0, String::new()), |partial| {
        (
            u64::try_from(partial.rejected_spans).unwrap_or_default(),
            partial.error_message,
        )
    })
}

fn span(ours: Ours) -> Span {
    Span {
        trace_id: ours.trace.to_vec(),
        span_id: ours.id.to_vec(),
        // The root has an empty one.
        parent_span_id: ours.parent.map(|id| id.to_vec()).unwrap_or_default(),
        name: ours.name,
        kind: match ours.kind {
            Kind::Internal => INTERNAL,
            Kind::Server => SERVER,
        },
        start_time_unix_nano: ours.began,
        end_time_unix_nano: ours.ended,
        attributes: attributes(ours.attributes),
        events: ours.happened.into_iter().map(event).collect(),
        dropped_events_count: ours.left_out,
        status: match ours.outcome {
            Outcome::Unsaid => None,
            Outcome::Good => Some(Status {
                message: String::new(),
                code: OK,
            }),
            Outcome::Bad(message) => Some(Status { message, code: ERROR }),
        },
    }
}

fn event(happened: Happened) -> Event {
    Event {
        time_unix_nano: happened.at,
        name: happened.name.to_owned(),
        attributes: attributes(happened.attributes),
    }
}

fn attributes(ours: Vec<Attribute>) -> Vec<KeyValue> {
    ours.into_iter()
        .map(|(key, value)| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue {
                value: Some(match value {
                    Value::Text(text) => Any::Text(text),
                    Value::Whole(number) => Any::Whole(number),
                    Value::Number(number) => Any::Number(number),
                    Value::Flag(flag) => Any::Flag(flag),
                }),
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use opentelemetry_proto::tonic::common::v1::any_value;

    use super::*;

    /// What we write is read with the definitions that OpenTelemetry generates, not with ours.
    #[test]
    fn the_definitions_of_opentelemetry_read_what_is_written() {
        let ours = Ours {
            trace: [7; 16],
            id: [8; 8],
            parent: Some([9; 8]),
            kind: Kind::Server,
            name: "revert".to_owned(),
            began: 1_000_000_001,
            ended: 2_000_000_002,
            attributes: vec![
                ("text", Value::from("a")),
                ("whole", Value::Whole(-3)),
                ("number", Value::Number(0.5)),
                ("flag", Value::Flag(true)),
            ],
            happened: vec![Happened {
                at: 1_500_000_000,
                name: "note",
                attributes: vec![("x", Value::from("y"))],
            }],
            left_out: 4,
            outcome: Outcome::Bad("left".to_owned()),
        };
        let root = Ours {
            parent: None,
            kind: Kind::Internal,
            outcome: Outcome::Good,
            ..ours.clone()
        };
        let theirs = ExportTraceServiceRequest::decode(request(vec![ours, root]).as_slice()).unwrap();
        let resource = &theirs.resource_spans[0];
        let about = &resource.resource.as_ref().unwrap().attributes;
        assert!(about.iter().any(|pair| pair.key == "service.name"));
        let spans = &resource.scope_spans[0].spans;
        let span = &spans[0];
        assert_eq!(
            (
                span.trace_id.as_slice(),
                span.span_id.as_slice(),
                span.parent_span_id.as_slice()
            ),
            ([7; 16].as_slice(), [8; 8].as_slice(), [9; 8].as_slice())
        );
        assert_eq!((span.name.as_str(), span.kind, spans[1].kind), ("revert", 2, 1));
        assert_eq!(
            (span.start_time_unix_nano, span.end_time_unix_nano),
            (1_000_000_001, 2_000_000_002)
        );
        let values: Vec<_> = span
            .attributes
            .iter()
            .map(|pair| pair.value.clone().unwrap().value.unwrap())
            .collect();
        assert_eq!(
            values,
            [
                any_value::Value::StringValue("a".to_owned()),
                any_value::Value::IntValue(-3),
                any_value::Value::DoubleValue(0.5),
                any_value::Value::BoolValue(true),
            ]
        );
        assert_eq!(
            (span.events[0].name.as_str(), span.events[0].time_unix_nano),
            ("note", 1_500_000_000)
        );
        assert_eq!(span.dropped_events_count, 4);
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, "left"));
        assert!(spans[1].parent_span_id.is_empty());
        assert_eq!(spans[1].status.as_ref().unwrap().code, 1);
    }

    #[test]
    fn what_a_collector_refuses_is_read_and_nonsense_is_not() {
        let answer = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "too many".to_owned(),
            }),
        };
        assert_eq!(refused(&answer.encode_to_vec()), (3, "too many".to_owned()));
        assert_eq!(refused(b""), (0, String::new()));
        assert_eq!(refused(b"<html>"), (0, String::new()));
    }
}
