use super::*;
use proptest::prelude::*;

fn secrets(values: &[&str]) -> Secrets {
    Secrets::new(values.iter().enumerate().map(|(n, value)| (format!("S{n}"), (*value).to_owned())).collect())
}

fn through(secrets: &Secrets, pieces: &[&[u8]]) -> String {
    let mut stream = secrets.stream();
    let mut out: Vec<u8> = pieces.iter().flat_map(|piece| stream.pass(piece).into_owned()).collect();
    out.extend(stream.rest());
    String::from_utf8(out).unwrap()
}

#[test]
fn a_secret_is_masked_however_it_is_cut() {
    let secrets = secrets(&["hunter2", "hunter2000"]);
    let text = b"a hunter2 b hunter2000 c hunter200 hunter";
    for cut in 0..text.len() {
        let (first, second) = text.split_at(cut);
        assert_eq!(through(&secrets, &[first, second]), "a *** b *** c ***00 hunter", "{cut}");
    }
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(through(&secrets, &bytes), "a *** b *** c ***00 hunter");
}

#[test]
fn only_what_may_become_a_secret_is_held_back() {
    let mut stream = secrets(&["hunter2"]).stream();
    assert_eq!(*stream.pass(b"Password: "), *b"Password: ");
    assert_eq!(*stream.pass(b"the hunt"), *b"the ");
    assert_eq!(*stream.pass(b"\n"), *b"hunt\n");
    assert_eq!(*stream.pass(b"hunter"), *b"");
    assert_eq!(*stream.pass(b"2!"), *b"***!");
}

#[test]
fn overlapping_beginnings_do_not_let_a_secret_through() {
    // The end of the first is the beginning of the second.
    let secrets = secrets(&["abcd", "cdef"]);
    for cut in 0..6 {
        let (first, second) = b"abcdef".split_at(cut);
        let shown = through(&secrets, &[first, second]);
        assert!(!shown.contains("abcd") && !shown.contains("cdef"), "{cut}: {shown}");
    }
}

#[test]
fn without_secrets_nothing_is_copied() {
    let mut stream = Secrets::default().stream();
    assert!(matches!(stream.pass(b"hunter2"), Cow::Borrowed(b"hunter2")));
    assert!(stream.rest().is_empty());
    assert_eq!(format!("{:?}", secrets(&["hunter2"])), r#"["S0"]"#);
}

proptest! {
    #[test]
    fn pieces_give_what_the_whole_gives(
        values in prop::collection::vec("[ab]{4,6}", 1..4),
        text in "[ab\n]{0,60}",
        cuts in prop::collection::vec(0_usize..60, 0..6),
    ) {
        let secrets = secrets(&values.iter().map(String::as_str).collect::<Vec<_>>());
        let mut whole = text.clone();
        secrets.hide(&mut whole);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &text.as_bytes()[two[0]..two[1]]).collect();
        prop_assert_eq!(through(&secrets, &pieces), whole);
    }
}
