use super::*;
use proptest::prelude::*;

#[test]
fn durations_as_people_write_them() {
    for (text, millis) in [
        ("1500ms", 1500),
        ("30s", 30_000),
        ("2m", 120_000),
        ("1h30m", 5_400_000),
        ("1.5s", 1500),
        ("0", 0),
        ("0s", 0),
    ] {
        assert_eq!(text.parse(), Ok(Span::millis(millis)), "{text}");
    }
}

#[test]
fn what_is_no_duration_says_why() {
    for (text, why) in [
        ("", "empty"),
        ("-5s", "negative"),
        ("5", "unit is missing"),
        ("5 parsecs", "not a unit of time"),
        ("s", "number is missing"),
        ("31d", "longer than 30 days"),
        ("99999999999999999999h", "longer than 30 days"),
    ] {
        let said = text.parse::<Span>().unwrap_err().to_string();
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn a_difference_of_times_has_a_direction() {
    for (text, millis, shown) in [
        ("+5m", 300_000, "+5m"),
        ("-1h30m", -5_400_000, "-1h30m"),
        ("90s", 90_000, "+1m30s"),
        ("-0.5s", -500, "-500ms"),
        ("+3650d", 315_360_000_000, "+87600h"),
    ] {
        let offset: Offset = text.parse().unwrap();
        assert_eq!(offset.as_nanos(), millis * 1_000_000, "{text}");
        assert_eq!(offset.to_string(), shown);
        assert_eq!(shown.parse(), Ok(offset));
    }
    for (text, why) in [
        ("", "empty"),
        ("+", "empty"),
        ("--5s", "negative"),
        ("0", "nothing"),
        ("+0.1ms", "nothing"),
        ("5", "unit is missing"),
        ("-3651d", "more than 3650 days"),
    ] {
        let said = text.parse::<Offset>().unwrap_err().to_string();
        assert!(said.contains(why) && said.contains("+5m"), "{text}: {said}");
    }
}

#[test]
fn sizes_are_binary_unless_they_say_otherwise() {
    for (text, bytes) in [
        ("512MiB", 536_870_912),
        ("512m", 536_870_912),
        ("1GB", 1_000_000_000),
        ("4096", 4096),
        ("1.5k", 1536),
    ] {
        assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
    }
    assert!("-1k".parse::<Size>().is_err());
    assert!("1 parsec".parse::<Size>().is_err());
    assert!("99999999TiB".parse::<Size>().is_err());
}

#[test]
fn a_percentage_may_be_a_bare_number_and_a_duration_may_not() {
    assert_eq!(serde_json::from_str::<Percent>("50").unwrap(), Percent(50.0));
    assert_eq!(serde_json::from_str::<Percent>("\"12.5%\"").unwrap(), Percent(12.5));
    assert!(serde_json::from_str::<Percent>("-1").is_err());
    assert!(serde_json::from_str::<Span>("5").is_err());
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(millis in 0u64..2_592_000_000, bytes in 0u64..1 << 50) {
        prop_assert_eq!(Span::millis(millis).to_string().parse(), Ok(Span::millis(millis)));
        prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,40}") {
        let _ = text.parse::<Span>();
        let _ = text.parse::<Size>();
        let _ = text.parse::<Percent>();
    }
}

#[test]
fn rates_are_bits_in_a_second() {
    for (text, bits, said) in [
        ("10mbit", 10_000_000, "10mbit"),
        ("1.5mbit", 1_500_000, "1500kbit"),
        ("512kbit", 512_000, "512kbit"),
        ("1gbit", 1_000_000_000, "1gbit"),
        ("1500 bit", 1500, "1500bit"),
        ("0bit", 0, "0bit"),
    ] {
        let rate: Rate = text.parse().unwrap();
        assert_eq!((rate.0, rate.to_string().as_str()), (bits, said), "{text}");
    }
    for (text, why) in [
        ("10", "the unit is missing"),
        ("10MB", "not a unit of rate"),
        ("-1mbit", "negative"),
        ("fast", "does not begin with a number"),
        ("101gbit", "more than 100gbit"),
    ] {
        let error = text.parse::<Rate>().unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}
