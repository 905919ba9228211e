//! Real things to break: containers, processes and control groups that are there for one test and gone with it.
//!
//! Whatever is made here is removed when its value is dropped, also when a test panics. Nothing is doubled: a test that needs an
//! engine gets one or is skipped with a printed line, and under `CI=true` a missing need fails.

mod app;
mod container;
mod engine;
mod eventually;
mod group;
mod image;
mod names;
mod network;
mod podman;
mod process;

pub use app::{app, key_value};
pub use container::{TestContainer, TestContainerBuilder, TestNetwork};
pub use engine::TestDocker;
pub use eventually::{eventually, eventually_async};
pub use group::TestGroup;
pub use image::{image, image_name};
pub use names::TestNames;
pub use network::{TestBridge, TestNode, TestPort};
pub use podman::TestPodman;
pub use process::TestProcess;

use std::sync::atomic::{AtomicU32, Ordering};

/// Says on standard error why a test does nothing. Panics under `CI=true`, where everything that tests need must be there.
#[expect(clippy::print_stderr, reason = "the reader of a test run sees what was not tested")]
pub fn skip(why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{why}, and CI=true forbids to skip"
    );
    eprintln!("skipped: {why}");
}

/// A name that no other test of this or another process has at this time.
fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{count}", std::process::id())
}
