//! The parts of what is asked: what tries each, and what of others it must have been about.

use fracas_core::chaos::{ChaosConfig, FaultInjection, Graphql, Grpc, MutationRule, Route, Template, Websocket};

use super::canary::{Asks, Song};
use super::document;
use super::meter::Expected;

/// Of GraphQL: what a request gets that meets nothing, and how many fields its data has.
const DATA: &str = r#"{"data":{"a":1,"b":2,"c":3}}"#;
const FIELDS: u32 = 3;
/// So many messages of gRPC a stream of ours has at most.
const CALLS: u32 = 1000;
/// So many messages of WebSocket a connection of ours has at most: as many as can be held one after the other in a second.
const MESSAGES: usize = 20;
/// Words for what may be anything in a path, one of which is in no other route, mostly.
const WORDS: [&str; 4] = ["fracas", "fracas0", "0", "canary"];
/// Methods for what is in no route.
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

/// A part of what is asked.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Said before what is said of it. Empty: what is done to all.
    pub(super) words: String,
    /// What a request of ours for it says. `None`: there can be none.
    pub(super) asks: Option<Asks>,
    pub(super) expected: Expected,
    /// Why some of it cannot be seen by such requests.
    pub(super) unseen: Option<String>,
    /// What of others it is about.
    pub(super) needs: Vec<Need>,
}

/// Something of others that a part is about, as the worker counts it.
#[derive(Debug, Clone)]
pub(super) struct Need {
    /// The name of the counter.
    pub(super) counter: String,
    /// What is counted.
    pub(super) of: &'static str,
    /// Said of the requests of others, of which none was it.
    pub(super) what: String,
    /// Whether one of them has to be hit before it can be said that it landed.
    pub(super) is_hit: bool,
}

impl Part {
    /// All of them, first what is done to all.
    pub(super) fn all(config: &ChaosConfig) -> Vec<Self> {
        let mut parts = vec![Self::base(config)];
        let routes = config.routes().iter().enumerate();
        parts.extend(routes.map(|(at, route)| Self::of_route(config, at, route)));
        if let Some(block) = config.mutations() {
            let rules = block.rules.iter().filter(|rule| rule.probability > 0.0);
            parts.extend(rules.map(Self::of_rule));
        }
        parts.extend(config.grpc().filter(|block| block.does_anything()).map(Self::of_grpc));
        parts.extend(
            config
                .graphql()
                .filter(|block| block.does_anything())
                .map(Self::of_graphql),
        );
        parts.extend(
            config
                .websocket()
                .filter(|block| block.does_anything())
                .map(Self::of_websocket),
        );
        parts
    }

    fn base(config: &ChaosConfig) -> Self {
        let need = |counter: &str, what: &str| Need {
            counter: counter.to_owned(),
            of: "requests",
            what: what.to_owned(),
            is_hit: true,
        };
        let expected = Expected::of(config);
        let mut needs = Vec::new();
        if expected.is_late() {
            needs.push(need("latency", "one that `latency` is about"));
        }
        if let Some(block) = config.fault_injection().filter(|block| does_anything(block)) {
            needs.push(need(
                "faults",
                match block.request_matcher {
                    Some(_) => "one that `request_matcher` takes",
                    None => "one that `fault_injection` is about",
                },
            ));
        }
        let asks = free(config).map(|(method, path)| Asks::plain(method, path));
        // What a route has not of its own is that for all, and its requests try it.
        let routes = || config.routes().iter();
        // Who fails is not seen to be late.
        let mut late =
            routes().filter(|route| route.latency.is_none() && !Expected::of_route(config, route).all_fail());
        let mut faults = routes().filter(|route| route.fault_injection.is_none());
        let is_tried = (!expected.is_late() || late.next().is_some())
            && (!config.fault_injection().is_some_and(does_anything) || faults.next().is_some());
        Self {
            words: String::new(),
            unseen: (asks.is_none() && !is_tried).then(|| "no request of ours is of no route".to_owned()),
            asks,
            expected,
            needs,
        }
    }

    fn of_route(config: &ChaosConfig, at: usize, route: &Route) -> Self {
        let words = route.key();
        let need = |block: &str| Need {
            counter: format!("route.{at}.{block}"),
            of: "requests",
            what: format!("for {words}"),
            is_hit: true,
        };
        let mut needs = Vec::new();
        if route
            .latency
            .as_ref()
            .is_some_and(|block| block.enabled && block.probability > 0.0)
        {
            needs.push(need("latency"));
        }
        let faults = route.fault_injection.as_ref();
        if faults.is_some_and(|block| block.enabled && block.probability > 0.0) {
            needs.push(need("faults"));
        }
        let asks = example(config, at, route);
        let mut expected = Expected::of_route(config, route);
        if asks.as_ref().is_some_and(|asks| asks.song == Song::Head) {
            expected = expected.without_bodies();
        }
        Self {
            unseen: asks.is_none().then(|| "no request of ours can be for it".to_owned()),
            asks,
            expected,
            words,
            needs,
        }
    }

    fn of_rule(rule: &MutationRule) -> Self {
        let words = format!("the rule `{}`", rule.name);
        let document = document::changed_by(&rule.operations);
        Self {
            asks: document.clone().map(|document| Asks {
                about: Some(format!("rule {}", rule.name)),
                headers: "Content-Type: application/json\r\n",
                body: document.clone(),
                song: Song::Text(document),
                ..Asks::plain("POST", "/".to_owned())
            }),
            expected: Expected::of_rule(rule),
            unseen: document
                .is_none()
                .then(|| "what it changes is too large for a request of ours, or not known".to_owned()),
            needs: vec![Need {
                counter: format!("rule.{}", rule.name),
                of: "answers",
                what: format!("answered by JSON that {words} is about"),
                is_hit: true,
            }],
            words,
        }
    }

    fn of_grpc(block: &Grpc) -> Self {
        let cuts = block.stream_interruption_probability > 0.0;
        let is_cut = cuts && block.interrupt_after_messages < CALLS;
        let count = if is_cut {
            block.interrupt_after_messages
        } else {
            CALLS - 1
        } as usize
            + 1;
        Self {
            words: "gRPC".to_owned(),
            asks: Some(Asks {
                about: Some("grpc".to_owned()),
                headers: "Content-Type: application/grpc\r\n",
                song: Song::Calls(count),
                ..Asks::plain("POST", "/".to_owned())
            }),
            expected: Expected::of_grpc(block, is_cut),
            unseen: (cuts && !is_cut).then(|| "no stream of ours has so many messages".to_owned()),
            needs: vec![Need {
                counter: "grpc".to_owned(),
                of: "calls",
                what: "a call of gRPC".to_owned(),
                is_hit: true,
            }],
        }
    }

    fn of_graphql(block: &Graphql) -> Self {
        Self {
            words: "GraphQL".to_owned(),
            asks: Some(Asks {
                about: Some("graphql".to_owned()),
                headers: "Content-Type: application/json\r\n",
                body: r#"{"query":"{a b c}"}"#.to_owned(),
                song: Song::Graphql(DATA),
                ..Asks::plain("POST", block.path.clone())
            }),
            expected: Expected::of_graphql(block, FIELDS),
            unseen: None,
            needs: vec![Need {
                counter: "graphql".to_owned(),
                of: "requests",
                what: format!("one of GraphQL for {}", block.path),
                is_hit: true,
            }],
        }
    }

    fn of_websocket(block: &Websocket) -> Self {
        let delay = block.message_delay_ms;
        let most = if delay > 0.0 { 1000.0 / delay } else { f64::INFINITY };
        let count = (most as usize).clamp(1, MESSAGES);
        Self {
            words: "WebSocket".to_owned(),
            asks: Some(Asks {
                about: Some("websocket".to_owned()),
                // The key of an example (RFC 6455, 1.3): nobody looks at what becomes of it.
                headers: "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                song: Song::Messages(count),
                ..Asks::plain("GET", "/".to_owned())
            }),
            expected: Expected::of_websocket(block),
            unseen: None,
            needs: vec![Need {
                counter: "websocket".to_owned(),
                of: "messages",
                what: "one behind which messages of WebSocket came".to_owned(),
                is_hit: true,
            }],
        }
    }
}

impl Asks {
    fn plain(method: &str, path: String) -> Self {
        Self {
            method: method.to_ascii_uppercase(),
            path,
            about: None,
            headers: "",
            body: String::new(),
            song: Song::Points,
        }
    }
}

/// Whether any request meets it.
fn does_anything(block: &FaultInjection) -> bool {
    block.error_pattern.is_some() || Expected::of_faults(block).is_something()
}

/// A request that is of no route. `None`: each of those that were tried is of one.
fn free(config: &ChaosConfig) -> Option<(&'static str, String)> {
    let paths = || {
        ["/".to_owned()]
            .into_iter()
            .chain(WORDS.map(|word| format!("/{word}/{word}")))
            .chain(WORDS.map(|word| format!("/{word}")))
            .chain(WORDS.map(|word| format!("/{word}/{word}/{word}")))
    };
    METHODS
        .into_iter()
        .flat_map(|method| paths().map(move |path| (method, path)))
        .find(|(method, path)| first(config, method, path).is_none())
}

/// A request that is of this route, and of none before it.
fn example(config: &ChaosConfig, at: usize, route: &Route) -> Option<Asks> {
    let method = route.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    // In front of a port that is no request.
    if method == "CONNECT" {
        return None;
    }
    let template = Template::read(&route.path).ok()?;
    let mut asks = if template.example("").is_some() {
        let others = METHODS.into_iter().filter(|_| route.method.is_none());
        let methods = [method.as_str()].into_iter().chain(others);
        let like = |method: &str, word: &str| Some(Asks::plain(method, template.example(word)?));
        let mut all = methods.flat_map(|method| WORDS.map(|word| like(method, word)));
        all.find_map(|asks| asks.filter(|asks| first(config, &asks.method, &asks.path) == Some(at)))?
    } else {
        // Nobody knows a path that is like a regular expression.
        Asks {
            about: Some(format!("route {at}")),
            ..Asks::plain(&method, "/".to_owned())
        }
    };
    if asks.method == "HEAD" {
        asks.song = Song::Head;
    }
    Some(asks)
}

/// The first route that a request is of.
fn first(config: &ChaosConfig, method: &str, path: &str) -> Option<usize> {
    let is_of = |route: &Route| {
        let wanted = route.method.as_deref();
        wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && Template::read(&route.path).is_ok_and(|template| template.matches(path))
    };
    config.routes().iter().position(is_of)
}
