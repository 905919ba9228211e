use super::*;

fn expect(text: &str) -> Expect {
    text.parse().unwrap()
}

#[test]
fn comparisons_as_people_write_them() {
    assert_eq!(
        expect("< 0.2"),
        Expect {
            op: Op::Less,
            number: 0.2
        }
    );
    assert_eq!(
        expect(">=1"),
        Expect {
            op: Op::AtLeast,
            number: 1.0
        }
    );
    assert_eq!(
        expect("> 5%"),
        Expect {
            op: Op::Greater,
            number: 0.05
        }
    );
    for bad in ["", "5", "= 5", "< x", "> NaN", "< inf", "<> 3"] {
        assert!(bad.parse::<Expect>().is_err(), "{bad}");
    }
}

#[test]
fn of_several_series_the_hardest_decides() {
    assert_eq!(expect("< 5").all_hold(&[1.0, 9.0]), Some(false));
    assert_eq!(expect("> 5").all_hold(&[1.0, 9.0]), Some(false));
    assert_eq!(expect("== 1").all_hold(&[1.0, 1.0]), Some(true));
    assert_eq!(expect("== 1").all_hold(&[1.0, 0.0]), Some(false));
    assert_eq!(expect("!= 1").all_hold(&[0.0, 1.0]), Some(false));
    assert_eq!(expect("< 5").all_hold(&[]), None);
}

#[test]
fn nan_never_satisfies_and_always_endangers() {
    for text in ["< 5", "> 5", "== 5", "!= 5"] {
        assert!(Reading::of(f64::NAN).violates(expect(text)).is_some(), "{text}");
        assert!(Reading::of(f64::NAN).endangers(expect(text)).is_some(), "{text}");
    }
}

#[test]
fn one_series_in_danger_is_danger() {
    let reading = Reading {
        values: vec![0.1, 3.0],
        age: None,
        range: None,
        stale: false,
        error: None,
    };
    assert!(reading.endangers(expect("> 1")).is_some());
    assert!(reading.endangers(expect("> 4")).is_none());
}

#[test]
fn no_data_is_a_violation_and_a_danger() {
    let none = Reading {
        values: vec![],
        age: None,
        range: None,
        stale: false,
        error: None,
    };
    let stale = Reading {
        values: vec![0.0],
        age: Some(Span::secs(40)),
        range: None,
        stale: true,
        error: None,
    };
    let failed = Reading::failed("connection refused");
    for reading in [none, stale, failed] {
        assert!(reading.violates(expect("< 5")).is_some());
        assert!(reading.endangers(expect("> 5")).is_some());
    }
}

#[test]
fn a_reading_that_is_no_number_survives_the_record() {
    let reading = Reading {
        values: vec![1.0, f64::NAN, f64::INFINITY],
        age: Some(Span::millis(1500)),
        range: None,
        stale: false,
        error: None,
    };
    let text = serde_json::to_string(&reading).unwrap();
    assert_eq!(
        text,
        r#"{"values":[1.0,"NaN","Infinity"],"age":"1s500ms","stale":false}"#
    );
    let back: Reading = serde_json::from_str(&text).unwrap();
    assert_eq!(back.values[0].to_bits(), 1.0f64.to_bits());
    assert!(back.values[1].is_nan());
    assert_eq!(back.values[2].to_bits(), f64::INFINITY.to_bits());
    // An answer that says "not a number" must not come back as "no data", which is another finding.
    assert_eq!(
        back.violates(expect("< 5")).as_deref(),
        Some("value NaN fails threshold < 5")
    );
}
