//! What a client of TLS says first, in any parts. Nothing makes the reader panic, what it hears does not depend on the parts, and what came is
//! passed on as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fracas_proxy::fuzz_client_hello(bytes));
