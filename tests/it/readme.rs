//! The two READMEs say the same: headings, code blocks and the first column of each table are held
//! to each other, and every link leads somewhere. That the examples work is `cli.rs`'s business.

use std::fs;
use std::path::Path;

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

/// What of a page does not depend on its language.
#[derive(Debug, Default, PartialEq)]
struct Shape {
    /// Levels of the headings.
    headings: Vec<usize>,
    /// Fenced blocks, with their fences.
    code: Vec<String>,
    /// The first cells of each table's rows, without its header.
    tables: Vec<Vec<String>>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

/// The page's lines outside its code blocks, and those blocks.
fn parts(text: &str) -> (Vec<&str>, Vec<String>) {
    let (mut prose, mut code) = (Vec::new(), Vec::new());
    let mut block: Option<String> = None;
    for line in text.lines() {
        let fence = line.starts_with("```");
        match block.take() {
            Some(said) if fence => code.push(said + line),
            Some(said) => block = Some(format!("{said}{line}\n")),
            None if fence => block = Some(format!("{line}\n")),
            None => prose.push(line),
        }
    }
    assert_eq!(block, None, "a code block has no end");
    (prose, code)
}

fn shape(text: &str) -> Shape {
    let (prose, code) = parts(text);
    let mut shape = Shape { code, ..Shape::default() };
    let mut in_table = false;
    for line in prose {
        let level = line.chars().take_while(|c| *c == '#').count();
        if level > 0 {
            shape.headings.push(level);
        }
        let row = line.strip_prefix("| ");
        match row.and_then(|row| row.split(" |").next()) {
            // A header is in the page's language.
            Some(_) if !in_table => shape.tables.push(Vec::new()),
            Some(cell) => shape.tables.last_mut().unwrap().push(cell.to_owned()),
            None => {}
        }
        in_table = row.is_some();
    }
    shape
}

/// Where the page's `[text](target)` lead.
fn links(text: &str) -> Vec<String> {
    let (prose, _) = parts(text);
    let targets = |line: &str| -> Vec<String> {
        line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
    };
    prose.into_iter().flat_map(targets).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let (prose, _) = parts(text);
    let headings = prose.into_iter().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let name = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        name.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn both_languages_have_the_same_shape() {
    let (english, chinese) = (shape(&text(ENGLISH)), shape(&text(CHINESE)));
    assert_eq!(english.headings, chinese.headings);
    assert_eq!(english.code, chinese.code);
    assert_eq!(english.tables, chinese.tables);
    assert!(!english.headings.is_empty() && !english.code.is_empty() && !english.tables.is_empty());
}

/// The English rows are the list in the code, word for word; the Chinese ones differ in the last cell.
#[test]
fn the_tables_of_settings_are_the_list_in_the_code() {
    let rows = |page: &str| -> Vec<String> {
        let page = text(page);
        let table = page.lines().skip_while(|line| !line.starts_with("| config.toml |")).skip(2);
        table.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
    };
    let names_and_default = |setting: &timerjobs::config::Setting| {
        let env: Vec<_> = setting.env.iter().map(|name| format!("`{name}`")).collect();
        let default =
            if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        format!("| `{}` | {} | {default} | ", setting.key, env.join(", "))
    };
    let (english, chinese) = (rows(ENGLISH), rows(CHINESE));
    let settings = timerjobs::config::SETTINGS;
    assert_eq!((english.len(), chinese.len()), (settings.len(), settings.len()));
    for (setting, (english, chinese)) in settings.iter().zip(english.iter().zip(&chinese)) {
        let start = names_and_default(setting);
        assert_eq!(*english, format!("{start}{} |", setting.doc));
        assert!(chinese.starts_with(&start), "{chinese}: not {start}");
    }
}

#[test]
fn every_link_leads_somewhere_and_each_page_to_the_other() {
    for (page, other) in [(ENGLISH, "[简体中文](README.zh-CN.md)"), (CHINESE, "[English](README.md)")] {
        let said = text(page);
        assert!(said.lines().take(5).any(|line| line.contains(other)), "{page} lacks {other} at its top");
        for link in links(&said).iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if path.is_empty() { page } else { path };
            assert!(root().join(path).exists(), "{page}: {link}: there is no such file");
            let found = anchor.is_empty() || anchors(&text(path)).iter().any(|a| a == anchor);
            assert!(found, "{page}: {link}: there is no such heading");
        }
    }
    assert_eq!(links(&text(ENGLISH))[1..], links(&text(CHINESE))[1..], "both lead to the same pages");
}
