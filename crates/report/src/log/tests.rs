use std::fs;

use fracas_core::probe::{Moment, Reading};

use super::*;
use crate::samples;

fn read_back(path: &Path) -> (Vec<Event>, u64) {
    let mut events = Vec::new();
    let bad = read_events(path, |event| events.push(event)).unwrap();
    (events, bad)
}

fn reading(values: Vec<f64>) -> Event {
    samples::event(
        7,
        1500,
        What::ProbeRead {
            probe: "p99".into(),
            moment: Some(Moment::During),
            reading: Reading {
                values,
                age: None,
                range: None,
                stale: false,
                error: None,
            },
            violation: None,
            danger: None,
        },
    )
}

#[test]
fn every_kind_of_event_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    for (name, events) in samples::all() {
        let path = dir.path().join(name);
        let mut log = EventLog::create(&path).unwrap();
        for (written, event) in events.iter().enumerate() {
            log.append(event).unwrap();
            // Flushed each: a reader sees it at once.
            assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), written + 1);
        }
        assert_eq!(read_back(&path), (events, 0), "{name}");
    }
}

#[test]
fn a_reading_that_is_no_number_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let mut log = EventLog::create(&path).unwrap();
    log.append(&reading(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2]))
        .unwrap();
    let (events, bad) = read_back(&path);
    assert_eq!((events.len(), bad), (1, 0));
    let What::ProbeRead { reading, .. } = &events[0].what else {
        panic!("{:?}", events[0])
    };
    assert!(reading.values[0].is_nan());
    let bits: Vec<u64> = reading.values[1..].iter().map(|value| value.to_bits()).collect();
    let wanted = [f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2].map(f64::to_bits);
    assert_eq!(bits, wanted);
}

#[test]
fn a_record_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    EventLog::create(&path).unwrap();
    assert_eq!(EventLog::create(&path).unwrap_err().code.id, "S002");
}

// /dev/full answers every write with ENOSPC, see full(4).
#[test]
fn a_full_disk_is_an_error_each_time_and_never_a_panic() {
    let full = Path::new("/dev/full");
    let file = OpenOptions::new().append(true).open(full).unwrap();
    let mut log = EventLog::over(file, full, MOST_BYTES);
    for event in samples::passed() {
        let problem = log.append(&event).unwrap_err();
        assert_eq!(problem.code.id, "S002");
        assert!(problem.line().contains("No space left"), "{problem}");
    }
}

const HALF: &[u8] = b"{\"seq\":1,\"at";

#[test]
fn half_a_line_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let mut log = EventLog::create(&path).unwrap();
    let events = samples::passed();
    log.append(&events[0]).unwrap();
    log.file.write_all(HALF).unwrap();
    log.mend();
    log.append(&events[1]).unwrap();
    assert_eq!(read_back(&path), (events[..2].to_vec(), 0));
}

#[test]
fn after_a_torn_line_the_record_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let mut log = EventLog::create(&path).unwrap();
    let events = samples::passed();
    log.append(&events[0]).unwrap();
    // As a write leaves it that ended half-way, on a file that could not be cut.
    log.file.write_all(HALF).unwrap();
    log.cuts = false;
    log.mend();
    log.append(&events[1]).unwrap();
    // And once more: nothing that is whole is ever cut off.
    log.file.write_all(HALF).unwrap();
    log.mend();
    log.append(&events[2]).unwrap();
    assert_eq!(read_back(&path), (events[..3].to_vec(), 2));
}

#[test]
fn a_record_that_is_too_long_drops_readings_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson");
    let file = OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
    let mut log = EventLog::over(file, &path, 300);
    let one = reading(vec![1.0]);
    log.append(&one).unwrap();
    log.append(&reading(vec![1.0; 200])).unwrap_err();
    log.append(&reading(vec![1.0; 200])).unwrap();
    let rest: Vec<Event> = samples::passed();
    for event in rest
        .iter()
        .filter(|event| !matches!(event.what, What::ProbeRead { .. } | What::MetricRead { .. }))
    {
        log.append(event).unwrap();
    }
    assert_eq!(log.left_out(), 2);
    let kept = read_back(&path).0.len();
    let readings = rest
        .iter()
        .filter(|event| matches!(event.what, What::ProbeRead { .. } | What::MetricRead { .. }));
    assert_eq!(kept, 1 + rest.len() - readings.count());
}

#[test]
fn garbage_is_counted_and_skipped() {
    let mut count = 0;
    let bad = read(&b"\xff\xfe\n{}\n\n[1,2\nnull"[..], |_| count += 1).unwrap();
    assert_eq!((bad, count), (4, 0));
}
