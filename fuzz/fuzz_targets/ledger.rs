//! A ledger as it may be found after a crash, on a bad disk, or written by somebody else. Reading it never panics.
#![no_main]

use fracas_guardian::ledger::Contents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(contents) = Contents::parse(bytes) {
        // What recovery does with it.
        let open = contents.open().count();
        assert!(open <= bytes.len(), "more injections than bytes");
    }
});
