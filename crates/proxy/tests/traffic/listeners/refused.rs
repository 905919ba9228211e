//! Listeners that cannot be.

use fracas_core::chaos::Orchestration;
use fracas_proxy::{Orchestrations, Proxy};

use crate::stand::{Wish, wish};

fn refused(wish: Wish) -> String {
    let problem = Proxy::bind(wish.order()).unwrap_err();
    format!("{} {}", problem.code.id, problem.line())
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_cannot_be_told_apart_or_act_are_refused() {
    for (wish, code, says) in [
        (
            wish("{}").beside("main", None),
            "R004",
            "two listeners are called `main`",
        ),
        (
            wish("{}").beside("a", None).beside("b", None).beside("a", None),
            "R004",
            "two listeners are called `a`",
        ),
        (wish("{}").beside("A", None), "R004", "cannot be called \"A\""),
        (wish("{}").beside("", None), "R004", "cannot be called \"\""),
        (
            wish("{}").beside("a", Some("tcp://127.0.0.1:1")),
            "R004",
            "is one of tcp://",
        ),
        (
            wish("{}").passes(&[], Some("127.0.0.1:1")).beside("a", None),
            "N011",
            "other listeners cannot act",
        ),
        (
            (0..65).fold(wish("{}"), |wish, number| wish.beside(&format!("l{number}"), None)),
            "R004",
            "there are 66 listeners",
        ),
    ] {
        let said = refused(wish);
        assert!(said.starts_with(code) && said.contains(says), "{says}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_would_act_nowhere_does_not_begin() {
    let said = refused(wish("latency: { fixed_delay_ms: 1, listeners: [main, b] }").beside("a", None));
    assert!(
        said.starts_with("N012") && said.contains("`latency.listeners[1]` is \"b\""),
        "{said}"
    );
    let step = serde_json::json!({ "name": "s", "scenario": { "config": { "rate_limit": { "listeners": ["b"] } } } });
    let first: Orchestration = serde_json::from_value(serde_json::json!({ "name": "o", "steps": [step] })).unwrap();
    let orchestrations = Orchestrations {
        first: Some(first),
        ..Orchestrations::default()
    };
    let said = refused(wish("{}").orchestrations(orchestrations));
    assert!(
        said.starts_with("N012") && said.contains("`steps[0].scenario.config.rate_limit.listeners[0]`"),
        "{said}"
    );
}

// An API would be asked as if by this machine, and a request would go round until no descriptor is left.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_the_proxy_itself_is_refused() {
    // Nobody else listens there.
    let (main, b) = ("127.91.7.1:3001", "127.91.7.2:3001");
    let at = |name: &str, to: &str| wish("{}").listens(main).beside_at(name, b, Some(to));
    for (wish, says) in [
        (
            at("b", "http://127.91.7.1:3001"),
            "the upstream of `b` is 127.91.7.1, port 3001",
        ),
        (
            at("b", "https://127.91.7.2:3001/x"),
            "the upstream of `b` is 127.91.7.2, port 3001",
        ),
        (
            at("b", "http://127.91.7.3:3001").api_at("127.91.7.3:3001".parse().unwrap()),
            "the upstream of `b` is 127.91.7.3",
        ),
        (
            wish("{}").listens(main).to("h2c://127.91.7.1:3001"),
            "the upstream of `main` is 127.91.7.1",
        ),
        (
            wish("{}").listens(main).passes(&[("a", main.to_owned())], None),
            "the upstream of `main` is 127.91.7.1",
        ),
        (
            wish("{}").listens(main).passes(&[], Some(main)),
            "the upstream of `main` is 127.91.7.1",
        ),
    ] {
        let said = refused(wish);
        assert!(said.starts_with("R004") && said.contains(says), "{says}: {said}");
    }
    // The same port at another address is of somebody else.
    at("b", "http://127.91.7.4:3001").bind();
}
