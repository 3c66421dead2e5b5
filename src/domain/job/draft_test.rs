//! Every field of a job, good and bad (contract, "Job"), and what an edit leaves as it was.

use super::*;

/// The least a client must send.
fn least() -> JobDraft {
    JobDraft {
        name: Some("backup".into()),
        cron_expr: Some("0 2 * * *".into()),
        mode: Some("command".into()),
        command: Some("true".into()),
        ..JobDraft::default()
    }
}

fn with(change: impl FnOnce(&mut JobDraft)) -> JobDraft {
    let mut draft = least();
    change(&mut draft);
    draft
}

fn good(draft: JobDraft) -> JobSpec {
    draft.clone().check(Tz::Asia__Shanghai).unwrap_or_else(|bad| panic!("{draft:?}: {bad:?}"))
}

/// The fields that were named, in the order of the errors.
fn bad(draft: JobDraft) -> Vec<std::borrow::Cow<'static, str>> {
    let errors = draft.check(Tz::UTC).expect_err("refused");
    for e in &errors {
        assert!(!e.message.zh.is_empty() && !e.message.en.is_empty(), "{e:?}");
    }
    errors.iter().map(|e| e.field.clone()).collect()
}

fn s(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn the_defaults_are_the_contracts() {
    let spec = good(least());
    assert_eq!((&*spec.name, &*spec.desc, &*spec.command), ("backup", "", "true"));
    assert_eq!(spec.trigger, Trigger::Cron("0 2 * * *".into()));
    assert_eq!(spec.schedule, Schedule::parse("0 2 * * *", Tz::Asia__Shanghai).unwrap());
    assert_eq!((spec.timezone, spec.enabled, spec.max_run_count), (None, true, 0));
    assert_eq!((spec.overlap, spec.mode), (Overlap::Parallel, Mode::Command));
    assert_eq!((spec.misfire_policy, spec.recovery), (MisfirePolicy::FireOnce, Recovery::Never));
    assert_eq!(spec.misfire_window, Duration::from_secs(300));
}

#[test]
fn names_are_counted_in_characters_and_trimmed() {
    let hundred = "任".repeat(100);
    for (given, kept) in [
        ("a", "a"),
        ("  backup of 数据库 🗄  ", "backup of 数据库 🗄"),
        (hundred.as_str(), hundred.as_str()),
        ("\"quoted\"; DROP TABLE --", "\"quoted\"; DROP TABLE --"),
    ] {
        assert_eq!(good(with(|d| d.name = s(given))).name, kept.into());
    }
    let too_long = "🗄".repeat(101);
    for given in ["", "   ", "\t\n", "two\nlines", "nul\0", "bell\u{7}", too_long.as_str()] {
        assert_eq!(bad(with(|d| d.name = s(given))), ["name"], "{given:?}");
    }
    assert_eq!(bad(with(|d| d.name = None)), ["name"]);
}

#[test]
fn descriptions_are_bounded() {
    for given in ["", "two\nlines \"and\" 🗄", &"描".repeat(DESC_MAX)] {
        assert_eq!(good(with(|d| d.desc = s(given))).desc, given.into());
    }
    for given in [&"描".repeat(DESC_MAX + 1), "nul\0"] {
        assert_eq!(bad(with(|d| d.desc = s(given))), ["desc"]);
    }
}

#[test]
fn triggers_are_cron_or_interval() {
    let trigger = |kind: Option<&str>, expr: Option<&str>, seconds: Option<i64>| {
        with(|d| {
            d.trigger_type = kind.map(str::to_owned);
            d.cron_expr = expr.map(str::to_owned);
            d.interval_seconds = seconds;
        })
    };
    let cron = |expr: &str| Trigger::Cron(expr.into());
    for (kind, expr, seconds, want) in [
        (None, Some(" * * * * * "), None, cron("* * * * *")),
        (Some("cron"), Some("*/5 * * * * *"), Some(0), cron("*/5 * * * * *")),
        (Some(" CRON "), Some("@daily"), Some(9), cron("@daily")),
        (None, Some("@every 5s"), Some(9), cron("@every 5s")),
        (Some(""), Some("* * * * *"), None, cron("* * * * *")),
        (None, None, Some(5), Trigger::Interval(5)),
        (None, Some(""), Some(5), Trigger::Interval(5)),
        (Some("interval"), Some("ignored"), Some(1), Trigger::Interval(1)),
        (Some("Interval"), None, Some(31_622_400), Trigger::Interval(31_622_400)),
    ] {
        let spec = good(trigger(kind, expr, seconds));
        assert_eq!(spec.trigger, want, "{kind:?} {expr:?} {seconds:?}");
        if let Trigger::Interval(n) = want {
            let every = IntervalSchedule::every(u64::from(n)).unwrap();
            assert_eq!(spec.schedule, Schedule::Interval(every));
        }
    }
    for (kind, expr, seconds, field) in [
        (None, None, None, "cron_expr"),
        (None, Some(""), Some(0), "cron_expr"),
        (None, None, Some(-5), "cron_expr"),
        (Some("cron"), None, Some(5), "cron_expr"),
        (None, Some("61 * * * *"), None, "cron_expr"),
        (None, Some("0 0 30 2 *"), None, "cron_expr"),
        (None, Some("@every 0s"), None, "cron_expr"),
        (None, Some("@never"), None, "cron_expr"),
        (Some("interval"), Some("* * * * *"), None, "interval_seconds"),
        (Some("interval"), None, Some(0), "interval_seconds"),
        (Some("interval"), None, Some(-1), "interval_seconds"),
        (Some("interval"), None, Some(31_622_401), "interval_seconds"),
        (Some("interval"), None, Some(i64::MAX), "interval_seconds"),
        (Some("date"), Some("* * * * *"), None, "trigger_type"),
    ] {
        assert_eq!(bad(trigger(kind, expr, seconds)), [field], "{kind:?} {expr:?} {seconds:?}");
    }
}

#[test]
fn zones_are_iana_names() {
    for (given, want) in [
        ("Asia/Shanghai", Some(Tz::Asia__Shanghai)),
        (" America/New_York ", Some(Tz::America__New_York)),
        ("UTC", Some(Tz::UTC)),
        ("", None),
        ("  ", None),
    ] {
        let spec = good(with(|d| d.timezone = s(given)));
        assert_eq!(spec.timezone, want, "{given:?}");
        let zone = want.unwrap_or(Tz::Asia__Shanghai);
        assert_eq!(spec.schedule, Schedule::parse("0 2 * * *", zone).unwrap(), "{given:?}");
    }
    for given in ["Asia/Nowhere", "+08:00", "北京"] {
        assert_eq!(bad(with(|d| d.timezone = s(given))), ["timezone"], "{given:?}");
    }
}

#[test]
fn modes_are_the_three_and_function_means_func() {
    for (given, command, want) in [
        ("http", "https://example.com/", Mode::Http),
        ("command", "echo 1", Mode::Command),
        ("func", "Hello", Mode::Func),
        ("function", "Hello a,b", Mode::Func),
        (" HTTP ", "【url】http://example.com/", Mode::Http),
    ] {
        let spec = good(with(|d| (d.mode, d.command) = (s(given), s(command))));
        assert_eq!(spec.mode, want);
        assert_eq!(&*spec.command, command, "the text is kept as written");
    }
    for given in [None, s(""), s("shell"), s("python")] {
        assert_eq!(bad(with(|d| d.mode = given.clone())), ["mode"], "{given:?}");
    }
    for (mode, command) in [("http", "not a url"), ("command", ""), ("func", ""), ("command", "【comand】x")]
    {
        let bad = bad(with(|d| (d.mode, d.command) = (s(mode), s(command))));
        assert!(!bad.is_empty() && bad.iter().all(|f| *f == "command"), "{mode} {command:?}: {bad:?}");
    }
    assert_eq!(bad(with(|d| d.command = None)), ["command"]);
}

#[test]
fn numbers_have_bounds() {
    for (given, want) in [(None, true), (Some(0), true), (Some(1), true), (Some(2), false)] {
        assert_eq!(good(with(|d| d.state = given)).enabled, want, "{given:?}");
    }
    for (code, want) in [(0, Overlap::Parallel), (1, Overlap::Serial), (2, Overlap::Immediate)] {
        assert_eq!(good(with(|d| d.allow_mode = Some(code))).overlap, want);
    }
    for n in [0, 1, 4_294_967_295] {
        assert_eq!(i64::from(good(with(|d| d.max_run_count = Some(n))).max_run_count), n);
    }
    for n in [0, 60, 604_800] {
        let window = good(with(|d| d.misfire_window = Some(n))).misfire_window;
        assert_eq!(window, Duration::from_secs(n.unsigned_abs()));
    }
    for n in [-1, 3, i64::MIN, i64::MAX] {
        assert_eq!(bad(with(|d| d.state = Some(n))), ["state"], "{n}");
        assert_eq!(bad(with(|d| d.allow_mode = Some(n))), ["allow_mode"], "{n}");
    }
    for n in [-1, 4_294_967_296, i64::MIN, i64::MAX] {
        assert_eq!(bad(with(|d| d.max_run_count = Some(n))), ["max_run_count"], "{n}");
    }
    for n in [-1, 604_801, i64::MIN, i64::MAX] {
        assert_eq!(bad(with(|d| d.misfire_window = Some(n))), ["misfire_window"], "{n}");
    }
}

#[test]
fn policies_are_closed_sets() {
    for (given, want) in [
        ("", MisfirePolicy::FireOnce),
        ("fire_once", MisfirePolicy::FireOnce),
        (" skip ", MisfirePolicy::Skip),
        ("fire_all", MisfirePolicy::FireAll),
    ] {
        assert_eq!(good(with(|d| d.misfire_policy = s(given))).misfire_policy, want, "{given:?}");
    }
    for (given, want) in [("", Recovery::Never), ("never", Recovery::Never), ("rerun", Recovery::Rerun)] {
        assert_eq!(good(with(|d| d.recovery = s(given))).recovery, want, "{given:?}");
    }
    assert_eq!(bad(with(|d| d.misfire_policy = s("fire_twice"))), ["misfire_policy"]);
    assert_eq!(bad(with(|d| d.recovery = s("always"))), ["recovery"]);
}

#[test]
fn all_errors_come_at_once_each_with_its_field_and_value() {
    let draft = JobDraft {
        name: s(" "),
        desc: s(&"x".repeat(DESC_MAX + 1)),
        cron_expr: s("99 * * * *"),
        trigger_type: None,
        interval_seconds: None,
        timezone: s("Mars/Olympus"),
        mode: s("shell"),
        command: s("true"),
        state: Some(7),
        allow_mode: Some(8),
        max_run_count: Some(-9),
        misfire_policy: s("later"),
        misfire_window: Some(999_999),
        recovery: s("maybe"),
        unread: Vec::new(),
    };
    let errors = draft.clone().check(Tz::UTC).expect_err("refused");
    let named: Vec<_> = errors.iter().map(|e| (e.field.as_ref(), e.value.clone())).collect();
    let want = [
        ("name", " ".into()),
        ("desc", (DESC_MAX + 1).into()),
        ("timezone", "Mars/Olympus".into()),
        ("cron_expr", "99 * * * *".into()),
        ("mode", "shell".into()),
        ("state", 7.into()),
        ("allow_mode", 8.into()),
        ("max_run_count", (-9).into()),
        ("misfire_policy", "later".into()),
        ("misfire_window", 999_999.into()),
        ("recovery", "maybe".into()),
    ];
    assert_eq!(named, want);
    // With a known mode the command text is looked at beside the rest.
    let fields = bad(JobDraft { mode: s("http"), command: s("【ulr】x"), ..draft });
    assert!(["command", "name", "recovery"].iter().all(|field| fields.iter().any(|f| f == field)));
}

#[test]
fn an_empty_draft_names_what_is_required() {
    assert_eq!(bad(JobDraft::default()), ["name", "cron_expr", "mode"]);
}

fn full() -> JobDraft {
    JobDraft {
        desc: s("nightly"),
        timezone: s("Europe/Berlin"),
        state: Some(2),
        allow_mode: Some(1),
        max_run_count: Some(3),
        misfire_policy: s("fire_all"),
        misfire_window: Some(60),
        recovery: s("rerun"),
        ..least()
    }
}

fn edit(base: JobDraft, change: JobDraft) -> JobSpec {
    good(change.over(JobDraft::of(&good(base))))
}

#[test]
fn a_draft_says_what_its_spec_says() {
    let interval = with(|d| (d.cron_expr, d.interval_seconds) = (None, Some(90)));
    let http =
        with(|d| (d.mode, d.command) = (s("http"), s("【url】https://example.com/?q=任务\n【times】2")));
    for draft in [least(), full(), interval, http, with(|d| d.mode = s("function"))] {
        let spec = good(draft);
        let again = good(JobDraft::of(&spec));
        assert_eq!(JobDraft::of(&again), JobDraft::of(&spec));
        assert_eq!((&again.trigger, &again.schedule), (&spec.trigger, &spec.schedule));
        assert_eq!(
            (again.timezone, again.enabled, again.overlap),
            (spec.timezone, spec.enabled, spec.overlap)
        );
        assert_eq!((again.max_run_count, again.misfire_policy), (spec.max_run_count, spec.misfire_policy));
        assert_eq!((again.misfire_window, again.recovery), (spec.misfire_window, spec.recovery));
        assert_eq!((&again.name, &again.desc), (&spec.name, &spec.desc));
        assert_eq!((&again.command, again.action()), (&spec.command, spec.action()));
    }
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_else() {
    let base = JobDraft::of(&good(full()));
    let same = edit(full(), JobDraft::default());
    assert_eq!(JobDraft::of(&same), base);
    let one = JobDraft::default;
    for (change, want) in [
        (JobDraft { name: s("new"), ..one() }, JobDraft { name: s("new"), ..base.clone() }),
        (JobDraft { desc: s(""), ..one() }, JobDraft { desc: s(""), ..base.clone() }),
        (JobDraft { command: s("false"), ..one() }, JobDraft { command: s("false"), ..base.clone() }),
        (JobDraft { timezone: s(""), ..one() }, JobDraft { timezone: None, ..base.clone() }),
        (JobDraft { timezone: s("UTC"), ..one() }, JobDraft { timezone: s("UTC"), ..base.clone() }),
        (JobDraft { state: Some(1), ..one() }, JobDraft { state: Some(0), ..base.clone() }),
        (JobDraft { allow_mode: Some(0), ..one() }, JobDraft { allow_mode: Some(0), ..base.clone() }),
        (JobDraft { max_run_count: Some(0), ..one() }, JobDraft { max_run_count: Some(0), ..base.clone() }),
        (JobDraft { misfire_window: Some(0), ..one() }, JobDraft { misfire_window: Some(0), ..base.clone() }),
        (
            JobDraft { misfire_policy: s("skip"), recovery: s("never"), ..one() },
            JobDraft { misfire_policy: s("skip"), recovery: s("never"), ..base.clone() },
        ),
    ] {
        assert_eq!(JobDraft::of(&edit(full(), change.clone())), want, "{change:?}");
    }
    let cleared = edit(full(), JobDraft { timezone: s(""), ..one() });
    let server = Schedule::parse("0 2 * * *", Tz::Asia__Shanghai).unwrap();
    assert_eq!(cleared.schedule, server, "without a zone of its own the server's holds");
    // An edit is checked like any job.
    let name = JobDraft { name: s(""), ..one() }.over(base.clone());
    assert_eq!(bad(name), ["name"]);
    assert_eq!(bad(JobDraft { cron_expr: s(""), ..one() }.over(base)), ["cron_expr"]);
}

#[test]
fn an_edit_switches_the_trigger_as_a_whole() {
    let interval = with(|d| (d.cron_expr, d.interval_seconds) = (None, Some(90)));
    let change = |kind: Option<&str>, expr: Option<&str>, seconds: Option<i64>| JobDraft {
        trigger_type: kind.map(str::to_owned),
        cron_expr: expr.map(str::to_owned),
        interval_seconds: seconds,
        ..JobDraft::default()
    };
    let hourly = || Trigger::Cron("@hourly".into());
    for (base, change, want) in [
        (&interval, change(None, Some("@hourly"), None), hourly()),
        (&interval, change(Some("cron"), Some("@hourly"), None), hourly()),
        // A form that sends every field: the interval it holds is no change of mind.
        (&interval, change(None, Some("@hourly"), Some(0)), hourly()),
        (&interval, change(None, Some(""), Some(5)), Trigger::Interval(5)),
        (&interval, change(Some("interval"), Some("@hourly"), Some(5)), Trigger::Interval(5)),
        (&interval, change(None, None, Some(5)), Trigger::Interval(5)),
        (&least(), change(None, None, Some(5)), Trigger::Interval(5)),
        (&least(), change(None, Some(""), Some(5)), Trigger::Interval(5)),
        (&least(), change(Some("interval"), None, Some(5)), Trigger::Interval(5)),
        (&least(), change(None, None, Some(0)), Trigger::Cron("0 2 * * *".into())),
        (&least(), change(None, Some("@hourly"), Some(5)), hourly()),
        // An empty kind says nothing.
        (&least(), change(Some(""), None, Some(5)), Trigger::Interval(5)),
        (&interval, change(Some(" "), Some("@hourly"), None), hourly()),
        (&interval, change(Some(""), None, None), Trigger::Interval(90)),
    ] {
        assert_eq!(edit(base.clone(), change.clone()).trigger, want, "{change:?}");
    }
    let base = JobDraft::of(&good(least()));
    assert_eq!(bad(change(Some("interval"), None, None).over(base)), ["interval_seconds"]);
    let base = JobDraft::of(&good(interval));
    assert_eq!(bad(change(Some("cron"), None, None).over(base)), ["cron_expr"]);
}
