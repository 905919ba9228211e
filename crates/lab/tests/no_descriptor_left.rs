//! A way back through the engine exists when the process has no free descriptor. Alone in its file: it takes them all.

use std::fs::File;

use fracas_docker::Outcome;
use fracas_lab::{TestContainer, TestDocker};
use fracas_linux::limits;

#[tokio::test]
async fn a_call_is_made_with_a_descriptor_that_was_set_aside() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).start().await.unwrap();
    engine.pause(container.id()).await.unwrap();
    engine.reserve(1).unwrap();

    let me = std::process::id();
    let (before, _) = limits::descriptor_limit(me).unwrap().unwrap();
    limits::set_descriptor_soft_limit(me, 200).unwrap();
    let mut all = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    let unpaused = engine.unpause(container.id()).await;
    // The connection that used the descriptor may not be closed yet: take what it gives back.
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }
    let without = engine.inspect(container.id()).await;
    drop(all);
    limits::set_descriptor_soft_limit(me, before).unwrap();

    assert_eq!(unpaused.unwrap(), Outcome::Done);
    let problem = without.unwrap_err();
    assert_eq!(problem.code.id, "X001");
    assert!(problem.line().contains("Too many open files"), "{}", problem.line());
}
