//! What comes in by netlink: messages, errors with the kernel's words, links with nested attributes. Nothing makes the reader panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fracas_linux::netlink::fuzz_answer(bytes));
