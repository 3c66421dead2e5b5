//! What holds of every plan, whatever the schedule, the policy and the outage: each instant is
//! decided exactly once.

use super::*;
use chrono_tz::Tz;
use proptest::prelude::*;

fn every(seconds: u64) -> Schedule {
    Schedule::parse(&format!("@every {seconds}s"), Tz::UTC).unwrap()
}

fn cron(expr: &str, zone: &str) -> Schedule {
    Schedule::parse(expr, zone.parse().unwrap()).unwrap()
}

fn missed_in_all(decision: &Decision) -> u64 {
    decision.missed.iter().map(|m| m.count).sum()
}

fn starts(decision: &Decision) -> u64 {
    decision.fires.iter().filter(|f| !matches!(f.verdict, Verdict::Skip(_))).count() as u64
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let crons = prop::sample::select(vec![
        ("* * * * * *", "UTC"),
        ("*/7 * * * * *", "Asia/Shanghai"),
        ("* * * * *", "America/New_York"),
        ("*/15 1-3 * * *", "Europe/Berlin"),
        ("30 2 * * *", "America/New_York"),
        ("0 12 * * MON", "Australia/Lord_Howe"),
        ("0 0 29 2 *", "UTC"),
    ]);
    prop_oneof![(1u64..5_000).prop_map(every), crons.prop_map(|(expr, zone)| cron(expr, zone))]
}

fn any_policy() -> impl Strategy<Value = MisfirePolicy> {
    prop::sample::select(vec![MisfirePolicy::FireOnce, MisfirePolicy::Skip, MisfirePolicy::FireAll])
}

fn any_overlap() -> impl Strategy<Value = Overlap> {
    prop::sample::select(vec![Overlap::Parallel, Overlap::Serial, Overlap::Immediate])
}

/// A spring or an autumn of 2026, in seconds, so that the zones' changes lie in it.
fn any_now() -> impl Strategy<Value = i64> {
    prop_oneof![1_772_000_000_000i64..1_776_000_000_000, 1_790_000_000_000i64..1_794_000_000_000]
}

fn any_age() -> impl Strategy<Value = i64> {
    prop_oneof![0i64..70_000, 0i64..400_000, 0i64..3_000_000_000]
}

proptest! {
    #[test]
    fn every_instant_is_accounted_for_exactly_once(
        schedule in any_schedule(), policy in any_policy(), overlap in any_overlap(), now in any_now(),
        age in any_age(), window in 0u64..700_000, running in 0usize..70, waiting in 0usize..110,
        room in 0usize..200, left in prop::option::of(0u64..120),
    ) {
        let now = UtcMs(now);
        let view = View {
            schedule: &schedule, overlap, misfire_policy: policy, misfire_window: Duration::from_secs(window),
            decided: UtcMs(now.0 - age), immediate: None, remaining: left, running, waiting, room,
        };
        let got = plan(&view, now);
        prop_assert!(got.decided >= view.decided && got.decided <= now);
        prop_assert!(got.fires.windows(2).all(|w| w[0].at < w[1].at), "oldest first, none twice");
        prop_assert!(got.fires.iter().all(|f| {
            f.at > view.decided && f.at <= now
                && schedule.next_after(view.decided, UtcMs(f.at.0 - 1)) == Some(f.at)
        }), "each fire is an instant");
        prop_assert!(got.missed.len() <= 1, "an outage is one row");
        for missed in &got.missed {
            let here = schedule.count_between(view.decided, UtcMs(missed.from.0 - 1), missed.to);
            prop_assert_eq!(missed.count, here);
            prop_assert!(missed.count > 0 && !got.fires.iter().any(|f| f.at >= missed.from && f.at <= missed.to));
        }
        let upto = if got.exhausted { got.decided } else { now };
        let due = schedule.count_between(view.decided, view.decided, upto);
        prop_assert_eq!(got.fires.len() as u64 + missed_in_all(&got), due);
        if let Some(left) = left {
            prop_assert!(starts(&got) <= left);
            prop_assert_eq!(got.exhausted, starts(&got) == left);
        }
        if got.exhausted {
            prop_assert_eq!(got.next, None);
            return Ok(());
        }
        prop_assert_eq!(got.next, schedule.next_after(view.decided, now));
        prop_assert!(got.next.is_some());
        let left = left.map(|left| left - starts(&got));
        let again = plan(&View { decided: got.decided, remaining: left, ..view }, now);
        let nothing = Decision { decided: got.decided, next: got.next, ..Decision::default() };
        prop_assert_eq!(again, nothing, "planning twice yields nothing more");
    }
}
