//! What a container engine, or whatever listens at its address, may answer. Nothing makes the client panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fracas_docker::fuzz_answer(bytes));
