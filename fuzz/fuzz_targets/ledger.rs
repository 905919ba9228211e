//! A ledger as it may be found after a crash, on a bad disk, or written by somebody else. Reading it never panics.
#![no_main]

use fracas_guardian::ledger::Contents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The bytes as they are: headers, lengths, torn ends.
    read(bytes);
    // Each line as a record with a right checksum, which the fuzzer would not find by itself.
    let mut ledger = b"FRACAS\x01\x00".to_vec();
    for body in bytes.split(|byte| *byte == b'\n') {
        let Ok(length) = u32::try_from(body.len()) else { return };
        ledger.extend_from_slice(&length.to_le_bytes());
        ledger.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
        ledger.extend_from_slice(body);
    }
    read(&ledger);
});

fn read(bytes: &[u8]) {
    if let Ok(contents) = Contents::parse(bytes) {
        assert!(contents.length <= bytes.len().max(8), "more was read than is there");
        assert!(contents.open().count() <= contents.entries.len());
    }
}
