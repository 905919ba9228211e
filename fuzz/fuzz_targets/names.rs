//! What a target sends to name servers, and what they answer to the meter. Nothing makes the readers panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fracas_faults::dns::fuzz(bytes);
    fracas_faults::http::fuzz(bytes);
});
