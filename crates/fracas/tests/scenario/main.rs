//! A scenario from end to end: the program, a container engine, and Prometheus, all of them real.
//!
//! Needs root, an engine in `FRACAS_TEST_DOCKER_HOST`, and `/usr/bin/prometheus`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod criteria;
mod danger;
mod example;
mod key_value;
mod logs;
mod native;
mod requests;
mod selectors;
mod support;
mod timing;
