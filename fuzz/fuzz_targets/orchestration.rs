//! Any text as an orchestration: reading it gives one or problems, never a panic; what was read has a plan, and is read again as it is written.
#![no_main]

use fracas_core::chaos::Plan;
use fracas_spec::{Export as _, Source, orchestration};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let read = |text: String| {
        let source = Source {
            name: "orchestration.yaml".to_owned(),
            text,
        };
        orchestration(&source, &|_| None, None)
    };
    match read(text.to_owned()) {
        Ok(whole) => {
            assert!(Plan::new(&whole).is_ok(), "it has no plan");
            let json = whole.to_json().expect("it has a form");
            // What is written in more lines or longer ones may be too large.
            if let Ok(again) = read(json) {
                assert_eq!(again, whole);
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            problems
                .iter()
                .for_each(|problem| assert!(!problem.to_string().is_empty()));
        }
    }
});
