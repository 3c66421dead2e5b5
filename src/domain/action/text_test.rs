//! The command text, by tables: every 【】 example of the seed as it is written there, good and bad
//! values of each key, and properties. One file over 400 lines, so that what is promised of the
//! text can be read in one place.

use super::*;
use crate::domain::action::limits::Limits;
use crate::domain::action::{CommandAction, FuncAction, HttpAction};
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

fn http(text: &str) -> HttpAction {
    match parse(Mode::Http, text) {
        Ok(Action::Http(action)) => *action,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn command(text: &str) -> CommandAction {
    match parse(Mode::Command, text) {
        Ok(Action::Command(action)) => action,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn func(text: &str) -> FuncAction {
    match parse(Mode::Func, text) {
        Ok(Action::Func(action)) => action,
        other => panic!("{text:?}: {other:?}"),
    }
}

/// The English messages of a bad text.
fn errors(mode: Mode, text: &str) -> Vec<String> {
    let list = parse(mode, text).expect_err(text);
    assert!(list.iter().all(|e| e.field == "command" && !e.message.zh.is_empty()), "{list:?}");
    list.into_iter().map(|e| e.message.en).collect()
}

/// The one message of a text with one fault.
fn error(mode: Mode, text: &str) -> String {
    let list = errors(mode, text);
    assert_eq!(list.len(), 1, "{text:?}: {list:?}");
    list.into_iter().next().unwrap_or_default()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// The text of a JSON string as the seed prints it.
fn from_json(literal: &str) -> String {
    serde_json::from_str(literal).unwrap()
}

/// The seed's http examples, and its example row of each key.
#[test]
fn the_seeds_http_examples() {
    let get = |url: &str| HttpAction {
        url: Url::parse(url).unwrap(),
        method: "GET".into(),
        headers: Vec::new(),
        data: None,
        cookies: None,
        proxy: None,
        timeout: DEFAULT_TIMEOUT,
        result: None,
        repeat: Repeat::default(),
        written: crate::domain::action::WrittenUrls::default(),
    };
    let read = |literal: &str| http(&from_json(literal));
    assert_eq!(
        read(r#""【url】https://api.example.com/health\n【mode】GET""#),
        get("https://api.example.com/health")
    );
    assert_eq!(
        read(
            r#""【url】https://api.example.com/sync\n【mode】POST\n【headers】Content-Type:application/json\n【data】{\"action\":\"sync\",\"timestamp\":\"2024-01-01\"}""#
        ),
        HttpAction {
            method: "POST".into(),
            headers: pairs(&[("Content-Type", "application/json")]),
            data: Some(r#"{"action":"sync","timestamp":"2024-01-01"}"#.into()),
            ..get("https://api.example.com/sync")
        }
    );
    assert_eq!(
        read(r#""【url】https://api.example.com/data\n【mode】GET\n【proxy】http://proxy.example.com:8080""#),
        HttpAction {
            proxy: Some(Url::parse("http://proxy.example.com:8080").unwrap()),
            ..get("https://api.example.com/data")
        }
    );
    assert_eq!(
        read(
            r#""【url】https://api.example.com/user/profile\n【mode】GET\n【cookies】sessionid=abc123; userid=456""#
        ),
        HttpAction {
            cookies: Some("sessionid=abc123; userid=456".into()),
            ..get("https://api.example.com/user/profile")
        }
    );
    assert_eq!(http("https://httpbin.org/get"), get("https://httpbin.org/get"));

    let rows = "【url】https://api.example.com/endpoint\n【mode】POST\n\
        【headers】Content-Type:application/json|||Authorization:Bearer token\n【data】{\"key\":\"value\"}\n\
        【cookies】sessionid=123; userid=456\n【proxy】http://proxy.example.com:8080\n【times】3\n【result】success";
    assert_eq!(
        http(rows),
        HttpAction {
            method: "POST".into(),
            headers: pairs(&[("Content-Type", "application/json"), ("Authorization", "Bearer token")]),
            data: Some(r#"{"key":"value"}"#.into()),
            cookies: Some("sessionid=123; userid=456".into()),
            proxy: Some(Url::parse("http://proxy.example.com:8080").unwrap()),
            result: Some("success".into()),
            repeat: Repeat { times: 3, interval: Duration::ZERO },
            ..get("https://api.example.com/endpoint")
        }
    );
}

#[test]
fn the_seeds_command_examples() {
    let plain = |line: &str| CommandAction {
        command: line.into(),
        workdir: None,
        env: Vec::new(),
        limits: Limits::default(),
        timeout: DEFAULT_TIMEOUT,
        repeat: Repeat::default(),
    };
    let read = |literal: &str| command(&from_json(literal));
    assert_eq!(
        read(r#""【command】find /tmp -name '*.tmp' -mtime +7 -delete""#),
        plain("find /tmp -name '*.tmp' -mtime +7 -delete")
    );
    assert_eq!(
        read(r#""【command】./backup.sh\n【workdir】/opt/scripts""#),
        CommandAction { workdir: Some("/opt/scripts".into()), ..plain("./backup.sh") }
    );
    assert_eq!(
        read(r#""【command】echo $CUSTOM_VAR\n【env】CUSTOM_VAR=test_value|||DEBUG=true""#),
        CommandAction {
            env: pairs(&[("CUSTOM_VAR", "test_value"), ("DEBUG", "true")]),
            ..plain("echo $CUSTOM_VAR")
        }
    );
    assert_eq!(
        read(r#""【command】long-running-script.sh\n【timeout】60""#),
        CommandAction { timeout: Duration::from_secs(60), ..plain("long-running-script.sh") }
    );
    assert_eq!(read(r#""【command】del /q /f %TEMP%\\*.tmp""#), plain(r"del /q /f %TEMP%\*.tmp"));
    assert_eq!(
        command(
            "【command】ls -la\n【workdir】/opt/scripts\n【env】PATH=/usr/bin|||DEBUG=true\n【timeout】60"
        ),
        CommandAction {
            workdir: Some("/opt/scripts".into()),
            env: pairs(&[("PATH", "/usr/bin"), ("DEBUG", "true")]),
            timeout: Duration::from_secs(60),
            ..plain("ls -la")
        }
    );
}

#[test]
fn the_seeds_func_examples() {
    for (literal, name, args) in [
        (r#""【name】Time\n【arg】2006-01-02 15:04:05""#, "Time", json!(["2006-01-02 15:04:05"])),
        (r#""【name】Math\n【arg】+,100,50""#, "Math", json!(["+", "100", "50"])),
        (r#""【name】File\n【arg】read,/var/log/app.log""#, "File", json!(["read", "/var/log/app.log"])),
        (
            r#""【name】Database\n【arg】query,SELECT COUNT(*) FROM users""#,
            "Database",
            json!(["query", "SELECT COUNT(*) FROM users"]),
        ),
        (r#""【name】Dayin\n【arg】1,hello,true""#, "Dayin", json!(["1", "hello", "true"])),
        (
            r#""【name】my_custom_function\n【arg】参数1,参数2""#,
            "my_custom_function",
            json!(["参数1", "参数2"]),
        ),
        (r#""【name】函数名\n【arg】参数1,参数2,参数3""#, "函数名", json!(["参数1", "参数2", "参数3"])),
        // The table of built-in functions, in the bare form.
        (r#""Dayin 1,hello,true""#, "Dayin", json!(["1", "hello", "true"])),
        (r#""Test test123""#, "Test", json!(["test123"])),
        (r#""Hello 张三""#, "Hello", json!(["张三"])),
        (r#""Time 2006-01-02 15:04:05""#, "Time", json!(["2006-01-02 15:04:05"])),
        (r#""Echo Hello World""#, "Echo", json!(["Hello World"])),
        (r#""Math +,10,5""#, "Math", json!(["+", "10", "5"])),
        (r#""File read,/path/to/file""#, "File", json!(["read", "/path/to/file"])),
        (r#""Database query,SELECT * FROM users""#, "Database", json!(["query", "SELECT * FROM users"])),
        (
            r#""Email user@example.com,测试,邮件内容""#,
            "Email",
            json!(["user@example.com", "测试", "邮件内容"]),
        ),
        (r#""SMS 13800138000,测试短信""#, "SMS", json!(["13800138000", "测试短信"])),
        (
            r#""Webhook https://webhook.site/xxx,{\"data\":\"value\"}""#,
            "Webhook",
            json!(["https://webhook.site/xxx", "{\"data\":\"value\"}"]),
        ),
        (r#""Backup /data,/backup""#, "Backup", json!(["/data", "/backup"])),
        (r#""Cleanup /tmp,7""#, "Cleanup", json!(["/tmp", "7"])),
        (r#""Monitor disk""#, "Monitor", json!(["disk"])),
        (r#""Report daily""#, "Report", json!(["daily"])),
    ] {
        let action = func(&from_json(literal));
        assert_eq!((action.name.as_str(), Value::Array(action.args)), (name, args), "{literal}");
        assert_eq!(action.timeout, DEFAULT_TIMEOUT);
    }
}

/// The seed's format templates hold descriptions in the place of values: each bad one is named.
#[test]
fn the_seeds_templates_name_what_to_fill_in() {
    let list = errors(
        Mode::Http,
        "【url】URL地址\n【mode】请求方式\n【headers】请求头1:值1|||请求头2:值2\n【data】POST数据\n\
         【cookies】Cookie字符串\n【proxy】代理地址\n【times】执行次数\n【result】自定义结果判断字符串",
    );
    let keys: Vec<&str> = list.iter().map(|m| m.split('】').next().unwrap_or_default()).collect();
    // The proxy's description is, to the letter, a host.
    assert_eq!(keys, ["【url", "【mode", "【headers", "【headers", "【times"]);
    let list = errors(
        Mode::Command,
        "【command】要执行的命令\n【workdir】工作目录\n【env】环境变量1|||环境变量2\n【timeout】超时时间(秒)",
    );
    let keys: Vec<&str> = list.iter().map(|m| m.split('】').next().unwrap_or_default()).collect();
    assert_eq!(keys, ["【env", "【env", "【timeout"]);
}

#[test]
fn a_value_runs_to_the_next_key_line() {
    let action = http(
        "\u{feff}  \r\n【URL】 https://a.test/x \r\n【Data】 line 1\r\n  【mode】not a line start\r\n\r\n【通知】x【url】\r\n【Mode】put\r\n",
    );
    assert_eq!(action.url.as_str(), "https://a.test/x");
    assert_eq!(action.method, "PUT");
    let data = " line 1\r\n  【mode】not a line start\r\n\r\n【通知】x【url】";
    assert_eq!(action.data.as_deref(), Some(data));
}

#[test]
fn data_keeps_its_bytes_but_for_the_last_line_break() {
    for (written, data) in [
        ("a", Some("a")),
        ("a\n", Some("a")),
        ("a\r\n", Some("a")),
        ("a \n\n", Some("a \n")),
        ("\n  {\n}\n", Some("\n  {\n}")),
        (" ", Some(" ")),
        ("\n", None),
        ("", None),
    ] {
        assert_eq!(http(&format!("【url】http://a\n【data】{written}")).data.as_deref(), data, "{written:?}");
    }
    assert_eq!(http("【data】x\n\n【url】http://a").data.as_deref(), Some("x\n"));
}

#[test]
fn other_brackets_belong_to_the_value() {
    assert_eq!(command("echo 【通知】 done").command, "echo 【通知】 done");
    assert_eq!(command("【通知】").command, "【通知】");
    assert_eq!(command("echo【command】").command, "echo【command】");
    assert_eq!(command("【command】a\n【】b\n【a1】c\n【env").command, "a\n【】b\n【a1】c\n【env");
    assert_eq!(command("  cat <<E\n x\nE\n").command, "cat <<E\n x\nE");
    assert_eq!(func("Echo 【通知】你好").raw_args, "【通知】你好");
}

#[test]
fn unknown_keys_are_named_with_a_hint() {
    for (mode, text, hint) in [
        (
            Mode::Http,
            "【url】http://a\n【heders】A:1",
            "【heders】 is not a key of mode http: did you mean 【headers】? ",
        ),
        (Mode::Http, "【url】http://a\n【ulr】http://b", "did you mean 【url】? "),
        (Mode::Http, "【url】http://a\n【TIMEOUTS】3", "did you mean 【timeout】? "),
        (Mode::Http, "【url】http://a\n【workdir】/", "it belongs to mode command. "),
        (Mode::Http, "【url】http://a\n【cookie】a=1", "did you mean 【cookies】? "),
        (
            Mode::Command,
            "【command】x\n【INFO】y",
            "【INFO】 is not a key of mode command: The keys are 【command】",
        ),
        (
            Mode::Func,
            "【name】x\n【arguments】y",
            "【arguments】 is not a key of mode func: The keys are 【name】",
        ),
    ] {
        let message = error(mode, text);
        assert!(message.contains(hint), "{message}");
    }
    // Without any known key the typo is still named, beside what is missing.
    let list = errors(Mode::Http, "【ulr】http://a");
    assert!(list.len() == 2 && list[0].starts_with("【ulr】 is not a key"), "{list:?}");
    assert!(error(Mode::Command, "echo a\n【INFO】b").starts_with("【INFO】 is not a key"));
    assert!(error(Mode::Http, "http://a\n【mod】POST").contains("did you mean 【mode】? "));
}

#[test]
fn bad_texts_say_what_is_wrong() {
    let (h, c, f) = (Mode::Http, Mode::Command, Mode::Func);
    for (mode, text, part) in [
        (h, "", "【url】 is required"),
        (h, "  \n", "【url】 is required"),
        (h, "【url】\n【mode】GET", "【url】 is required"),
        (h, "http://a\n【mode】GET\n【url】http://b", "before the first 【key】"),
        (h, "【url】http://a\n【url】http://a", "【url】 is given more than once"),
        (h, "example.com/x", "must be an absolute address"),
        (h, "ftp://a/x", "must be an absolute address"),
        (h, "/x", "must be an absolute address"),
        (h, "http:a", "must be an absolute address"),
        (h, "http://", "has no host"),
        (h, "http:///x", "has no host"),
        (h, "http://?x", "has no host"),
        (h, "http://a:99999/", "is not a valid address"),
        (h, "http://a/\nmode: GET", "holds a line break"),
        (h, "【url】http://a\n【mode】GET it", "【mode】 is not a request method"),
        (h, "【url】http://a\n【mode】GET\n【method】POST", "【method】 differs from 【mode】"),
        (h, "【url】http://a\n【headers】A", "entry without a colon"),
        (h, "【url】http://a\n【headers】:1", "not a header name"),
        (h, "【url】http://a\n【headers】A B:1", "not a header name"),
        (h, "【url】http://a\n【headers】A:1\nB:2", "put ||| between entries"),
        (h, "【url】http://a\n【cookies】a=1\nb=2", "【cookies】 holds a line break"),
        (h, "【url】http://a\n【proxy】ftp://p:1", "【proxy】 is not a proxy address"),
        (h, "【url】http://a\n【proxy】socks5://", "【proxy】 is not a proxy address"),
        (h, "【url】http://a\n【proxy】socks5://u:p@", "【proxy】 is not a proxy address"),
        (h, "【url】http://a\n【proxy】p:x", "【proxy】 is not a proxy address"),
        (h, "【url】http://a\n【times】-1", "【times】 must be a whole number"),
        (h, "【url】http://a\n【times】10001", "【times】 must be a whole number"),
        (h, "【url】http://a\n【times】1.5", "【times】 must be a whole number"),
        (h, "【url】http://a\n【interval】86401", "【interval】 must be seconds"),
        (h, "【url】http://a\n【interval】.", "【interval】 must be seconds"),
        (h, "【url】http://a\n【timeout】0", "【timeout】 must be seconds above 0"),
        (h, "【url】http://a\n【timeout】30s", "【timeout】 must be seconds above 0"),
        (h, "【url】http://a\n【timeout】0.0000000001", "【timeout】 must be seconds above 0"),
        (h, "【url】http://a\n【timeout】86400.1", "【timeout】 must be seconds above 0"),
        (h, "http://a/\0", "NUL character"),
        (c, "", "【command】 is required"),
        (c, "【command】 \n ", "【command】 is required"),
        (c, "【command】x\n【env】A", "entry without an equals sign"),
        (c, "【command】x\n【env】1A=2", "entry whose name is not valid"),
        (c, "【command】x\n【env】=2", "entry whose name is not valid"),
        (c, "【command】x\n【workdir】/a\n/b", "【workdir】 holds a line break"),
        (f, "", "【name】 is required"),
        (f, "【arg】1", "【name】 is required"),
        (f, "【name】Math +,1,2", "arguments go into 【arg】"),
        (f, "Math(1,2)", "arguments go into 【arg】"),
        (f, "Echo \"a", "double quote that is not closed"),
        (f, "【name】a\n【arg】1\n【args】2", "【arg】 is given more than once"),
    ] {
        let message = error(mode, text);
        assert!(message.contains(part), "{text:?}: {message}");
    }
    assert!(error(f, &"n".repeat(101)).contains("longer than 100 characters"));
    assert!(error(h, &format!("http://a/{}", "x".repeat(8192))).contains("longer than 8192 bytes"));
}

#[test]
fn all_errors_are_collected() {
    let list = errors(
        Mode::Http,
        "x\n【mode】a b\n【ulr】y\n【times】q\n【timeout】0\n【interval】-1\n【headers】z|||y",
    );
    assert_eq!(list.len(), 9, "{list:?}");
    assert_eq!(errors(Mode::Http, &"【bad】\n".repeat(5000)).len(), MAX_ERRORS);
    let first = parse(Mode::Http, "【url】http://a\n【times】many").unwrap_err().remove(0);
    assert_eq!((first.field.as_ref(), first.value), ("command", json!("many")));
    assert_eq!(first.message.zh, "【times】应为 0 到 10000 的整数，例如 3（0 即一次）");
}

#[test]
fn good_values_of_every_key() {
    let action = http(
        "【url】HTTPS://u:p@例子.测试:8443/a b?q=1#f\n【method】m-search\n【mode】M-SEARCH\n\
         【header】A:1|||B: x:y |||\n C:\n【headers】A:2|||  |||\n【proxy】user:pa%20ss@[::1]:3128\n【times】0\n\
         【interval】0.25\n【timeout】1.5\n【result】 ok ",
    );
    assert_eq!((action.url.scheme(), action.url.port()), ("https", Some(8443)));
    assert_eq!(action.method, "M-SEARCH");
    assert_eq!(action.headers, pairs(&[("A", "1"), ("B", "x:y"), ("C", ""), ("A", "2")]));
    assert_eq!(action.proxy.unwrap().as_str(), "http://user:pa%20ss@[::1]:3128/");
    assert_eq!(action.repeat, Repeat { times: 1, interval: Duration::from_millis(250) });
    assert_eq!(action.timeout, Duration::from_millis(1500));
    assert_eq!(action.result.as_deref(), Some("ok"));
    for proxy in ["socks5://u:p@h:1080", "socks5h://h", "https://h:1", "h:1", "h"] {
        assert!(http(&format!("【url】http://a\n【proxy】{proxy}")).proxy.is_some(), "{proxy}");
    }
    // A template may leave keys empty.
    let action = http(
        "【url】http://a\n【mode】\n【headers】\n【data】\n【cookies】\n【proxy】\n【times】\n【result】",
    );
    assert_eq!(action, http("http://a"));
    let action = command(
        "【command】a\nb\n【env】A = 1 |||B=x=y|||_c=\n【times】10000\n【interval】86400\n【timeout】86400",
    );
    assert_eq!(action.command, "a\nb");
    assert_eq!(action.env, pairs(&[("A", "1"), ("B", "x=y"), ("_c", "")]));
    assert_eq!(action.repeat, Repeat { times: 10_000, interval: Duration::from_secs(86_400) });
    let action = func("【NAME】mod.函数_1\n【args】a\n【timeout】5\n【times】2\n【interval】1");
    assert_eq!((action.name.as_str(), action.timeout), ("mod.函数_1", Duration::from_secs(5)));
    assert_eq!(action.repeat, Repeat { times: 2, interval: Duration::from_secs(1) });
}

#[test]
fn arguments() {
    for (raw, args) in [
        ("", json!([])),
        ("a", json!(["a"])),
        (" a , b c ", json!(["a", "b c"])),
        ("a,,b,", json!(["a", "", "b", ""])),
        (r#""a, b" , " c ""#, json!(["a, b", " c "])),
        (r#""""#, json!([""])),
        (r#"a\,b,\"c\",\\"#, json!(["a,b", "\"c\"", "\\"])),
        (r#""say \"hi\", you""#, json!(["say \"hi\", you"])),
        (r"C:\temp\new,D:\x", json!([r"C:\temp\new", r"D:\x"])),
        (r#"{"a":"x,y"},2"#, json!(["{\"a\":\"x,y\"}", "2"])),
        (r#"{"a":"q\"\\"}"#, json!([r#"{"a":"q\"\\"}"#])),
        (r#""a" "b,c""#, json!(["\"a\" \"b,c\""])),
        ("多,行\n文", json!(["多", "行\n文"])),
        (r#"[1, "a,b", true, null, {"k": [2.5]}]"#, json!([1, "a,b", true, null, {"k": [2.5]}])),
        ("[]", json!([])),
        ("[1,2", json!(["[1", "2"])),
        ("a\\", json!(["a\\"])),
    ] {
        let action = func(&format!("【name】F\n【arg】{raw}"));
        assert_eq!(Value::Array(action.args), args, "{raw}");
        assert_eq!(action.raw_args, raw.trim());
    }
}

#[test]
fn texts_up_to_the_bound_are_read() {
    assert!(error(Mode::Command, &"x".repeat(MAX_TEXT_BYTES + 1)).contains("65537 bytes"));
    assert_eq!(command(&"x".repeat(MAX_TEXT_BYTES)).command.len(), MAX_TEXT_BYTES);
    let fill = |part: &str| part.repeat(MAX_TEXT_BYTES / part.len() - 1);
    let texts = [
        (Mode::Http, fill("【header】A:1\n")),
        (Mode::Http, fill("【url】\n")),
        (Mode::Http, fill("【zzzz】\n")),
        (
            Mode::Http,
            format!("【url】http://a\n【headers】{}", fill("A:1|||").trim_end_matches('|'))
                .chars()
                .take(60_000)
                .collect(),
        ),
        (Mode::Command, fill("【")),
        (Mode::Func, fill("F\"\\,")),
        (Mode::Func, format!("F {}", fill("["))),
    ];
    for (mode, text) in texts {
        // How it ends differs; that it ends, and soon, is what counts: quadratic work would hang here.
        let _ = parse(mode, &text);
    }
}

pub fn modes() -> impl Strategy<Value = Mode> {
    prop::sample::select(Mode::ALL.to_vec())
}

/// Texts near the form: keys, brackets, separators and noise.
pub fn near_texts() -> impl Strategy<Value = String> {
    let words: Vec<&'static str> = Mode::ALL.iter().flat_map(|m| known_keys(*m).iter().copied()).collect();
    let part = prop_oneof![
        prop::sample::select(words).prop_map(|k| format!("【{k}】")),
        prop::sample::select(vec![
            "\n", "\r\n", "【", "】", "|||", ":", "=", ",", "\"", "\\", "[", "]", "http://a", "5", "\u{feff}"
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_panics(mode in modes(), text in "(?s).*", near in near_texts()) {
        for text in [text, near] {
            if let Err(list) = parse(mode, &text) {
                prop_assert!(!list.is_empty() && list.len() <= MAX_ERRORS);
            }
        }
    }

    #[test]
    fn http_values_come_back(
        path in "[a-z0-9/]{0,20}",
        method in "[A-Z]{1,10}",
        headers in prop::collection::vec(("[A-Za-z-]{1,10}", "[a-z0-9:=,]{0,10}"), 0..5),
        data in prop::option::of("[ -~\n张【]{1,40}[a-z}]"),
        result in prop::option::of("[a-z张\"]{1,10}"),
        times in 1u32..=MAX_TIMES,
        millis in 1u64..=86_400_000,
    ) {
        let joined = headers.iter().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>().join("|||");
        let mut text = format!("【times】{times}\n【url】https://a.test/{path}\n【mode】{method}\n【headers】{joined}\n");
        if let Some(data) = &data {
            text.push_str(&format!("【data】{data}\n"));
        }
        if let Some(result) = &result {
            text.push_str(&format!("【result】{result}\n"));
        }
        text.push_str(&format!("【timeout】{}.{:03}\n", millis / 1000, millis % 1000));
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let crlf = text.contains('\r');
            let action = http(&text);
            let url = format!("https://a.test/{path}");
            prop_assert_eq!(action.url.as_str(), url.as_str());
            prop_assert_eq!(&action.method, &method);
            prop_assert_eq!(&action.headers, &headers);
            prop_assert_eq!(action.data, data.as_ref().map(|d| if crlf { d.replace('\n', "\r\n") } else { d.clone() }));
            prop_assert_eq!(&action.result, &result);
            prop_assert_eq!(action.repeat.times, times);
            prop_assert_eq!(action.timeout, Duration::from_millis(millis));
        }
    }

    #[test]
    fn command_values_come_back(
        line in "[a-z$'\"|&;][ -~\n]{0,40}[a-z]",
        env in prop::collection::vec(("[A-Za-z_][A-Za-z0-9_]{0,8}", "[a-z0-9=:/]{0,10}"), 0..5),
    ) {
        let joined = env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("|||");
        let action = command(&format!("【env】{joined}\n【command】{line}\n"));
        prop_assert_eq!(&action.command, &line);
        prop_assert_eq!(&action.env, &env);
        prop_assert_eq!(command(&line).command, line);
    }

    /// Any list of texts can be written: quoted, or as JSON.
    #[test]
    fn any_arguments_can_be_written(args in prop::collection::vec("[^\0【]{0,12}", 1..5)) {
        let quoted = args
            .iter()
            .map(|a| format!("\"{}\"", a.replace('\\', r"\\").replace('"', "\\\"")))
            .collect::<Vec<_>>()
            .join(",");
        prop_assert_eq!(func(&format!("【name】F\n【arg】{quoted}")).args, args.clone());
        let typed = serde_json::to_string(&args).unwrap();
        prop_assert_eq!(func(&format!("F {typed}")).args, args);
    }

    #[test]
    fn a_word_of_letters_at_a_line_start_is_a_key_or_an_error(mode in modes(), word in "[A-Za-z]{1,12}") {
        prop_assume!(find_key(mode, &word).is_none());
        let main = match mode {
            Mode::Http => "http://a",
            _ => "x",
        };
        let list = errors(mode, &format!("【{}】{main}\n【{word}】v", main_key(mode)));
        let named = format!("【{word}】 is not a key of mode {}", mode.as_str());
        prop_assert!(list.len() == 1 && list[0].starts_with(&named), "{:?}", list);
    }
}
