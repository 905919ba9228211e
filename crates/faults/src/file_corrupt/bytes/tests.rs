use super::*;

const KEY: Fill = Fill::Random([1, 2, 3, 4]);

fn range() -> Range {
    let before: Vec<u8> = (0..100).collect();
    Range::new(7, &before, KEY)
}

/// Where ours begin and end, and how many are somebody else's.
fn rows(range: &Range, bytes: Vec<u8>) -> (Vec<(usize, usize)>, usize) {
    let now = range.compare(bytes, ROW);
    (now.ours.iter().map(|row| (row.start, row.end)).collect(), now.foreign)
}

#[test]
fn every_byte_becomes_another_and_always_the_same() {
    let range = range();
    let ours = range.ours();
    assert!(ours.iter().zip(range.before()).all(|(ours, before)| *ours != before));
    assert_eq!(ours, range.ours());
    let other = Range::new(7, &range.before(), Fill::Random([1, 2, 3, 5]));
    assert_ne!(ours, other.ours());
    assert_eq!(Range::new(0, &[1, 2], Fill::Zero).ours(), [0, 0]);
}

#[test]
fn ours_before_and_somebody_else_s_are_told_apart() {
    let range = range();
    assert_eq!(rows(&range, range.ours()), (vec![(0, 100)], 0));
    assert_eq!(rows(&range, range.before()), (vec![], 0));
    // Somebody wrote ten bytes into the middle.
    let mut bytes = range.ours();
    bytes[40..50].fill(200);
    assert_eq!(rows(&range, bytes), (vec![(0, 40), (50, 100)], 10));
    // Half of ours was put back already: what is left goes too, however short.
    let mut bytes = range.ours();
    bytes[..98].copy_from_slice(&range.before()[..98]);
    assert_eq!(rows(&range, bytes), (vec![(98, 100)], 0));
    // Three bytes like ours amid somebody else's are his.
    let mut bytes = vec![200; 100];
    bytes[10..13].copy_from_slice(&range.ours()[10..13]);
    assert_eq!(rows(&range, bytes), (vec![], 100));
    // The file has been cut.
    assert_eq!(rows(&range, range.ours()[..30].to_vec()), (vec![(0, 30)], 0));
    assert_eq!(rows(&range, Vec::new()), (vec![], 0));
}

#[test]
fn a_range_of_one_byte_is_a_range() {
    let range = Range::new(0, b"x", KEY);
    assert_eq!(rows(&range, range.ours()), (vec![(0, 1)], 0));
    assert_eq!(rows(&range, b"x".to_vec()), (vec![], 0));
    let strange = range.ours()[0] ^ 1;
    let strange = if strange == b'x' { strange ^ 2 } else { strange };
    assert_eq!(rows(&range, vec![strange]), (vec![], 1));
}

#[test]
fn zeroes_that_were_there_before_are_as_before() {
    let range = Range::new(0, &[5, 0, 0, 7, 8], Fill::Zero);
    assert_eq!(rows(&range, vec![0; 5]), (vec![(0, 5)], 0));
    assert_eq!(rows(&range, vec![5, 0, 0, 7, 8]), (vec![], 0));
}

#[test]
fn it_is_written_as_text_and_read_back() {
    let range = range();
    let text = serde_json::to_string(&range).unwrap();
    assert!(text.starts_with(r#"{"offset":7,"before":"000102"#), "{text}");
    assert_eq!(serde_json::from_str::<Range>(&text).unwrap(), range);
    for wrong in [r#""0""#, r#""zz""#, r#""é1""#] {
        assert!(serde_json::from_str::<Hex>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_person_gets_a_line_that_can_be_typed_or_the_command_that_knows_the_bytes() {
    let small = Range::new(9, b"a\0\\", KEY);
    assert_eq!(
        small.manual("/tmp/x"),
        r"printf '\141\000\134' | dd of=/tmp/x bs=1 seek=9 conv=notrunc"
    );
    assert_eq!(Range::new(0, &[1; 2000], KEY).manual("/x"), "fracas recover");
    assert_eq!(short(&[0xab; 3]), "ababab");
    assert!(short(&[1; 20]).ends_with(" and 4 more bytes"));
}
