//! Any text as a document: reading it gives an experiment or problems, never a panic, and every problem can be shown.
#![no_main]

use fracas_spec::{Source, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source {
        name: "document.yaml".to_owned(),
        text: text.to_owned(),
    };
    // One variable is set, so that what stands for it is read too.
    let variable = |name: &str| (name == "A").then(|| "1s".to_owned());
    match load(&source, &[], &variable) {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .for_each(|problem| assert!(!problem.to_string().is_empty())),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            problems
                .iter()
                .for_each(|problem| assert!(!problem.to_string().is_empty()));
        }
    }
});
