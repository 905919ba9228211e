//! JSON in answers that becomes another: which rule a request is of, and whether it acts.

mod base64;
mod edit;
mod place;
mod whole;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fracas_core::chaos::{FieldStep, MutationRule, Mutations as Block, Operation};
use hyper::{HeaderMap, Request};
use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::identity::Chance;
use crate::service::Shared;
use crate::upload::Upload;

pub(crate) use whole::{change, room};

/// In bytes, the largest body that is read.
const LARGEST: usize = 10 << 20;
/// In bytes, the longest name of a method that is known: patterns are tried on it while others wait.
const METHOD: usize = 256;

/// The rules of a configuration, in their order.
#[derive(Debug)]
pub(crate) struct Mutations {
    rules: Vec<Arc<Rule>>,
    counts: Arc<Counts>,
}

/// A rule, and how far it is.
#[derive(Debug)]
pub(crate) struct Rule {
    rule: MutationRule,
    path: Option<Regex>,
    method: Option<Regex>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: u64,
    corrupted: u64,
}

/// What all rules have counted, since the proxy began or its counters were set back.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    corrupted: AtomicU64,
    passed: AtomicU64,
}

/// What was counted.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MutationStats")]
pub(crate) struct Stats {
    requests_total: u64,
    requests_corrupted: u64,
    requests_pass_thru: u64,
    rules: Vec<OfRule>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MutationRuleStats")]
struct OfRule {
    name: String,
    seen: u64,
    corrupted: u64,
}

/// Whether a text of JSON becomes another by these operations. Which bytes of Base64 are corrupted is nobody's choice here.
pub fn is_changed(text: &str, operations: &[Operation]) -> bool {
    edit::apply(text, operations, &Chance::of_bytes(text.as_bytes())).is_some()
}

impl Mutations {
    /// A rule that was there before goes on counting.
    pub(crate) fn new(block: &Block, before: Option<&Self>, counts: &Arc<Counts>) -> Self {
        let known = |rule: &MutationRule| {
            let mut all = before.into_iter().flat_map(|before| &before.rules);
            all.find(|known| known.rule == *rule).cloned()
        };
        Self {
            rules: block
                .rules
                .iter()
                .filter_map(|rule| known(rule).or_else(|| Rule::new(rule).map(Arc::new)))
                .collect(),
            counts: Arc::clone(counts),
        }
    }

    /// The first rule that a request is of. If rules ask for its method, the request is read for that, and goes on as it was.
    pub(crate) async fn find(&self, request: &mut Request<Upload>, shared: &Shared) -> Option<Arc<Rule>> {
        // What none can change any more is not read.
        let count = self.rules.iter().rposition(|rule| rule.can_act())? + 1;
        let mut called = None;
        for rule in &self.rules[..count] {
            if !rule
                .path
                .as_ref()
                .is_none_or(|path| path.is_match(request.uri().path()))
            {
                continue;
            }
            if let Some(wanted) = &rule.method {
                let method = match called.take() {
                    Some(known) => known,
                    None => method(request, shared).await,
                };
                let is_met = method.as_deref().is_some_and(|method| wanted.is_match(method));
                called = Some(method);
                if !is_met {
                    continue;
                }
            }
            return Some(Arc::clone(rule));
        }
        None
    }

    /// An answer passed, or was changed.
    pub(crate) fn count(&self, is_changed: bool) {
        let counts = &self.counts;
        let one = if is_changed { &counts.corrupted } else { &counts.passed };
        one.fetch_add(1, Ordering::Relaxed);
    }

    /// What becomes of a text by the rule of this name, whichever answers it would be about. It is not counted. `None`: there is no such rule.
    pub(crate) fn trial(&self, name: &str, text: &str, chance: &Chance) -> Option<String> {
        let rule = self.rules.iter().find(|rule| rule.rule.name == name)?;
        let changed = rule
            .happens(chance)
            .then(|| edit::apply(text, &rule.rule.operations, chance));
        Some(changed.flatten().unwrap_or_else(|| text.to_owned()))
    }

    /// Each rule in a line: its name, how many answers it could have changed, and how many it has changed.
    pub(crate) fn tell(&self, text: &mut String) {
        for rule in &self.rules {
            let (name, state) = (&rule.rule.name, rule.state());
            // A String takes all that is written.
            let _written = writeln!(text, "rule.{name} {} {}", state.seen, state.corrupted);
        }
    }

    /// What was counted.
    pub(crate) fn stats(&self) -> Stats {
        let of_rule = |rule: &Arc<Rule>| {
            let state = rule.state();
            OfRule {
                name: rule.rule.name.clone(),
                seen: state.seen,
                corrupted: state.corrupted,
            }
        };
        self.counts.stats(self.rules.iter().map(of_rule).collect())
    }

    /// The names of those that may change another answer.
    pub(crate) fn acting(&self) -> Vec<String> {
        let acting = self.rules.iter().filter(|rule| rule.can_act());
        acting.map(|rule| rule.rule.name.clone()).collect()
    }

    /// Counts from the beginning again.
    pub(crate) fn reset(&self) {
        for rule in &self.rules {
            *rule.state() = State::default();
        }
        self.counts.reset();
    }
}

impl Counts {
    /// Where there are no rules.
    pub(crate) fn alone(&self) -> Stats {
        self.stats(Vec::new())
    }

    pub(crate) fn reset(&self) {
        self.corrupted.store(0, Ordering::Relaxed);
        self.passed.store(0, Ordering::Relaxed);
    }

    fn stats(&self, rules: Vec<OfRule>) -> Stats {
        let corrupted = self.corrupted.load(Ordering::Relaxed);
        let passed = self.passed.load(Ordering::Relaxed);
        Stats {
            requests_total: corrupted + passed,
            requests_corrupted: corrupted,
            requests_pass_thru: passed,
            rules,
        }
    }
}

impl Rule {
    /// `None`: its patterns are none. They were checked when the configuration was read.
    fn new(rule: &MutationRule) -> Option<Self> {
        let pattern = |text: &Option<String>| text.as_deref().map(MutationRule::pattern).transpose().ok();
        Some(Self {
            path: pattern(&rule.path_pattern)?,
            method: pattern(&rule.method_match)?,
            rule: rule.clone(),
            state: Mutex::default(),
        })
    }

    /// Whether there are answers that it would change.
    fn can_act(&self) -> bool {
        let most = self.rule.stateful.unwrap_or_default().max_corrupted;
        self.rule.probability > 0.0 && (most == 0 || self.state().corrupted < most)
    }

    /// Whether the next answer is changed. If nothing comes of it, that is told by [`Rule::gives_back`].
    fn takes(&self, chance: &Chance) -> bool {
        let which = self.rule.stateful.unwrap_or_default();
        let mut state = self.state();
        state.seen += 1;
        let Some(behind) = state.seen.checked_sub(which.skip_first).filter(|behind| *behind > 0) else {
            return false;
        };
        let is_its_turn = which.corrupt_every_n < 2 || behind % which.corrupt_every_n == 0;
        let has_room = which.max_corrupted == 0 || state.corrupted < which.max_corrupted;
        let takes = is_its_turn && has_room && self.happens(chance);
        // At once, so that no two take the last that there is.
        state.corrupted += u64::from(takes);
        takes
    }

    fn happens(&self, chance: &Chance) -> bool {
        let purpose = format!("proxy json_mutation {}", self.rule.name);
        chance.happens(&purpose, self.rule.probability)
    }

    fn gives_back(&self) {
        let mut state = self.state();
        state.corrupted = state.corrupted.saturating_sub(1);
    }

    // What is in there is whole at every moment.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The method that a request calls, if it is a call of JSON-RPC.
async fn method(request: &mut Request<Upload>, shared: &Shared) -> Option<String> {
    // A stream that waits for an answer would wait for ever: its types are none of JSON.
    let is_known = hyper::body::Body::size_hint(request.body()).exact().is_some();
    if !is_known && says_json(request.headers()) != Some(true) || whole::is_coded(request.headers()) {
        return None;
    }
    let body = request.body_mut();
    let over = async {
        match shared.front {
            // Somebody may wait for an answer before it sends the end, and no limit of ours is to be met.
            Some(_) => drop(timeout(whole::HELD, shared.pardon()).await),
            None => std::future::pending().await,
        }
    };
    let body = body.read_ahead(LARGEST, shared.live.room(), over).await?;
    let is_large = body.len() > whole::LARGE;
    let read = move || called(&body);
    if is_large {
        // It fails when the proxy ends, and with it all.
        tokio::task::spawn_blocking(read).await.ok().flatten()
    } else {
        read()
    }
}

/// The method that a text calls. Of two the last counts, as everywhere in JSON here.
fn called(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    serde_json::from_str::<&RawValue>(text).ok()?;
    let place::Place::There(member) = place::find(text, &[FieldStep::Key("method".to_owned())]) else {
        return None;
    };
    let method: String = serde_json::from_str(&text[member.value]).ok()?;
    (method.len() <= METHOD).then_some(method)
}

/// Whether headers say that a body is JSON. `None`: they do not say what it is.
fn says_json(headers: &HeaderMap) -> Option<bool> {
    let kind = headers.get(hyper::header::CONTENT_TYPE)?;
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    // Messages with what stands before each, in a stream that may end with its call, whatever they are written in.
    if ["application/grpc", "application/connect+"]
        .iter()
        .any(|stream| kind.starts_with(stream))
    {
        return Some(false);
    }
    Some(kind == "application/json" || kind == "text/json" || kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::shares;

    fn rule(text: &str) -> Rule {
        Rule::new(&serde_json::from_str(text).unwrap()).unwrap()
    }

    fn taken(rule: &Rule, count: u32) -> Vec<u32> {
        let takes = |n: &u32| rule.takes(&Chance::named(3, &format!("request {n}")));
        (1..=count).filter(takes).collect()
    }

    #[test]
    fn the_gate_is_asked_before_the_probability() {
        let of = |stateful: &str| {
            let text = format!(r#"{{ "name": "a", "operations": [], "stateful": {{ {stateful} }} }}"#);
            taken(&rule(&text), 10)
        };
        assert_eq!(of(""), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(of(r#""skip_first": 8"#), [9, 10]);
        assert_eq!(of(r#""corrupt_every_n": 4"#), [4, 8]);
        assert_eq!(of(r#""skip_first": 1, "corrupt_every_n": 3"#), [4, 7, 10]);
        assert_eq!(of(r#""max_corrupted": 2"#), [1, 2]);
        assert_eq!(
            of(r#""skip_first": 2, "corrupt_every_n": 2, "max_corrupted": 2"#),
            [4, 6]
        );
        let some = rule(r#"{ "name": "a", "operations": [], "probability": 0.3 }"#);
        // Five standard deviations of 1000 times 0.3. The draws are fixed by the seed.
        assert!((228..=372).contains(&taken(&some, 1000).len()));
        let never = rule(r#"{ "name": "a", "operations": [], "probability": 0.0 }"#);
        assert!(taken(&never, 100).is_empty());
    }

    #[test]
    fn what_came_to_nothing_leaves_room_for_another() {
        let rule = rule(r#"{ "name": "a", "operations": [], "stateful": { "max_corrupted": 1 } }"#);
        assert_eq!(taken(&rule, 1), [1]);
        rule.gives_back();
        assert_eq!(taken(&rule, 3), [1]);
    }

    #[test]
    fn what_is_no_call_has_no_method() {
        for (text, expected) in [
            (r#" { "id": 1, "method": "a" } "#, Some("a")),
            (r#"{ "method": "a", "method": "b" }"#, Some("b")),
            (r#"{ "m\u0065thod": "\u0061" }"#, Some("a")),
            (r#"{ "method": "a", "method": 7 }"#, None),
            (r#"["a"]"#, None),
            (r#"[{ "method": "a" }]"#, None),
            (r#"{ "method": ["a"] }"#, None),
            (r#"{ "params": { "method": "a" } }"#, None),
            (r#"{ "method": "a" } x"#, None),
            (r#"{ "method": "a" "#, None),
            ("", None),
        ] {
            assert_eq!(called(text.as_bytes()).as_deref(), expected, "{text}");
        }
        assert_eq!(called(b"{\"method\":\"\xff\"}"), None);
    }

    // On one of 10 MiB a pattern could be tried for seconds.
    #[test]
    fn no_method_is_longer_than_256_bytes() {
        let of = |length| called(format!(r#"{{ "method": "{}" }}"#, "m".repeat(length)).as_bytes());
        assert_eq!(of(256).map(|method| method.len()), Some(256));
        assert_eq!(of(257), None);
    }

    #[test]
    fn a_rule_that_is_used_up_or_never_acts_can_do_nothing() {
        let some = rule(r#"{ "name": "a", "operations": [], "stateful": { "max_corrupted": 1 } }"#);
        assert!(some.can_act());
        assert_eq!(taken(&some, 1), [1]);
        assert!(!some.can_act());
        some.gives_back();
        assert!(some.can_act());
        assert!(!rule(r#"{ "name": "a", "operations": [], "probability": 0.0 }"#).can_act());
        assert!(rule(r#"{ "name": "a", "operations": [], "probability": 0.1 }"#).can_act());
    }

    // It counts what it is asked, and decides by who asks all the same.
    #[test]
    fn a_share_is_the_same_answers_by_one_thread_and_by_eight() {
        shares::holds("json_mutation", &shares::chances(), |share| {
            let rule = rule(&format!(
                r#"{{ "name": "a", "operations": [], "probability": {share} }}"#
            ));
            Box::new(move |chance| rule.takes(chance))
        });
    }

    #[test]
    fn json_is_known_by_its_type() {
        let of = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(hyper::header::CONTENT_TYPE, kind.parse().unwrap());
            says_json(&headers)
        };
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
            "text/json",
        ] {
            assert_eq!(of(kind), Some(true), "{kind}");
        }
        for kind in [
            "text/event-stream",
            "application/x-ndjson",
            "application/grpc",
            "text/html",
            "",
        ] {
            assert_eq!(of(kind), Some(false), "{kind}");
        }
        assert_eq!(says_json(&HeaderMap::new()), None);
    }
}
