use super::*;

const LIMITS: Limits = Limits { connections: 8, timeout: Duration::from_secs(1) };

fn peer(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

fn is_cut(member: &Member) -> bool {
    member.0.cut.is_cancelled()
}

/// So much time passes.
fn pass(crowd: &Crowd, seconds: u64) {
    (0..seconds * 4).for_each(|_| crowd.sweep(LIMITS));
}

#[test]
fn a_head_has_its_time_however_its_bytes_drip() {
    let crowd = Crowd::default();
    let (silent, dripping) = (crowd.admit(peer(1), false, LIMITS), crowd.admit(peer(2), false, LIMITS));
    let (silent, dripping) = (silent.unwrap(), dripping.unwrap());
    for _ in 0..4 {
        dripping.0.read();
        crowd.sweep(LIMITS);
    }
    assert!(!is_cut(&silent) && !is_cut(&dripping), "not before their time");
    crowd.sweep(LIMITS);
    assert!(is_cut(&silent) && is_cut(&dripping));
    assert!(dripping.0.is_late() && !silent.0.is_late(), "only who has begun a request is answered");
}

#[test]
fn an_idle_connection_lives_longer_and_its_next_head_has_the_time_of_a_head() {
    let crowd = Crowd::default();
    let (idle, asking) = (crowd.admit(peer(1), false, LIMITS), crowd.admit(peer(2), false, LIMITS));
    let (idle, asking) = (idle.unwrap(), asking.unwrap());
    for member in [&idle, &asking] {
        member.0.read();
        member.0.enter(Phase::Serving);
    }
    pass(&crowd, 100);
    assert!(!is_cut(&idle), "how long we work is our business");
    idle.0.answered();
    asking.0.answered();
    pass(&crowd, 4);
    asking.0.read();
    pass(&crowd, 2);
    assert!(is_cut(&asking) && asking.0.is_late());
    assert!(!is_cut(&idle));
    pass(&crowd, 3);
    assert!(is_cut(&idle) && !idle.0.is_late());
}

#[test]
fn who_takes_nothing_is_cut_and_who_takes_a_little_is_not() {
    let crowd = Crowd::default();
    let (stuck, slow) = (crowd.admit(peer(1), false, LIMITS), crowd.admit(peer(2), false, LIMITS));
    let (stuck, slow) = (stuck.unwrap(), slow.unwrap());
    for member in [&stuck, &slow] {
        member.0.enter(Phase::Serving);
        member.0.wrote(false);
    }
    for _ in 0..4 {
        pass(&crowd, 2);
        slow.0.wrote(true);
        slow.0.wrote(false);
    }
    assert!(is_cut(&stuck) && !is_cut(&slow));
}

#[test]
fn a_full_house_takes_whoever_comes_and_spares_the_served() {
    let crowd = Crowd::default();
    let mut all: Vec<_> = (0..8).map(|n| crowd.admit(peer(n), false, LIMITS).unwrap()).collect();
    all[0].0.enter(Phase::Serving);
    all[1].0.enter(Phase::Receiving);
    all.push(crowd.admit(peer(100), false, LIMITS).unwrap());
    assert!(is_cut(&all[2]), "the longest silent gives way");
    assert_eq!(all.iter().filter(|m| is_cut(m)).count(), 1);
    for member in &all[3..] {
        member.0.enter(Phase::Serving);
    }
    all.push(crowd.admit(peer(101), false, LIMITS).unwrap());
    assert!(is_cut(&all[1]), "a body on its way comes next");
    all.last().unwrap().0.enter(Phase::Serving);
    assert!(crowd.admit(peer(102), false, LIMITS).is_none(), "nobody who is served gives way");
    all.pop();
    assert!(crowd.admit(peer(102), false, LIMITS).is_some(), "a place is free again when its task ends");
}

#[test]
fn strangers_give_way_before_this_machine_and_one_source_has_a_quarter() {
    let crowd = Crowd::default();
    let near: Vec<_> =
        (0..4).map(|_| crowd.admit(IpAddr::from([127, 0, 0, 1]), true, LIMITS).unwrap()).collect();
    let greedy: Vec<_> = (0..5).map(|_| crowd.admit(peer(1), false, LIMITS).unwrap()).collect();
    let left: Vec<_> = greedy.iter().map(is_cut).collect();
    assert_eq!(left, [true, true, true, false, false], "its own connections give way to it");
    let others: Vec<_> = (2..20).map(|n| crowd.admit(peer(n), false, LIMITS).unwrap()).collect();
    assert!(near.iter().all(|member| !is_cut(member)));
    assert_eq!(others.iter().filter(|member| !is_cut(member)).count(), 4);
    let neighbours = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let members = neighbours.map(|ip| crowd.admit(ip, false, LIMITS).unwrap());
    assert!(is_cut(&members[0]), "a /64 is one source");
}

#[test]
fn an_error_of_the_machine_frees_a_place_and_nothing_is_left_behind() {
    let crowd = Crowd::default();
    let members: Vec<_> = (0..8).map(|n| crowd.admit(peer(n), false, LIMITS).unwrap()).collect();
    crowd.make_room();
    assert_eq!(members.iter().filter(|member| is_cut(member)).count(), 1);
    assert!(is_cut(&members[0]));
    drop(members);
    let places = crowd.0.places();
    assert!(places.open.is_empty() && places.by_source.is_empty());
}
