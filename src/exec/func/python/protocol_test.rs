use super::*;
use crate::exec::output::Output;
use crate::exec::secrets::Secrets;
use serde_json::json;
use std::sync::Arc;

fn output() -> Output {
    Output::new(&Arc::default(), 1 << 10, &Secrets::default())
}

#[test]
fn the_output_of_a_call_is_cut_out_however_it_is_read() {
    let marks = Marks::new();
    let other = Marks::new();
    let within = format!("one\0<no mark\0{}two\n\0", other.end);
    let stream = format!("left over\0{}{within}{}later", marks.begin, marks.end);
    for size in [1, 2, 3, 7, 35, 36, 37, stream.len()] {
        let (mut splitter, mut output) = (Splitter::new(&marks), output());
        let mut done = false;
        for part in stream.as_bytes().chunks(size) {
            done = splitter.feed(part, &mut output.stdout);
        }
        assert!(done, "{size}");
        assert_eq!(output.finish().0, within.replace('\0', "\u{fffd}"), "{size}");
    }
}

#[test]
fn output_that_ends_in_the_middle_is_kept() {
    let marks = Marks::new();
    let (mut splitter, mut output) = (Splitter::new(&marks), output());
    let half = &marks.end[..5];
    assert!(!splitter.feed(format!("{}dying{half}", marks.begin).as_bytes(), &mut output.stdout));
    splitter.finish(&mut output.stdout);
    assert_eq!(output.finish().0, format!("dying{half}").replace('\0', "\u{fffd}"));
}

#[test]
fn marks_are_never_the_same() {
    let all: std::collections::HashSet<_> = (0..1000).map(|_| Marks::new().end).collect();
    assert_eq!(all.len(), 1000);
}

#[tokio::test]
async fn a_frame_comes_back_as_it_was_and_a_long_one_is_refused() {
    let (mut here, mut there) = tokio::io::duplex(1 << 12);
    let value =
        json!({"kind": "raised", "error": "ValueError: 数", "file": "a.py", "line": 3, "retire": false});
    write(&mut here, &value).await.unwrap();
    let Answer::Raised { error, file, line, retire } = read(&mut there, 1 << 10).await.unwrap() else {
        panic!()
    };
    assert_eq!(
        (error.as_str(), file.as_deref(), line, retire),
        ("ValueError: 数", Some("a.py"), Some(3), false)
    );
    write(&mut here, &value).await.unwrap();
    assert_eq!(read::<Value>(&mut there, 10).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    drop(here);
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_frame_is_an_error() {
    let (mut here, mut there) = tokio::io::duplex(64);
    here.write_all(&[0, 0, 0, 9, b'{']).await.unwrap();
    drop(here);
    assert_eq!(read::<Value>(&mut there, 100).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
