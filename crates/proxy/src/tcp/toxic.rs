//! What a toxic is, as Toxiproxy 2.x writes it in JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The direction in which a toxic acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    /// From the client to the server.
    Upstream,
    /// From the server to the client.
    #[default]
    Downstream,
}

impl Stream {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }
}

/// What is done to bytes. Times are in milliseconds but for the slicer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "attributes", rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Bytes come later.
    Latency(Latency),
    /// No more than so many bytes in a second.
    Bandwidth(Bandwidth),
    /// The end of a stream comes later.
    SlowClose(SlowClose),
    /// No byte passes, and the connection is closed.
    Timeout(Timeout),
    /// No byte passes, and the connection is reset.
    ResetPeer(ResetPeer),
    /// Bytes come in small pieces.
    Slicer(Slicer),
    /// The connection is closed after so many bytes.
    LimitData(LimitData),
}

/// Bytes come by `latency` later, more or less by up to `jitter`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Latency {
    pub(crate) latency: u64,
    pub(crate) jitter: u64,
}

/// `rate` is in thousands of bytes a second, for each connection; with 0 nothing passes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Bandwidth {
    pub(crate) rate: u64,
}

/// The end comes by `delay` later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SlowClose {
    pub(crate) delay: u64,
}

/// The connection is closed `timeout` after it met the toxic; with 0 it stays open until the toxic is taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Timeout {
    pub(crate) timeout: u64,
}

/// The connection is reset `timeout` after something came, or the end did, that would have passed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResetPeer {
    pub(crate) timeout: u64,
}

/// Pieces of `average_size` bytes, more or less by up to `size_variation`, each `delay` microseconds after the one before. With an average
/// of 0 nothing is cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slicer {
    pub(crate) average_size: u64,
    pub(crate) size_variation: u64,
    pub(crate) delay: u64,
}

/// So many bytes pass from when the connection met the toxic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitData {
    pub(crate) bytes: u64,
}

impl Kind {
    /// The names of all, as they stand in requests and metrics.
    pub(crate) const NAMES: [&str; 7] = [
        "bandwidth",
        "latency",
        "limit_data",
        "reset_peer",
        "slicer",
        "slow_close",
        "timeout",
    ];

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Bandwidth(_) => "bandwidth",
            Self::SlowClose(_) => "slow_close",
            Self::Timeout(_) => "timeout",
            Self::ResetPeer(_) => "reset_peer",
            Self::Slicer(_) => "slicer",
            Self::LimitData(_) => "limit_data",
        }
    }
}

/// A toxic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Toxic {
    /// `attributes` and `type`.
    #[serde(flatten)]
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) stream: Stream,
    /// The share of connections that it acts on, from 0 to 1.
    pub(crate) toxicity: f64,
}

/// What somebody asks for. What is left out is as it is, or as it is by default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    stream: Option<String>,
    toxicity: Option<f64>,
    attributes: Option<Map<String, Value>>,
}

/// Why a toxic cannot be had. The texts are Toxiproxy's.
pub(crate) type Wrong = String;

impl Asked {
    /// The toxic that is asked for.
    pub(crate) fn make(self) -> Result<Toxic, Wrong> {
        let kind = self.kind.unwrap_or_default();
        let stream = stream(self.stream.as_deref())?.unwrap_or_default();
        let name = match self.name.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => format!("{kind}_{}", stream.as_str()),
        };
        Ok(Toxic {
            kind: with_attributes(&kind, &self.attributes.unwrap_or_default())?,
            name,
            stream,
            toxicity: toxicity(self.toxicity)?.unwrap_or(1.0),
        })
    }

    /// A toxic, changed. Its name, its type and its stream stay; who asks for others is told so.
    pub(crate) fn change(self, toxic: &Toxic) -> Result<Toxic, Wrong> {
        let differs = |asked: Option<&str>, is: &str| asked.is_some_and(|asked| !asked.is_empty() && asked != is);
        let kind = toxic.kind.name();
        if differs(self.name.as_deref(), &toxic.name)
            || differs(self.kind.as_deref(), kind)
            || differs(self.stream.as_deref(), toxic.stream.as_str())
        {
            return Err("a toxic keeps its name, type and stream: make another".to_owned());
        }
        let Ok(Value::Object(mut now)) = serde_json::to_value(&toxic.kind) else {
            return Err("the toxic has no form".to_owned());
        };
        let mut attributes = match now.remove("attributes") {
            Some(Value::Object(attributes)) => attributes,
            _ => Map::new(),
        };
        attributes.extend(self.attributes.unwrap_or_default());
        Ok(Toxic {
            kind: with_attributes(kind, &attributes)?,
            toxicity: toxicity(self.toxicity)?.unwrap_or(toxic.toxicity),
            ..toxic.clone()
        })
    }
}

fn with_attributes(kind: &str, attributes: &Map<String, Value>) -> Result<Kind, Wrong> {
    if !Kind::NAMES.contains(&kind) {
        return Err("invalid toxic type".to_owned());
    }
    let whole = serde_json::json!({ "type": kind, "attributes": attributes });
    serde_json::from_value(whole).map_err(|error| format!("bad request body: {error}"))
}

fn stream(asked: Option<&str>) -> Result<Option<Stream>, Wrong> {
    match asked {
        None | Some("") => Ok(None),
        Some("upstream") => Ok(Some(Stream::Upstream)),
        Some("downstream") => Ok(Some(Stream::Downstream)),
        Some(_) => Err("stream was invalid, can be either upstream or downstream".to_owned()),
    }
}

fn toxicity(asked: Option<f64>) -> Result<Option<f64>, Wrong> {
    match asked {
        Some(share) if !(0.0..=1.0).contains(&share) => Err("bad request body: toxicity is from 0 to 1".to_owned()),
        asked => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_left_out_is_toxiproxys_default() {
        let toxic = asked(r#"{"type":"latency","attributes":{"latency":5}}"#)
            .make()
            .unwrap();
        assert_eq!(
            serde_json::to_value(&toxic).unwrap(),
            serde_json::json!({
                "attributes": { "latency": 5, "jitter": 0 },
                "name": "latency_downstream", "type": "latency", "stream": "downstream", "toxicity": 1.0,
            })
        );
        for kind in Kind::NAMES {
            let toxic = asked(&format!(r#"{{"type":"{kind}","stream":"upstream"}}"#))
                .make()
                .unwrap();
            assert_eq!((toxic.kind.name(), toxic.name), (kind, format!("{kind}_upstream")));
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for (text, says) in [
            (r#"{"type":"slow"}"#, "invalid toxic type"),
            ("{}", "invalid toxic type"),
            (r#"{"type":"latency","stream":"sideways"}"#, "stream was invalid"),
            (r#"{"type":"latency","toxicity":1.5}"#, "toxicity is from 0 to 1"),
            (r#"{"type":"latency","attributes":{"latncy":5}}"#, "latncy"),
            (r#"{"type":"latency","attributes":{"latency":-5}}"#, "bad request body"),
        ] {
            let wrong = asked(text).make().unwrap_err();
            assert!(wrong.contains(says), "{text}: {wrong}");
        }
    }

    #[test]
    fn a_change_leaves_the_rest_as_it_is() {
        let toxic = asked(r#"{"type":"latency","toxicity":0.5,"attributes":{"latency":5,"jitter":2}}"#);
        let toxic = toxic.make().unwrap();
        let changed = asked(r#"{"attributes":{"latency":7}}"#).change(&toxic).unwrap();
        assert_eq!(changed.kind, Kind::Latency(Latency { latency: 7, jitter: 2 }));
        assert!((changed.toxicity - 0.5).abs() < f64::EPSILON);
        let changed = asked(r#"{"toxicity":1}"#).change(&changed).unwrap();
        assert_eq!(
            (changed.kind, changed.toxicity),
            (Kind::Latency(Latency { latency: 7, jitter: 2 }), 1.0)
        );
        for other in [r#"{"name":"x"}"#, r#"{"type":"timeout"}"#, r#"{"stream":"upstream"}"#] {
            assert!(asked(other).change(&toxic).is_err(), "{other}");
        }
    }
}
