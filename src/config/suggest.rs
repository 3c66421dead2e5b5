//! What somebody who wrote an unknown setting may have meant: the nearest known one, counted in
//! typing mistakes.

use super::SETTINGS;

/// More mistakes than this is another word.
const MISTAKES_MAX: usize = 3;

/// `; did you mean ...?`, or nothing when no setting is near.
pub(super) fn did_you_mean(unknown: &str) -> String {
    let name = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    // One whose length differs by more is no nearer. A file may have hundreds of wrong names, or one of its own size.
    let letters = unknown.chars().count();
    let near = SETTINGS.iter().filter(|s| s.key.len().abs_diff(letters) <= MISTAKES_MAX);
    let nearest = near.map(|s| (mistakes(unknown, s.key), s.key)).min();
    let near = nearest.filter(|(n, key)| *n <= MISTAKES_MAX.min(key.len() / 3)).map(|(_, key)| key);
    // The right name in the wrong section.
    let moved = || SETTINGS.iter().map(|s| s.key).find(|key| name(key) == name(unknown));
    near.or_else(moved).map_or_else(String::new, |key| format!("; did you mean `{key}`?"))
}

/// How many letters were left out, added, mistyped, or swapped with their neighbour.
fn mistakes(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_mistake_counts_once() {
        for (a, b, n) in
            [("", "", 0), ("port", "port", 0), ("prot", "port", 1), ("por", "port", 1), ("", "abc", 3)]
        {
            assert_eq!((mistakes(a, b), mistakes(b, a)), (n, n), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_setting_is_named() {
        for (unknown, meant) in [
            ("server.prot", "server.port"),
            ("sever.port", "server.port"),
            ("ip_control.whitelst", "ip_control.whitelist"),
            ("server.timezone", "jobs.timezone"),
        ] {
            assert_eq!(did_you_mean(unknown), format!("; did you mean `{meant}`?"));
        }
        assert_eq!(did_you_mean("kitchen.sink"), "");
    }
}
