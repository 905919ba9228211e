use std::fmt::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::messages::{GOOD, SCENARIO};
use super::{plain, said};
use crate::{LARGEST, read_file};

/// What is said about a text, which must be said soon.
fn soon(text: &str) -> String {
    let begin = Instant::now();
    let said = said(&plain(text));
    // Each takes a few milliseconds; a bound that grows with the bomb would be minutes.
    assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
    said
}

#[test]
fn a_long_text_is_not_repeated_without_end() {
    let long = format!("  {}\n", "x".repeat(8000)).repeat(100);
    let text = |count: usize| format!("a: &a |\n{long}b: [{}]\n", vec!["*a"; count].join(", "));
    assert!(soon(&text(6)).contains("aliases repeat more than 4096 KiB of texts"));
    assert!(!soon(&text(5)).contains("aliases repeat"));
}

#[test]
fn billion_laughs() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..10 {
        let _ = writeln!(
            text,
            "a{level}: &a{level} [{}]",
            vec![format!("*a{}", level - 1); 10].join(", ")
        );
    }
    assert!(
        soon(&text).contains("more than 20000 values, those that aliases repeat included"),
        "{}",
        soon(&text)
    );
}

#[test]
fn nesting_bombs() {
    let block: String = (0..500).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>();
    for text in ["[".repeat(7_000), "{a: ".repeat(1_500), "- ".repeat(2_000), block] {
        let said = soon(&text);
        assert!(said.contains("error[D002]"), "{said}");
    }
}

#[test]
fn a_map_with_very_many_keys() {
    let mut text = String::new();
    for key in 0..50_000 {
        let _ = writeln!(text, "key{key}: 1");
    }
    assert!(soon(&text).contains("a map has more than 1000 keys"));
}

#[test]
fn a_very_long_line() {
    let said = soon(&format!("a: {}", "x".repeat(20_000)));
    assert!(
        said.contains("line 1 is longer than 8192 characters") && said.len() < 1_000,
        "{said}"
    );
}

#[test]
fn a_text_that_is_too_large() {
    assert!(soon(&"#\n".repeat(LARGEST as usize)).contains("error[D001]: a.yaml is larger than 1024 KiB"));
}

#[test]
fn line_ends_byte_order_marks_and_json() {
    assert_eq!(soon(&GOOD.replace('\n', "\r\n")), "");
    assert_eq!(soon(&format!("\u{feff}{GOOD}")), "");
    let json = r#"{
	"spec": {
		"targets": [{ "alias": "a", "selector": { "pattern": "a" } }],
		"duration": "1m",
		"faults": [{ "phase": "f", "target": "a", "type": "memory", "params": { "memory_mb": 64 } }],
		"success_criteria": [{ "name": "up", "type": "prometheus", "query": "up", "threshold": "== 1" }]
	}
}"#;
    assert_eq!(soon(json), "");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let said = soon(&GOOD.replace("duration: 2m", "\"\\e[31mduration\": 2m"));
    assert!(!said.contains('\u{1b}'), "{said}");
    assert!(said.contains("has no key `\u{fffd}[31mduration`"), "{said}");
}

#[test]
fn promql_bombs() {
    for query in [
        "(".repeat(2_000),
        "-".repeat(4_000) + "1",
        "1+".repeat(3_000) + "1",
        "a or ".repeat(1_600),
        "a".repeat(9_000),
        format!("{}x{}", "(".repeat(200), ")".repeat(200)),
    ] {
        let begin = Instant::now();
        assert!(crate::promql::check(&query, true).is_err());
        assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
    }
}

#[test]
fn very_many_wrong_queries() {
    let query = format!("{}x y{}{}", "sum(".repeat(60), ")".repeat(60), " + x".repeat(30));
    let text = format!("{GOOD}metrics:\n{}", format!("  - '{query}'\n").repeat(900));
    let said = soon(&text);
    assert_eq!(said.matches("error[D013]").count(), 100);
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("good"), "a: ü").unwrap();
    std::fs::write(path("latin"), b"a: \xfc").unwrap();
    // A file of 100 MB that takes no room.
    std::fs::File::create(path("large"))
        .unwrap()
        .set_len(100_000_000)
        .unwrap();
    assert_eq!(read_file(&path("good")).unwrap(), "a: ü");
    for (name, why) in [
        ("latin", "it is not UTF-8 text, from byte 3"),
        ("large", "it is larger than 1024 KiB"),
        ("", "it is a directory"),
        ("nowhere", "No such file"),
    ] {
        let problem = read_file(&path(name)).unwrap_err();
        assert_eq!(problem.code.id, "D001");
        assert!(problem.to_string().contains(why), "{problem}");
    }
    assert!(
        read_file(std::path::Path::new("/dev/zero"))
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_text_makes_the_loader_panic(text in "(?s).{0,400}") {
        let _ = plain(&text);
    }

    #[test]
    fn no_yaml_makes_the_loader_panic(text in "[\\[\\]{}:,\\-&*!|>'\"%@`#? \nabc01]{0,120}") {
        let _ = plain(&text);
    }

    #[test]
    fn no_change_of_a_good_document_makes_the_loader_panic(
        native: bool, at in 0usize..400, drop in 0usize..20, put in "[\\[\\]{}:,\\-&*$(.^0-9a-z\" \n]{0,12}",
    ) {
        let base = if native { GOOD } else { SCENARIO };
        let at = at.min(base.len());
        let text = format!("{}{put}{}", &base[..at], &base[(at + drop).min(base.len())..]);
        match plain(&text) {
            Ok(loaded) => prop_assert!(!loaded.experiment.targets.is_empty()),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn no_query_makes_the_check_panic(query in "[a-z0-9(){}\\[\\]=~!<>+*/%^\"'`\\\\, #é-]{0,60}") {
        if let Err(wrong) = crate::promql::check(&query, true) {
            prop_assert!(wrong.column >= 1 && wrong.column <= query.chars().count() + 1);
        }
    }

    #[test]
    fn no_override_makes_the_loader_panic(path in "[a-z\\[\\].\"0-9]{0,30}", value in "[\\[\\]{}:,'\"&*$a-z0-9 ]{0,20}") {
        let _ = super::with(GOOD, &[(&path, &value)], &[]);
        let _ = super::with(SCENARIO, &[(&path, &value)], &[]);
    }
}
