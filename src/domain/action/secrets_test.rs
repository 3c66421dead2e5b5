use super::*;
use crate::domain::action::{Mode, text};
use serde_json::json;

fn with(mode: Mode, text: &str, pairs: &[(&str, &str)]) -> Result<Action, Text> {
    let values: Values = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    text::parse(mode, text).unwrap().with_secrets(&values)
}

#[test]
fn every_part_of_a_request_can_hold_a_secret() {
    let text = "【url】https://u:${secret:A}@h/${secret:A}?t=${secret:A}\n【headers】X: a ${secret:A}|||Y: b\n\
                【cookies】c=${secret:A}\n【data】{\"k\": \"${secret:A}\"}\n【proxy】socks5://x:${secret:A}@p:1\n【result】ok ${secret:A}";
    let Ok(Action::Http(action)) = with(Mode::Http, text, &[("A", "v|||x: 1")]) else { panic!() };
    assert_eq!(action.url.as_str(), "https://u:v%7C%7C%7Cx%3A%201@h/v%7C%7C%7Cx%3A%201?t=v%7C%7C%7Cx%3A%201");
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(action.headers, [header("X", "a v|||x: 1"), header("Y", "b")]);
    assert_eq!(action.cookies.as_deref(), Some("c=v|||x: 1"));
    assert_eq!(action.data.as_deref(), Some("{\"k\": \"v|||x: 1\"}"));
    assert_eq!(action.proxy.unwrap().as_str(), "socks5://x:v%7C%7C%7Cx%3A%201@p:1");
    assert_eq!(action.result.as_deref(), Some("ok v|||x: 1"));
}

#[test]
fn a_whole_url_can_be_a_secret_but_only_a_good_one() {
    let Ok(Action::Http(action)) = with(Mode::Http, "${secret:HOOK}", &[("HOOK", "http://h/x")]) else {
        panic!()
    };
    assert_eq!(action.url.as_str(), "http://h/x");
    for bad in ["file:///etc/passwd", "no url", "ftp://h/"] {
        let error = with(Mode::Http, "${secret:HOOK}", &[("HOOK", bad)]).unwrap_err();
        assert!(error.en.contains("【url】") && !error.en.contains(bad), "{error}");
    }
}

#[test]
fn a_command_is_given_variables_and_its_environment_values() {
    let text = "【command】echo '${secret:A}'\n【workdir】/tmp/${secret:A}\n【env】K=x${secret:A}";
    let Ok(Action::Command(action)) = with(Mode::Command, text, &[("A", "a|||B=1")]) else { panic!() };
    assert_eq!(action.command, "echo ''\"${TJ_SECRET_A}\"''");
    assert_eq!(action.workdir.as_deref(), Some("/tmp/a|||B=1"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(action.env, [pair("K", "xa|||B=1"), pair("TJ_SECRET_A", "a|||B=1")]);
}

#[test]
fn arguments_stay_the_arguments_that_they_are() {
    let Ok(Action::Func(action)) = with(Mode::Func, "Echo a,${secret:A},c", &[("A", "x,y")]) else {
        panic!()
    };
    assert_eq!(
        (action.args, action.raw_args),
        (vec![json!("a"), json!("x,y"), json!("c")], "a,x,y,c".into())
    );
    let text = r#"【name】f
【args】[{"k": ["${secret:A}", 1]}]"#;
    let Ok(Action::Func(action)) = with(Mode::Func, text, &[("A", "\"")]) else { panic!() };
    assert_eq!(action.args, [json!({"k": ["\"", 1]})]);
}
