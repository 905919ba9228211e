//! What a Prometheus, or whatever listens on its port, may answer. Nothing makes the prober panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fracas_probe::fuzz_answer(bytes));
