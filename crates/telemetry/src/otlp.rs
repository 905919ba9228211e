//! OTLP: spans to a collector, over HTTP with protobuf bodies (the `http/protobuf` transport of the OTLP specification).

mod exporter;
mod wire;

pub use exporter::{Exporter, Sent, Spans, export};
