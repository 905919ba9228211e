//! Conditions, attempts, time-outs, assertions and reports of orchestrations.

use fracas_proxy::Orchestrations;
use serde_json::{Value, json};

use crate::client::curl;
use crate::orchestrations::{LONG, call, ended, fails, fails_always, get, seen, start, status};
use crate::stand::{LIMIT, Stand, wish};

/// A step with more keys.
fn step(mut step: Value, more: Value) -> Value {
    let Value::Object(more) = more else {
        panic!("{more} is no map")
    };
    step.as_object_mut().unwrap().extend(more);
    step
}

/// Looks how it is until that is so.
async fn until(proxy: &Stand, is_so: impl Fn(&Value) -> bool) -> Value {
    let looks = async {
        loop {
            let now = status(proxy).await;
            if is_so(&now) {
                return now;
            }
        }
    };
    tokio::time::timeout(LIMIT, looks).await.expect("it becomes so")
}

/// What cannot hold: nobody sends so many requests.
fn never() -> Value {
    json!([{ "metric": "requests", "min": 1e12 }])
}

async fn begin(proxy: &Stand, orchestration: Value) {
    let said = start(proxy, orchestration).await;
    assert_eq!(said.status(), 200, "{}", said.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_condition_does_not_hold_is_skipped_and_takes_no_time() {
    let proxy = wish(&fails_always(501)).start();
    let skipped = step(
        fails("b", 504, LONG),
        json!({ "condition": { "type": "previous_step_failed" } }),
    );
    let steps = json!([fails("a", 503, 0.02), skipped, fails("c", 502, LONG)]);
    begin(&proxy, json!({ "name": "o", "steps": steps })).await;
    let seen = seen(&proxy, &["502"]).await;
    assert!(!seen.contains(&"504".to_owned()), "{seen:?}");
    let now = status(&proxy).await;
    let states = [0, 1, 2].map(|index| now["steps"][index]["state"].clone());
    assert_eq!(states, ["passed", "skipped", "running"].map(Value::from));
    // Its time is over.
    let progress = now["progress"].as_f64().unwrap();
    assert!((0.5..0.6).contains(&progress), "{progress}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_each_other_a_step_is_skipped_by_itself() {
    let proxy = wish("{}").start();
    let skipped = step(
        fails("b", 504, LONG),
        json!({ "condition": { "type": "previous_step_failed" } }),
    );
    let steps = json!([fails("a", 503, LONG), skipped]);
    begin(&proxy, json!({ "name": "o", "parallel": true, "steps": steps })).await;
    assert_eq!(get(&proxy).await, 503);
    assert_eq!(status(&proxy).await["steps"][1]["state"], "skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_ends_is_off_traffic_while_those_beside_it_go_on() {
    let one = async |more: Value, state: &str| {
        let proxy = wish("{}").start();
        let slow = json!({ "latency": { "fixed_delay_ms": 5 } });
        let slow = json!({ "name": "b", "scenario": { "config": slow }, "duration_seconds": LONG });
        let steps = json!([step(fails("a", 503, 2.0), more), slow]);
        begin(&proxy, json!({ "name": "o", "parallel": true, "steps": steps })).await;
        assert_eq!(seen(&proxy, &["503", "200"]).await, ["503", "200"]);
        let now = status(&proxy).await;
        let states = [0, 1].map(|index| now["steps"][index]["state"].clone());
        assert_eq!(states, [state, "running"].map(Value::from));
        assert_eq!(curl(&[&proxy.url("/")]).await.header("x-fracas-latency-ms"), "5.000");
    };
    let fails = json!({ "assertions": never(), "continue_on_failure": true });
    tokio::join!(one(json!({}), "passed"), one(fails, "failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_may_ask_what_traffic_was_like() {
    let proxy = wish("{}").start();
    let condition =
        json!({ "type": "metric_threshold", "metric": "error_rate", "operator": "greater_than", "threshold": 0.5 });
    let whole = |seconds: f64| {
        let asks = step(fails("b", 502, LONG), json!({ "condition": condition }));
        json!({ "name": "o", "steps": [fails("a", 503, seconds), asks] })
    };
    begin(&proxy, whole(2.0)).await;
    seen(&proxy, &["503", "502"]).await;
    call(&proxy, "POST", "/orchestration/stop").await;
    // Nobody comes this time, and what came before is none of its own.
    begin(&proxy, whole(0.02)).await;
    let over = ended(&proxy).await;
    assert_eq!(
        (&over["state"], &over["steps"][1]["state"]),
        (&json!("completed"), &json!("skipped"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_of_which_all_is_skipped_ends_in_its_time() {
    let proxy = wish("{}").start();
    let skipped = step(
        fails("a", 503, 1.0),
        json!({ "condition": { "type": "previous_step_failed" } }),
    );
    let looped = json!({ "name": "o", "loop_orchestration": true, "max_duration_seconds": 0.2, "steps": [skipped] });
    begin(&proxy, looped).await;
    let over = ended(&proxy).await;
    let skipped = over["steps"][0]["skipped"].as_u64().unwrap();
    // It takes a moment each time, or a core would do nothing else.
    assert!((1..=21).contains(&skipped), "{over}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_failed_is_tried_again_after_a_pause_without_faults() {
    let proxy = wish(&fails_always(501)).start();
    let retry = json!({ "max_attempts": 2, "delay_seconds": 2.0 });
    let tried = step(
        fails("a", 503, 2.0),
        json!({ "retry": retry, "assertions": never(), "continue_on_failure": true }),
    );
    begin(&proxy, json!({ "name": "o", "steps": [tried, fails("b", 502, LONG)] })).await;
    assert_eq!(seen(&proxy, &["502"]).await, ["503", "200", "503", "502"]);
    let now = status(&proxy).await;
    let counts = ["attempts", "failed", "passed"].map(|key| now["steps"][0][key].as_u64().unwrap());
    assert_eq!((&now["steps"][0]["state"], counts), (&json!("failed"), [2, 2, 0]));
    // Neither pauses nor other attempts are time of the plan.
    let progress = now["progress"].as_f64().unwrap();
    assert!(progress < 0.01, "{progress}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_succeeds_is_the_last() {
    let proxy = wish("{}").start();
    let retry = json!({ "max_attempts": 100, "delay_seconds": 0.01 });
    let asked = json!([{ "metric": "requests", "min": 1 }]);
    begin(
        &proxy,
        json!({ "name": "o", "steps": [step(fails("a", 503, 1.0), json!({ "retry": retry, "assertions": asked }))] }),
    )
    .await;
    until(&proxy, |now| now["steps"][0]["attempts"].as_u64() > Some(1)).await;
    seen(&proxy, &["503"]).await;
    let over = ended(&proxy).await;
    assert_eq!(
        (&over["state"], &over["steps"][0]["passed"]),
        (&json!("completed"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_over_in_time_has_failed_and_brings_back_what_was() {
    // It is to be tried again in an hour.
    let retry = json!({ "max_attempts": 2, "delay_seconds": LONG });
    let slow = step(fails("a", 503, 2.0), json!({ "retry": retry, "assertions": never() }));
    let proxy = wish(&fails_always(501)).start();
    begin(
        &proxy,
        json!({ "name": "o", "timeout_seconds": 2.5, "steps": [slow.clone()] }),
    )
    .await;
    assert_eq!(get(&proxy).await, 503);
    let over = ended(&proxy).await;
    assert_eq!(
        (&over["state"], &over["failures"][0]),
        (&json!("failed"), &json!("it was not over within 2.5 s"))
    );
    assert_eq!(get(&proxy).await, 501);
    // Where the longest time is over, it has completed.
    begin(
        &proxy,
        json!({ "name": "o", "max_duration_seconds": 0.2, "steps": [slow.clone()] }),
    )
    .await;
    assert_eq!(ended(&proxy).await["state"], "completed");
    assert_eq!(get(&proxy).await, 501);
    // Of several limits the shortest acts; what ends with the longest time has not failed.
    let limited = step(slow, json!({ "timeout_seconds": 3 }));
    begin(
        &proxy,
        json!({ "name": "o", "max_duration_seconds": 0.2, "timeout_seconds": 4, "steps": [limited] }),
    )
    .await;
    let over = ended(&proxy).await;
    assert_eq!(
        (&over["state"], &over["failures"], &over["steps"][0]["failures"]),
        (&json!("completed"), &Value::Null, &Value::Null)
    );
    assert_eq!(get(&proxy).await, 501);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_not_over_in_time_fails_by_itself() {
    let proxy = wish("{}")
        .orchestrations(Orchestrations {
            allow_exec: true,
            ..Orchestrations::default()
        })
        .start();
    let waits = json!([{ "command": { "argv": ["/bin/sleep", "1000"], "timeout_seconds": 60 } }]);
    let late = step(
        fails("a", 503, 2.0),
        json!({ "post_hooks": waits, "timeout_seconds": 4.0, "continue_on_failure": true }),
    );
    begin(&proxy, json!({ "name": "o", "steps": [late, fails("b", 502, LONG)] })).await;
    // What is on ends before its hooks begin.
    assert_eq!(seen(&proxy, &["502"]).await, ["503", "200", "502"]);
    let now = status(&proxy).await;
    assert_eq!(now["steps"][0]["failures"], json!(["it was not over within 4 s"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn assertions_of_all_are_about_all_requests_and_steps() {
    let proxy = wish("{}").start();
    let whole = |seconds: f64, assertions: Value| {
        let failing = json!({ "assertions": never(), "continue_on_failure": true });
        let steps = json!([fails("a", 503, seconds), step(fails("b", 503, 0.02), failing)]);
        json!({ "name": "o", "steps": steps, "assertions": assertions })
    };
    let held = json!([
        { "metric": "requests", "min": 1 }, { "metric": "error_rate", "min": 1 },
        { "type": "step_succeeded", "step": "a" }, { "type": "step_failed", "step": "b" },
    ]);
    begin(&proxy, whole(2.0, held)).await;
    assert_eq!(get(&proxy).await, 503);
    assert_eq!(ended(&proxy).await["state"], "completed");
    let broken = json!([{ "type": "step_failed", "step": "a" }, { "type": "step_succeeded", "step": "b" }, { "metric": "requests", "min": 1 }]);
    begin(&proxy, whole(0.02, broken)).await;
    let over = ended(&proxy).await;
    assert_eq!(over["state"], "failed");
    assert_eq!(
        over["failures"],
        json!([
            "step a passed",
            "step b failed",
            "requests was 0, and must be at least 1"
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_takes_its_place_whole_and_only_that_of_a_file() {
    let place = tempfile::tempdir().unwrap();
    let (report, other) = (place.path().join("report.json"), place.path().join("other"));
    std::fs::write(&other, "mine").unwrap();
    std::fs::write(&report, "old").unwrap();
    let text = json!({ "name": "o", "report_path": report, "steps": [fails("a", 503, 0.02)] });
    let proxy = wish("{}").start();
    for path in ["/orchestration/start", "/orchestration/import"] {
        let body = if path.ends_with("start") {
            text.clone()
        } else {
            json!({ "content": text.to_string() })
        };
        let said = crate::orchestrations::api(&proxy, "POST", path, &body).await;
        assert_eq!(said.status(), 403, "{}", said.text());
        assert!(said.text().contains("--allow-exec"), "{}", said.text());
    }
    let may = Orchestrations {
        allow_exec: true,
        ..Orchestrations::default()
    };
    let proxy = wish("{}").orchestrations(may).start();
    begin(&proxy, text.clone()).await;
    let over = ended(&proxy).await;
    assert_eq!(over["report"], json!(format!("written to {}", report.display())));
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(
        (&written["state"], &written["steps"][0]["state"]),
        (&json!("completed"), &json!("passed"))
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
    // Where it cannot be written that is said, and nothing there is touched.
    let (link, socket, taken) = (
        place.path().join("link"),
        place.path().join("socket"),
        place.path().join("taken"),
    );
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let part = place.path().join(format!("taken.{}.part", std::process::id()));
    std::fs::write(&part, "of another").unwrap();
    for (path, why) in [
        (place.path().join("none/report.json"), "No such file"),
        (link.clone(), "no regular file"),
        (socket.clone(), "no regular file"),
        (place.path().to_owned(), "no regular file"),
        (taken.clone(), "File exists"),
    ] {
        let mut nowhere = text.clone();
        nowhere["report_path"] = json!(path);
        begin(&proxy, nowhere).await;
        let over = ended(&proxy).await;
        let said = over["report"].as_str().unwrap();
        assert!(said.starts_with("cannot write") && said.contains(why), "{over}");
        assert_eq!(over["state"], "completed");
    }
    assert!(link.is_symlink() && socket.exists() && !taken.exists());
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "mine");
    assert_eq!(std::fs::read_to_string(&part).unwrap(), "of another");
    // One that is stopped has none.
    std::fs::remove_file(&report).unwrap();
    let mut stopped = text;
    stopped["steps"][0]["duration_seconds"] = json!(LONG);
    begin(&proxy, stopped).await;
    call(&proxy, "POST", "/orchestration/stop").await;
    assert_eq!(status(&proxy).await["report"], Value::Null);
    assert!(!report.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_does_not_go_back_for_another_attempt() {
    let proxy = wish("{}").start();
    let retry = json!({ "max_attempts": 2, "delay_seconds": LONG });
    let tried = step(fails("a", 503, 0.02), json!({ "retry": retry, "assertions": never() }));
    begin(&proxy, json!({ "name": "o", "steps": [tried, fails("b", 503, 0.02)] })).await;
    let now = until(&proxy, |now| now["steps"][0]["failed"] == 1).await;
    assert_eq!(
        (&now["steps"][0]["state"], &now["progress"]),
        (&json!("waiting"), &json!(0.5))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_before_all_are_no_progress_of_steps_beside_each_other() {
    let may = Orchestrations {
        allow_exec: true,
        ..Orchestrations::default()
    };
    let proxy = wish("{}").orchestrations(may).start();
    let waits = json!([{ "command": { "argv": ["/bin/sleep", "1000"], "timeout_seconds": 60 } }]);
    let steps = json!([fails("a", 503, LONG), fails("b", 503, LONG)]);
    begin(
        &proxy,
        json!({ "name": "o", "parallel": true, "pre_hooks": waits, "steps": steps }),
    )
    .await;
    let now = status(&proxy).await;
    assert_eq!((&now["is_running"], &now["progress"]), (&json!(true), &json!(0.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_of_what_only_its_time_ends_is_that_of_its_time() {
    let proxy = wish("{}").start();
    let skipped = step(
        fails("a", 503, LONG),
        json!({ "condition": { "type": "previous_step_failed" } }),
    );
    let looped = json!({ "name": "o", "loop_orchestration": true, "max_duration_seconds": LONG, "steps": [skipped] });
    begin(&proxy, looped).await;
    // What is skipped is over, and the orchestration is not.
    let now = until(&proxy, |now| now["steps"][0]["skipped"].as_u64() > Some(2)).await;
    let progress = now["progress"].as_f64().unwrap();
    assert!(progress > 0.0 && progress < 0.1, "{progress}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_orchestrations_do_is_counted() {
    let proxy = wish("{}").start();
    let metrics = async || curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    let judged = step(
        fails("a", 503, 0.02),
        json!({ "assertions": [{ "metric": "requests", "max": 0 }, { "metric": "faults", "min": 1 }, { "metric": "faults", "min": 0 }] }),
    );
    let hooks = json!([{ "log": { "message": "a" } }, { "http_request": { "url": proxy.url("/api/chaos/none") } }]);
    begin(
        &proxy,
        json!({ "name": "first \"one\"", "post_hooks": hooks, "steps": [judged] }),
    )
    .await;
    assert_eq!(ended(&proxy).await["state"], "failed");
    begin(&proxy, json!({ "name": "long", "steps": [fails("a", 503, LONG)] })).await;
    let text = metrics().await;
    for sample in [
        "active_orchestrations 1\n",
        "orchestration_executions_total{orchestration=\"first \\\"one\\\"\",status=\"failed\"} 1\n",
        "orchestration_step_duration_seconds_bucket{orchestration=\"first \\\"one\\\"\",step=\"a\",le=\"30\"} 1\n",
        "orchestration_assertion_results_total{result=\"held\"} 2\n",
        "orchestration_assertion_results_total{result=\"failed\"} 1\n",
        "orchestration_hook_executions_total{hook=\"log\",result=\"done\"} 1\n",
        "orchestration_hook_executions_total{hook=\"http_request\",result=\"failed\"} 1\n",
    ] {
        assert!(text.contains(&format!("fracas_proxy_{sample}")), "{sample}: {text}");
    }
    call(&proxy, "POST", "/orchestration/stop").await;
    let text = metrics().await;
    assert!(text.contains("active_orchestrations 0\n"), "{text}");
    assert!(
        text.contains("executions_total{orchestration=\"long\",status=\"stopped\"} 1\n"),
        "{text}"
    );
}
