//! Runs a function by its name: looks it up, gives it its arguments, and holds it to the action's
//! timeout and the cancel token. The functions themselves are `builtin/<name>.rs`. One call is one
//! repeat: `times` and `interval` are the caller's.

pub mod builtin;

use crate::domain::Text;
use crate::domain::action::FuncAction;
use crate::domain::run::{FuncReport, Outcome, Report};
use crate::exec::Context;
pub use builtin::{Builtin, Param, Words};
use builtin::{Call, Output, Work};

/// Every built-in function, in the order in which they are listed to people.
pub fn catalog() -> &'static [Builtin] {
    builtin::ALL
}

/// Calls the action's function once.
///
/// `action.timeout` and `ctx.cancel` apply to the call; a function that only computes is not
/// interrupted midway, as all of them are short. The texts of the report are cut to
/// `ctx.output_limit` bytes. A name that no function has is a `Failed` that lists the names.
pub async fn run(action: &FuncAction, ctx: &Context) -> Report {
    let Some(function) = find(&action.name) else {
        return report(action, &action.name, ctx, Err(unknown(&action.name)));
    };
    let call = Call { args: &action.args, raw: &action.raw_args, ctx };
    let work = async {
        match function.work {
            Work::Sync(work) => work(&call),
        }
    };
    let ended = tokio::select! {
        biased;
        () = ctx.cancel.cancelled() => Err(Outcome::Cancelled),
        done = tokio::time::timeout(action.timeout, work) => done.map_err(|_| Outcome::Timeout),
    };
    match ended {
        Ok(result) => report(action, function.name, ctx, result),
        Err(outcome) => {
            let why = interrupted(outcome, action);
            Report { outcome, ..report(action, function.name, ctx, Err(why)) }
        }
    }
}

/// The function of that exact name, else the first whose name differs in ASCII case only.
fn find(name: &str) -> Option<&'static Builtin> {
    let all = catalog();
    all.iter().find(|f| f.name == name).or_else(|| all.iter().find(|f| f.name.eq_ignore_ascii_case(name)))
}

fn report(action: &FuncAction, name: &str, ctx: &Context, result: Result<Output, Text>) -> Report {
    let (mut report, result) = match result {
        Ok(output) => {
            let stdout = cut(output.stdout, ctx.output_limit);
            let result = cut(output.result, ctx.output_limit);
            (Report { stdout, result: Some(result.clone()), ..Report::new(Outcome::Success) }, result)
        }
        Err(error) => (Report::failed(error), String::new()),
    };
    report.func = Some(FuncReport { name: name.to_owned(), args: action.raw_args.clone(), result });
    report
}

fn unknown(name: &str) -> Text {
    let known = catalog().iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
    Text::new(
        format!("函数 {name} 不存在，可用的函数：{known}"),
        format!("there is no function {name}; the functions are {known}"),
    )
}

fn interrupted(outcome: Outcome, action: &FuncAction) -> Text {
    let (name, seconds) = (&action.name, action.timeout.as_secs_f64());
    match outcome {
        Outcome::Timeout => Text::new(
            format!("函数 {name} 执行超过 {seconds} 秒"),
            format!("function {name} ran past its timeout of {seconds} s"),
        ),
        _ => Text::new(format!("函数 {name} 已被取消"), format!("function {name} was cancelled")),
    }
}

/// At most `limit` bytes, cut between characters.
fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

#[cfg(test)]
mod tests {
    use super::builtin::testing::context;
    use super::*;
    use crate::domain::action::Repeat;
    use std::time::Duration;

    fn action(name: &str, raw: &str) -> FuncAction {
        FuncAction {
            name: name.into(),
            args: vec![raw.into()],
            raw_args: raw.into(),
            timeout: Duration::from_secs(30),
            repeat: Repeat::default(),
        }
    }

    #[tokio::test]
    async fn a_function_is_found_by_name_in_any_case() {
        for name in ["Hello", "hello", "HELLO"] {
            let report = run(&action(name, "张三"), &context()).await;
            assert_eq!(report.outcome, Outcome::Success);
            assert_eq!(report.result.as_deref(), Some("Hello, 张三!"));
            assert_eq!(report.stdout, "Hello, 张三!");
            let func =
                FuncReport { name: "Hello".into(), args: "张三".into(), result: "Hello, 张三!".into() };
            assert_eq!(report.func, Some(func));
        }
    }

    #[tokio::test]
    async fn an_unknown_name_fails_and_lists_the_known_ones() {
        let report = run(&action("Helo", "x"), &context()).await;
        assert_eq!(report.outcome, Outcome::Failed);
        let error = report.error.unwrap();
        assert_eq!(
            error.en,
            "there is no function Helo; the functions are Dayin, Test, Hello, Time, Echo, Math"
        );
        assert!(error.zh.contains("Helo") && error.zh.contains("Math"));
        assert_eq!(report.func.unwrap().name, "Helo");
    }

    #[tokio::test]
    async fn a_failing_function_is_a_failed_report() {
        let report = run(&action("Math", "+"), &context()).await;
        assert_eq!((report.outcome, report.result), (Outcome::Failed, None));
        assert!(report.error.is_some());
    }

    #[tokio::test]
    async fn a_cancelled_context_runs_nothing() {
        let ctx = context();
        ctx.cancel.cancel();
        let report = run(&action("Hello", ""), &ctx).await;
        assert_eq!(report.outcome, Outcome::Cancelled);
        assert_eq!(report.error.unwrap().en, "function Hello was cancelled");
    }

    #[tokio::test]
    async fn output_is_cut_between_characters() {
        let mut ctx = context();
        ctx.output_limit = 4;
        let report = run(&action("Echo", "张三"), &ctx).await;
        assert_eq!(report.stdout, "张");
    }

    #[test]
    fn names_are_unique_and_described() {
        let mut seen = std::collections::HashSet::new();
        for f in catalog() {
            assert!(seen.insert(f.name.to_ascii_lowercase()), "{} is listed twice", f.name);
            assert!(!f.description.zh.is_empty() && !f.description.en.is_empty());
            assert!(f.example.starts_with(f.name));
        }
    }

    #[tokio::test]
    async fn every_example_runs() {
        for f in catalog() {
            let Ok(crate::domain::action::Action::Func(action)) =
                crate::domain::action::text::parse(crate::domain::action::Mode::Func, f.example)
            else {
                panic!("the example of {} does not parse", f.name)
            };
            assert_eq!(run(&action, &context()).await.outcome, Outcome::Success, "{}", f.example);
        }
    }
}
