//! What is done to the requests of some paths alone.

mod template;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use template::Template;

use super::{ConnectionErrorKind, CorruptionType, Latency};

/// What is done to requests for one path.
///
/// Of several the first that a request matches counts, and no other; one whose requests all are of one before it is refused. What it says takes the place of the block of that name for all requests:
/// with a `latency` of its own a route is held by that alone, and one that is off holds nothing. A block that it does not have is that for all.
/// The other blocks, such as `rate_limit`, are asked before and know no routes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which paths: `/users/{id}`, `/static/*`. `{name}` is one part of a path that is not empty, whatever the name, and `*` at the end all
    /// that comes, also nothing. At most 256 characters.
    ///
    /// Paths are compared without the query, part by part between the slashes, in capitals or small as they are written. A part in percent
    /// encoding is what it means (RFC 3986, 6.2.2.2), so that `/%75sers` is `/users`; `%2F` is no slash. Nothing else is made alike: a path
    /// with a slash at its end is another one, `//` has an empty part, and `.` and `..` are parts like others, as the upstream gets them.
    ///
    /// Behind a `~` it is a regular expression, which the whole path must match as it was sent, without its query: `~/v[0-9]+/.*`.
    pub path: String,
    /// Which method, in capitals or not. Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// To which listeners of the proxy requests must come: `main` is that of `--listen`, others have the names that `--listener` gives them. A
    /// name of none is refused. Without it: to any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    /// How they are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How they fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_injection: Option<RouteFaults>,
}

/// Makes requests of a route fail, and harms the bodies of their answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteFaults {
    /// Whether this block is on.
    pub enabled: bool,
    /// How many requests meet one of `fault_types`, from 0 to 1.
    pub probability: f64,
    /// What they meet; each comes equally often, by seed and identity. At most 64.
    pub fault_types: Vec<RouteFault>,
}

/// What a request of a route meets. It is counted and named as the same fault of `fault_injection`, and acts as that does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteFault {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: RouteFaultKind,
    /// Of `http_error`: the status, from 400 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Of `http_error`: what its body says, in `detail`. At most 1024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of `connection_error`: how the connection fails. Without it: `http_503`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_error_kind: Option<ConnectionErrorKind>,
    /// Of `timeout`: after how many milliseconds. At most an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Of `partial_response`: how much of the body is missing, more than 0, up to 100 percent; at least one byte comes, and at least one does
    /// not. A body of unknown length breaks off where `partial_responses` would do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate_percent: Option<f64>,
    /// Of `payload_corruption`: how the body is corrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruption_type: Option<CorruptionType>,
}

/// What a request of a route can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteFaultKind {
    /// An answer with `status_code`; the upstream is not asked.
    HttpError,
    /// An end of the connection, by `connection_error_kind`.
    ConnectionError,
    /// An answer 504, after `duration_ms`.
    Timeout,
    /// An answer that breaks off within its body, by `truncate_percent`.
    PartialResponse,
    /// An answer whose body is corrupted, by `corruption_type`.
    PayloadCorruption,
}

impl Route {
    /// So many there are at most.
    pub const MOST: usize = 64;

    /// Whether any of its requests meets what it says itself; a delay of none is nothing. One that does nothing keeps its requests from what is done to all.
    pub fn does_anything(&self) -> bool {
        let is_late = self
            .latency
            .as_ref()
            .is_some_and(|block| block.enabled && block.probability > 0.0 && block.has_delay());
        let fails = |block: &RouteFaults| block.enabled && block.probability > 0.0 && !block.fault_types.is_empty();
        is_late || self.fault_injection.as_ref().is_some_and(fails)
    }

    /// By what a route is known: its method, if it has one, its path, and its listeners, if it names some. No two have the same, for the
    /// second would never be met.
    pub fn key(&self) -> String {
        let key = match &self.method {
            Some(method) => format!("{} {}", method.to_ascii_uppercase(), self.path),
            None => self.path.clone(),
        };
        if self.listeners.is_empty() {
            return key;
        }
        let mut listeners = self.listeners.clone();
        listeners.sort_unstable();
        format!("{key} at {}", listeners.join(", "))
    }

    /// Whether all requests of another are of this, so that the other would never be met behind it.
    pub fn covers(&self, other: &Self) -> bool {
        let has_method = match (&self.method, &other.method) {
            (None, _) => true,
            (Some(own), Some(method)) => own.eq_ignore_ascii_case(method),
            (Some(_), None) => false,
        };
        let has_listener = self.listeners.is_empty()
            || !other.listeners.is_empty() && other.listeners.iter().all(|name| self.listeners.contains(name));
        let templates = (Template::read(&self.path), Template::read(&other.path));
        has_method && has_listener && matches!(templates, (Ok(own), Ok(other)) if own.covers(&other))
    }

    /// The same in 16 digits, as it stands in an address.
    pub fn id(&self) -> String {
        let hash = blake3::hash(self.key().as_bytes());
        hash.to_hex()[..16].to_owned()
    }
}

impl RouteFaultKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::HttpError => "http_error",
            Self::ConnectionError => "connection_error",
            Self::Timeout => "timeout",
            Self::PartialResponse => "partial_response",
            Self::PayloadCorruption => "payload_corruption",
        }
    }
}

impl Default for RouteFaults {
    fn default() -> Self {
        Self {
            enabled: true,
            probability: 1.0,
            fault_types: Vec::new(),
        }
    }
}

/// Puts routes over others: of two with the same key the latter counts, in the place of the former. Another comes behind them, or before the
/// first that covers it: there it would never be met.
pub(super) fn put(under: &mut Vec<Route>, over: &[Route]) {
    for route in over {
        if let Some(known) = under.iter_mut().find(|known| known.key() == route.key()) {
            known.clone_from(route);
            continue;
        }
        let first = under.iter().position(|known| known.covers(route));
        under.insert(first.unwrap_or(under.len()), route.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, method: Option<&str>) -> Route {
        Route {
            path: path.to_owned(),
            method: method.map(str::to_owned),
            listeners: Vec::new(),
            latency: None,
            fault_injection: None,
        }
    }

    #[test]
    fn a_route_is_known_by_its_method_and_its_path() {
        let ids = [
            route("/a", None),
            route("/a", Some("GET")),
            route("/a", Some("POST")),
            route("/b", None),
        ]
        .map(|route| route.id());
        for (index, id) in ids.iter().enumerate() {
            assert!(id.len() == 16 && !ids[..index].contains(id), "{ids:?}");
        }
        assert_eq!(route("/a", Some("get")).id(), ids[1]);
    }

    #[test]
    fn a_route_covers_another_with_the_same_method_or_if_it_has_none() {
        for (own, method, is) in [
            (None, None, true),
            (None, Some("GET"), true),
            (Some("get"), Some("GET"), true),
            (Some("GET"), Some("POST"), false),
            (Some("GET"), None, false),
        ] {
            let covers = route("/{x}", own).covers(&route("/a", method));
            assert_eq!(covers, is, "{own:?} {method:?}");
        }
        assert!(!route("/a", None).covers(&route("/b", None)));
    }

    #[test]
    fn a_route_for_some_listeners_is_another_and_covers_those_for_no_others() {
        let at = |listeners: &[&str]| Route {
            listeners: listeners.iter().map(|name| (*name).to_owned()).collect(),
            ..route("/a", None)
        };
        assert_eq!(at(&["b", "a"]).key(), "/a at a, b");
        assert_eq!(at(&["b", "a"]).id(), at(&["a", "b"]).id());
        assert_ne!(at(&["a"]).id(), at(&[]).id());
        for (own, other, is) in [
            (&[][..], &["a"][..], true),
            (&["a"], &[], false),
            (&["a", "b"], &["b"], true),
            (&["b"], &["a", "b"], false),
        ] {
            assert_eq!(at(own).covers(&at(other)), is, "{own:?} {other:?}");
        }
    }

    #[test]
    fn a_latency_without_a_delay_is_nothing() {
        let held = |latency: Latency| Route {
            latency: Some(latency),
            ..route("/a", None)
        };
        assert!(!held(Latency::default()).does_anything());
        let fixed = Latency {
            fixed_delay_ms: Some(1.0),
            ..Latency::default()
        };
        assert!(held(fixed.clone()).does_anything());
        let never = Latency {
            fixed_delay_ms: Some(0.0),
            ..fixed
        };
        assert!(!held(never).does_anything());
        let some = Latency {
            random_delay_range_ms: Some([0.0, 1.0]),
            ..Latency::default()
        };
        assert!(held(some).does_anything());
    }

    #[test]
    fn of_two_with_the_same_key_the_latter_counts_where_the_former_stood() {
        let held = Route {
            latency: Some(Latency::default()),
            ..route("/b", None)
        };
        let mut all = vec![route("/a", None), route("/b", None), route("/c", None)];
        put(&mut all, &[route("/d", None), held.clone()]);
        let expected = [route("/a", None), held, route("/c", None), route("/d", None)];
        assert_eq!(all, expected);
    }

    #[test]
    fn one_that_another_covers_is_met_before_that() {
        let at_a = Route {
            listeners: vec!["a".to_owned()],
            ..route("/x", None)
        };
        let both = || vec![route("/y", None), route("/x", None)];
        let mut all = both();
        put(&mut all, std::slice::from_ref(&at_a));
        assert_eq!(all, [route("/y", None), at_a.clone(), route("/x", None)]);
        // However they come together, and among themselves in their order.
        let get = Route {
            method: Some("GET".to_owned()),
            ..at_a.clone()
        };
        let mut all = both();
        put(&mut all, &[at_a.clone(), route("/z", None)]);
        put(&mut all, std::slice::from_ref(&get));
        let expected = [route("/y", None), get, at_a, route("/x", None), route("/z", None)];
        assert_eq!(all, expected);
        let mut all = vec![route("/*", None)];
        put(&mut all, &[route("/a", None), route("/b", None)]);
        assert_eq!(all, [route("/a", None), route("/b", None), route("/*", None)]);
    }
}
