#![expect(clippy::float_cmp, reason = "what is read is exactly what was written")]

use proptest::prelude::*;

use super::*;

fn values(body: &str) -> Vec<f64> {
    parse(200, body.as_bytes())
        .unwrap()
        .into_iter()
        .map(|sample| sample.value)
        .collect()
}

fn why(status: u16, body: &str) -> String {
    parse(status, body.as_bytes()).unwrap_err().to_string()
}

#[test]
fn vectors_and_scalars_are_read() {
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"__name__":"up","job":"a"},"value":[1700000000.123,"1"]},
        {"metric":{},"value":[1700000000.123,"1e+06"]}]},"warnings":["careful"]}"#;
    let samples = parse(200, vector.as_bytes()).unwrap();
    assert_eq!(samples[0].labels["job"], "a");
    assert_eq!((samples[0].time, samples[0].value), (1_700_000_000.123, 1.0));
    assert_eq!(samples[1].value, 1e6);
    assert_eq!(
        values(r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"42.5"]}}"#),
        [42.5]
    );
    assert!(values(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#).is_empty());
}

#[test]
fn numbers_that_are_none_are_read_as_such() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{},"value":[1,"NaN"]},{"metric":{},"value":[1,"+Inf"]},{"metric":{},"value":[1,"-Inf"]}]}}"#;
    let values = values(body);
    assert!(values[0].is_nan());
    assert_eq!(values[1..], [f64::INFINITY, f64::NEG_INFINITY]);
}

#[test]
fn what_is_no_number_is_refused_with_the_way_out() {
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    assert!(why(200, matrix).contains("range vector; take one value of it"));
    let string = r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#;
    assert!(why(200, string).contains("gives a string"));
    let histogram =
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#;
    assert!(why(200, histogram).contains("native histogram"));
}

#[test]
fn refusals_of_the_query_and_of_the_server_are_told_apart() {
    let bad = r#"{"status":"error","errorType":"bad_data","error":"1:3: parse error"}"#;
    assert_eq!(
        parse(400, bad.as_bytes()),
        Err(Refusal::Query("bad_data: 1:3: parse error".to_owned()))
    );
    let busy = r#"{"status":"error","errorType":"unavailable","error":"starting"}"#;
    assert_eq!(
        parse(503, busy.as_bytes()),
        Err(Refusal::Server("unavailable: starting".to_owned()))
    );
}

#[test]
fn hostile_answers_are_named() {
    assert_eq!(
        why(200, " <!doctype html><html>Grafana</html>"),
        "the answer (HTTP 200) is HTML: is this really the address of Prometheus?"
    );
    assert!(why(502, "").contains("(HTTP 502) is empty"));
    assert!(why(200, r#"{"status":"success","data":{"resultType":"vec"#).contains("EOF while parsing"));
    assert!(why(200, r#"{"status":"success"}"#).contains("holds no data"));
    assert!(why(200, r#"{"status":"maybe"}"#).contains("unknown status maybe"));
    assert!(why(200, "[1,2]").contains("not that of Prometheus"));
    assert!(why(200, r#"{"status":1}"#).contains("not that of Prometheus"));
    for result in [
        r#"{"a":1}"#,
        "[1]",
        r#"[{"value":[1,2]}]"#,
        r#"[{"value":[1,"seven"]}]"#,
    ] {
        let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#);
        assert!(
            matches!(parse(200, body.as_bytes()), Err(Refusal::Nonsense(_))),
            "{result}"
        );
    }
    assert!(matches!(
        parse(200, "[".repeat(1 << 20).as_bytes()),
        Err(Refusal::Nonsense(_))
    ));
}

#[test]
fn too_many_series_are_refused_with_the_way_out() {
    let one = r#"{"metric":{},"value":[1,"1"]}"#;
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
        vec![one; MOST_SERIES + 1].join(",")
    );
    assert!(why(200, &body).contains("10001 series"));
}

#[test]
fn foreign_text_cannot_reach_a_terminal_raw() {
    let said = why(
        400,
        r#"{"status":"error","errorType":"bad_data","error":"\u001b[2Jgone\r\n"}"#,
    );
    assert!(!said.contains(|c: char| c.is_control()), "{said:?}");
    assert!(excerpt("x".repeat(10_000).as_bytes()).chars().count() <= 201);
}

proptest! {
    #[test]
    fn nothing_makes_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzz_answer(&body);
    }

    #[test]
    fn nearly_right_answers_do_not_make_it_panic(kind in "(vector|scalar|matrix|string|x)", result in "[\\[\\]{}\",:0-9a-z.]{0,40}") {
        crate::fuzz_answer(format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#).as_bytes());
    }

    #[test]
    fn every_float_comes_back(value in any::<f64>()) {
        let body = format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[0,"{value}"]}}}}"#);
        let back = parse(200, body.as_bytes()).unwrap()[0].value;
        prop_assert!(back == value || (back.is_nan() && value.is_nan()));
    }
}
