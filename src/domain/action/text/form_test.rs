//! Texts taken apart, and put together again as a form would.

use super::text_test::{modes, near_texts};
use super::*;
use proptest::prelude::*;

fn taken_apart(mode: Mode, text: &str) -> Vec<(&'static str, String)> {
    form(mode, text).unwrap_or_else(|| panic!("{text:?}"))
}

fn pairs<'a>(list: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    list.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
}

/// A form's text: each key on a line of its own. The line end of two characters keeps a body that ends
/// with the first of them.
fn written(form: &[(&'static str, String)]) -> String {
    form.iter().map(|(key, value)| format!("【{key}】{value}\r\n")).collect()
}

#[test]
fn keys_come_in_the_order_written_and_trimmed() {
    let text = "\u{feff} 【Timeout】 5 \r\n【URL】 https://a.test \n【header】A:1\n【data】 {\n}\n\n【HEADERS】 B:2|||C:3\n";
    assert_eq!(
        taken_apart(Mode::Http, text),
        pairs(&[
            ("timeout", "5"),
            ("url", "https://a.test"),
            ("headers", "A:1|||B:2|||C:3"),
            ("data", " {\n}\n"),
        ])
    );
    assert_eq!(
        taken_apart(Mode::Func, "【name】Test\n【args】a,b"),
        pairs(&[("name", "Test"), ("arg", "a,b")])
    );
}

#[test]
fn a_bare_text_has_the_keys_that_it_stands_for() {
    assert_eq!(taken_apart(Mode::Http, " https://a.test "), pairs(&[("url", "https://a.test")]));
    assert_eq!(taken_apart(Mode::Command, "echo 1\necho 【2】"), pairs(&[("command", "echo 1\necho 【2】")]));
    assert_eq!(taken_apart(Mode::Func, "Test  a, b"), pairs(&[("name", "Test"), ("arg", "a, b")]));
    assert_eq!(taken_apart(Mode::Func, "Hello"), pairs(&[("name", "Hello")]));
    assert_eq!(taken_apart(Mode::Http, ""), pairs(&[("url", "")]));
}

#[test]
fn values_may_be_wrong_and_empty() {
    let text = "【url】nowhere\n【headers】\n【timeout】soon\n【header】A:1\n【headers】\n【data】";
    assert_eq!(
        taken_apart(Mode::Http, text),
        pairs(&[("url", "nowhere"), ("headers", "A:1"), ("timeout", "soon"), ("data", "")])
    );
}

#[test]
fn what_would_lose_something_is_not_taken_apart() {
    for (mode, text) in [
        (Mode::Http, "【url】http://a\n【utl】http://b"),
        (Mode::Http, "【url】http://a\n【url】http://b"),
        (Mode::Func, "【name】a\n【arg】1\n【args】2"),
        (Mode::Command, "first\n【command】true"),
        (Mode::Command, "【url】http://a"),
        (Mode::Command, "echo \0"),
        (Mode::Command, &"x".repeat(70_000)),
    ] {
        assert_eq!(form(mode, text), None);
    }
}

/// Texts that are mostly right, so that much of them can be read.
fn likely_texts() -> impl Strategy<Value = (Mode, String)> {
    let value = prop::sample::select(vec![
        "http://a.test/x",
        "5",
        "true",
        "Test",
        "A:1",
        "A=1|||B=2",
        "\"a\",b",
        " x \r",
        "{\n \"a\": 1\n}\n",
        "",
        "\n",
        "1.5",
        "POST",
        "|||A:2",
        "【通知】",
    ]);
    let end = prop::sample::select(vec!["\n", "\r\n", " \n", "\n\n"]);
    modes().prop_flat_map(move |mode| {
        let key = prop::sample::select(known_keys(mode).to_vec());
        let line =
            (key, value.clone(), end.clone()).prop_map(|(key, value, end)| format!("【{key}】{value}{end}"));
        (Just(mode), prop::collection::vec(line, 1..7).prop_map(|lines| lines.concat()))
    })
}

proptest! {
    #[test]
    fn a_text_written_anew_from_its_form_means_the_same((mode, text) in likely_texts(), near in near_texts()) {
        for text in [text, near] {
            let Some(form) = form(mode, &text) else {
                prop_assert!(parse(mode, &text).is_err(), "{:?}", text);
                continue;
            };
            let anew = written(&form);
            prop_assert_eq!(super::form(mode, &anew), Some(form));
            match (parse(mode, &text), parse(mode, &anew)) {
                (Ok(before), Ok(after)) => prop_assert_eq!(before, after),
                (before, after) => prop_assert_eq!(before.is_err(), after.is_err(), "{:?} {:?}", text, anew),
            }
        }
    }
}
