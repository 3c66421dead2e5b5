use super::*;

fn function(name: &str, line: u32) -> Function {
    Function {
        name: name.into(),
        signature: format!("{name}()"),
        doc: String::new(),
        line,
        end: None,
        params: Vec::new(),
        file: String::new(),
    }
}

fn loaded(file: &str, names: &[&str]) -> Loaded {
    let source = Source { file: file.into(), path: file.into(), bytes: Arc::from(&b"x"[..]) };
    Loaded { source, functions: (1..).zip(names).map(|(line, name)| function(name, line)).collect() }
}

fn names(generation: &Generation) -> Vec<&str> {
    generation.functions().into_iter().map(|f| f.name.as_str()).collect()
}

fn present(files: &[&str]) -> Vec<String> {
    files.iter().map(|&f| f.to_owned()).collect()
}

#[test]
fn a_file_that_fails_keeps_its_functions_and_one_that_is_gone_loses_them() {
    let first = Generation::default();
    let all = vec![loaded("a.py", &["one"]), loaded("b.py", &["two", "three"])];
    let (second, failures) = first.next("p".into(), &present(&["a.py", "b.py"]), all);
    assert_eq!((names(&second), failures.len(), second.id), (vec!["one", "two", "three"], 0, 1));
    let (third, _) = second.next("p".into(), &present(&["a.py", "b.py"]), vec![loaded("a.py", &["uno"])]);
    assert_eq!(names(&third), ["uno", "two", "three"]);
    let (fourth, _) = third.next("p".into(), &present(&["a.py"]), Vec::new());
    assert_eq!(names(&fourth), ["uno"]);
    assert!(fourth.find("two").is_none());
}

#[test]
fn a_name_belongs_to_the_first_file_and_never_to_a_built_in() {
    let all = vec![loaded("b.py", &["same"]), loaded("a.py", &["same", "HELLO", "fine"])];
    let (next, failures) = Generation::default().next("p".into(), &present(&["a.py", "b.py"]), all);
    assert_eq!(next.find("same").unwrap().file, "a.py");
    assert_eq!(names(&next), ["same", "fine"]);
    let said: Vec<_> = failures.iter().map(|f| (f.file.as_str(), f.line, f.error.en.as_str())).collect();
    assert_eq!(
        said,
        [
            ("a.py", Some(2), "HELLO is the name of the built-in function Hello; choose another"),
            ("b.py", Some(1), "same is already defined in a.py, line 1; choose another name"),
        ]
    );
}

#[test]
fn a_function_is_found_in_any_case_and_best_in_its_own() {
    let all = vec![loaded("a.py", &["Tally", "tally"])];
    let (next, _) = Generation::default().next("p".into(), &present(&["a.py"]), all);
    assert_eq!(next.find("tally").unwrap().name, "tally");
    assert_eq!(next.find("TALLY").unwrap().name, "Tally");
}

#[test]
fn a_functions_code_is_its_lines_as_they_were_loaded() {
    let mut one = loaded("a.py", &["one"]);
    one.source.bytes = Arc::from("import os\n@wraps\ndef 一():\n    pass\n\nrest = 1\n".as_bytes());
    (one.functions[0].line, one.functions[0].end) = (2, Some(5));
    let (next, _) = Generation::default().next("p".into(), &present(&["a.py"]), vec![one]);
    let function = next.find("one").unwrap();
    assert_eq!(next.code(function, 1_000).as_deref(), Some("@wraps\ndef 一():\n    pass"));
    assert_eq!(next.code(function, 12).as_deref(), Some("@wraps\ndef "));
    assert_eq!(next.code(&Function { end: None, ..function.clone() }, 1_000), None);
    assert_eq!(next.code(&Function { end: Some(1), ..function.clone() }, 1_000).as_deref(), Some(""));
    assert_eq!(next.code(&Function { line: 9, end: Some(9), ..function.clone() }, 9).as_deref(), Some(""));
}

#[test]
fn the_folder_is_read_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.py", "def b(): pass");
    write("a.py", "def a(): pass");
    write("__init__.py", "");
    write(".hidden.py", "");
    write("notes.txt", "");
    write("large.py", &"#".repeat(2 << 20));
    write(REQUIREMENTS, "left-pad\n");
    std::fs::create_dir(folder.path().join("folder.py")).unwrap();
    let found = read(folder.path()).unwrap();
    assert_eq!(found.present, ["a.py", "b.py", "large.py"]);
    assert_eq!(found.sources.iter().map(|s| s.file.as_str()).collect::<Vec<_>>(), ["a.py", "b.py"]);
    assert_eq!(found.requirements.as_deref(), Some("left-pad\n"));
    assert_eq!(found.failures.iter().map(|f| f.file.as_str()).collect::<Vec<_>>(), ["large.py"]);
    assert_eq!(look(folder.path()).unwrap(), found.fingerprint);
    write("a.py", "def a(): return 1");
    assert_ne!(look(folder.path()).unwrap(), found.fingerprint);
}

#[test]
fn no_folder_is_an_empty_one() {
    let found = read(Path::new("/nonexistent/timerjobs")).unwrap();
    assert!(found.fingerprint.is_empty() && found.failures.is_empty() && found.sources.is_empty());
}

#[test]
fn a_folder_that_cannot_be_read_says_nothing_of_its_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let failure = read(file.path()).unwrap_err();
    assert!(failure.error.en.contains("cannot be read"), "{}", failure.error);
}
