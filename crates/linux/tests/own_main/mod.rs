//! A `main` for tests whose binary must also be something else: it understands as much of a test runner's command line as `cargo test`
//! and nextest use.

#![expect(clippy::print_stdout, reason = "a test runner reads it")]

/// Runs the tests that the command line asks for, or lists them.
pub(crate) fn run(tests: &[(&str, fn())]) {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // No test is ignored: a list of the ignored ones is empty.
    if has("--ignored") {
        return;
    }
    let filter = arguments
        .iter()
        .skip(1)
        .find(|argument| !argument.starts_with('-') && *argument != "terse");
    for &(name, test) in tests {
        let wanted = filter.is_none_or(|filter| {
            if has("--exact") {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        });
        match (wanted, has("--list")) {
            (false, _) => {}
            (true, true) => println!("{name}: test"),
            (true, false) => {
                test();
                println!("test {name} ... ok");
            }
        }
    }
}
