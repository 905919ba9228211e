//! What clients and servers send through the proxy in the place of frames, messages and data. Nothing makes the readers panic, and the parts in
//! which bytes come change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fracas_proxy::fuzz(bytes));
