use super::*;

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn names_are_words() {
    for good in ["A", "_", "db_password", "X9", &"n".repeat(64)] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["", "9A", "a-b", "a.b", "密钥", "a b", &"n".repeat(65)] {
        assert!(!is_name(bad), "{bad}");
    }
}

#[test]
fn a_text_tells_which_it_asks_for_and_what_is_no_name() {
    let text = "a ${secret:B} $secret:C ${secretD} ${secret:A}${secret:B}";
    assert_eq!(names(text).into_iter().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(fault(text), None);
    for bad in ["${secret:}", "${secret:A", "x ${secret:A B}", "${secret:A ${secret:B}}"] {
        assert!(fault(bad).unwrap().en.contains("${secret:NAME}"), "{bad}");
    }
}

#[test]
fn a_value_takes_its_place_and_is_not_read_again() {
    let values = values(&[("A", "${secret:B}"), ("B", "b|||c:【url】")]);
    assert_eq!(
        fill("x${secret:A}y${secret:B}z${secret:C}", &values),
        "x${secret:B}yb|||c:【url】z${secret:C}"
    );
    assert_eq!(fill("nothing ${here}", &values), "nothing ${here}");
}

#[test]
fn in_a_url_a_value_stays_a_part_of_it() {
    let values = values(&[("P", "a/b?c#d@e:f&g=h i%"), ("W", "https://hooks.example/x?k=1")]);
    let filled = fill_url("https://me:${secret:P}@host/${secret:P}?q=${secret:P}", &values);
    let url = url::Url::parse(&filled).unwrap();
    assert_eq!((url.host_str(), url.username(), url.fragment()), (Some("host"), "me", None));
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    assert_eq!(decoded(url.password().unwrap()), "a/b?c#d@e:f&g=h i%");
    // The path keeps its slashes: a webhook's secret has several segments.
    assert_eq!(url.path(), "/a/b%3Fc%23d%40e%3Af%26g%3Dh%20i%25");
    assert_eq!(url.query_pairs().next().unwrap().1, "a/b?c#d@e:f&g=h i%");
    assert_eq!(fill_url("${secret:W}&more=1", &values), "https://hooks.example/x?k=1&more=1");
    assert_eq!(sample_url("${secret:W}/x"), "https://secret.invalid/x");
    assert_eq!(sample_url("https://${secret:W}/x"), "https://W/x");
}

#[test]
fn traces_are_the_forms_in_which_a_value_is_printed() {
    let traces = traces("p\"w d\nline two\n\nabc");
    for form in ["p\"w d", "line two", "p%22w%20d%0Aline%20two%0A%0Aabc", "p\\\"w d\\nline two\\n\\nabc"] {
        assert!(traces.iter().any(|trace| trace == form), "{form}: {traces:?}");
    }
    // Shorter than anything that can be masked, and no line break in any.
    assert!(traces.iter().all(|trace| trace.len() >= VALUE_MIN && !trace.contains('\n')), "{traces:?}");
}

/// What a shell makes of a script, with a value that it would choke on.
#[cfg(unix)]
#[test]
fn a_whole_url_is_known_as_it_is_understood() {
    for (value, printed) in [
        ("https://h.example?token=abcdefgh", "https://h.example/?token=abcdefgh"),
        ("HTTPS://H.example:443/T/B/abcdefgh", "https://h.example/T/B/abcdefgh"),
        // What a redirect leaves of it.
        ("http://h.example/T/B/abcdefgh", "/T/B/abcdefgh"),
    ] {
        assert!(traces(value).iter().any(|trace| trace == printed), "{value}: {:?}", traces(value));
    }
    assert!(!traces("https://h.example/api").iter().any(|trace| trace == "/api"), "too short to be masked");
}

fn run(script: &str) -> String {
    let out = std::process::Command::new("/bin/sh")
        .args(["-c", &with_variables(script)])
        .env("TJ_SECRET_A", "it's $HOME \"q\" `x` \\ *")
        .output()
        .unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[cfg(unix)]
#[test]
fn a_shell_reads_no_character_of_a_value() {
    let value = "it's $HOME \"q\" `x` \\ *";
    for script in [
        r#"printf %s "${secret:A}""#,
        "printf %s '${secret:A}'",
        r#"x="${secret:A}"; printf %s "$x""#,
        r#"printf %s "$(printf %s '${secret:A}')""#,
        r#"printf %s "$(printf '%s' "${secret:A}")""#,
        "# don't\nprintf %s '${secret:A}'",
        "printf %s \\'\\' >/dev/null; printf %s '${secret:A}'",
        "echo \"it's\" > /dev/null; printf %s '${secret:A}'",
        "x=a#b'c'; printf %s '${secret:A}'",
        "cat <<EOF >/dev/null\nit's\nEOF\nprintf %s '${secret:A}'",
        "cat <<-'E O' >/dev/null\nit's\n\tE\nE O\nprintf %s '${secret:A}'",
        "cat <<A 3<<B >/dev/null\n'\nA\n\"\nB\nprintf %s '${secret:A}'",
        "(printf %s '${secret:A}')",
    ] {
        assert_eq!(run(script), value, "{script}");
    }
    assert_eq!(run("cat <<EOF\nit's ${secret:A}\nEOF"), format!("it's {value}\n"));
    assert_eq!(run("printf '%s|' 'a ${secret:A} b' \"${secret:A}\""), format!("a {value} b|{value}|"));
    // A script without secrets is the same to the byte.
    for script in ["echo 'a' \"b\" # c\ncat <<E\n'\nE\n", "echo ${secret:", ""] {
        assert_eq!(with_variables(script), script);
    }
}
