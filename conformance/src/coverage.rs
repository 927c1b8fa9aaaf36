//! Which case or test shows which requirement.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::arguments::CoverageArguments;
use crate::case::Case;
use crate::run::home;

/// The project's list of requirements.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    requirement: Vec<Requirement>,
}

/// A testable statement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    id: String,
    level: String,
    source: String,
    text: String,
    #[serde(rename = "check")]
    _check: String,
    applies: String,
    #[serde(rename = "note")]
    _note: Option<String>,
}

/// Requirements that nothing shows, with the reason.
#[derive(Debug, Deserialize)]
struct Reasons {
    #[serde(default)]
    not_shown: BTreeMap<String, String>,
}

/// What shows a requirement: names of cases, and places of tests.
type Shown = BTreeMap<String, Vec<String>>;

/// The comment that ties a test to requirements: `// shows: detect-013, detect-014`.
const MARK: &str = "// shows:";

/// Prints the coverage. The status is 1 if something is missing without a reason, or the page is stale.
pub(crate) fn run(arguments: &CoverageArguments) -> Result<u8> {
    let root = home().join("..");
    let list: List = read_toml(&home().join("requirements.toml"))?;
    let reasons: Reasons = read_toml(&home().join("not-shown.toml"))?;
    let mut shown = Shown::new();
    cases_show(&home().join("cases"), &mut shown)?;
    for directory in ["host", "conformance/src", "guest-examples"] {
        tests_show(&root, &root.join(directory), &mut shown)?;
    }
    let coverage = Coverage::new(&list, &reasons, &shown)?;
    print!("{}", coverage.table(arguments.missing));
    println!("{}", coverage.summary());
    let mut status = u8::from(!coverage.unexplained().is_empty());
    if let Some(page) = &arguments.page {
        let text = coverage.page();
        if !arguments.check {
            fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))?;
        } else if fs::read_to_string(page).unwrap_or_default() != text {
            println!(
                "{} is not as `cargo xtask coverage` writes it",
                page.display()
            );
            status = 1;
        }
    }
    Ok(status)
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))
}

fn cases_show(directory: &Path, shown: &mut Shown) -> Result<()> {
    let mut cases = Vec::new();
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?
    {
        cases.push(entry?.path());
    }
    cases.sort();
    for case in cases.iter().filter(|case| case.join("case.toml").exists()) {
        for id in Case::read(case)?.requirements {
            shown.entry(id).or_default().push(crate::job::name_of(case));
        }
    }
    Ok(())
}

fn tests_show(root: &Path, directory: &Path, shown: &mut Shown) -> Result<()> {
    let mut entries: Vec<_> = match fs::read_dir(directory) {
        Ok(entries) => entries.collect::<std::io::Result<_>>()?,
        Err(_) => return Ok(()),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                tests_show(root, &path, shown)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .display()
                .to_string();
            marks(&text, &name, shown);
        }
    }
    Ok(())
}

/// Collects the marks of one file. A mark belongs to the next function.
fn marks(text: &str, file: &str, shown: &mut Shown) {
    let mut ids = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(list) = line.strip_prefix(MARK) {
            ids.extend(
                list.split([',', ' '])
                    .filter(|id| !id.is_empty())
                    .map(str::to_owned),
            );
        } else if let Some((_, rest)) = line.split_once("fn ")
            && !ids.is_empty()
        {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            for id in ids.drain(..) {
                shown.entry(id).or_default().push(format!("{file}: {name}"));
            }
        }
    }
}

/// The requirements with what shows them.
#[derive(Debug)]
struct Coverage<'a> {
    rows: Vec<Row<'a>>,
}

#[derive(Debug)]
struct Row<'a> {
    requirement: &'a Requirement,
    shown: &'a [String],
    reason: Option<&'a str>,
}

impl Row<'_> {
    fn applies(&self) -> bool {
        self.requirement.applies != "no"
    }

    fn missing(&self) -> bool {
        self.applies() && self.shown.is_empty()
    }
}

impl<'a> Coverage<'a> {
    fn new(list: &'a List, reasons: &'a Reasons, shown: &'a Shown) -> Result<Self> {
        let known = |id: &str| {
            list.requirement
                .iter()
                .any(|requirement| requirement.id == id)
        };
        for (id, places) in shown {
            if !known(id) {
                bail!(
                    "{} speaks of the requirement `{id}`, which is not in the list",
                    places.join(", ")
                );
            }
        }
        for id in reasons.not_shown.keys() {
            if !known(id) {
                bail!("not-shown.toml speaks of the requirement `{id}`, which is not in the list");
            }
            if shown.contains_key(id) {
                bail!("not-shown.toml gives a reason for `{id}`, which is shown");
            }
        }
        let row = |requirement: &'a Requirement| Row {
            requirement,
            shown: shown
                .get(&requirement.id)
                .map(Vec::as_slice)
                .unwrap_or_default(),
            reason: reasons.not_shown.get(&requirement.id).map(String::as_str),
        };
        Ok(Self {
            rows: list.requirement.iter().map(row).collect(),
        })
    }

    fn unexplained(&self) -> Vec<&Row<'a>> {
        let must = |row: &&Row<'_>| row.requirement.level == "MUST";
        self.rows
            .iter()
            .filter(must)
            .filter(|row| row.missing() && row.reason.is_none())
            .collect()
    }

    fn table(&self, missing: bool) -> String {
        let mut out = String::new();
        for row in self.rows.iter().filter(|row| !missing || row.missing()) {
            let Requirement { id, level, .. } = row.requirement;
            let what = match (row.shown, row.reason) {
                ([], _) if !row.applies() => "does not apply".to_owned(),
                ([], Some(reason)) => format!("NOT SHOWN: {reason}"),
                ([], None) => "NOT SHOWN".to_owned(),
                ([first], _) => first.clone(),
                ([first, second], _) => format!("{first}, {second}"),
                ([first, second, rest @ ..], _) => {
                    format!("{first}, {second} and {} more", rest.len())
                }
            };
            // Writing to a string cannot go wrong.
            let _ = writeln!(out, "{id:<28} {level:<6} {what}");
        }
        out
    }

    fn summary(&self) -> String {
        let mut out = String::new();
        for level in ["MUST", "SHOULD", "MAY"] {
            let rows: Vec<_> = self
                .rows
                .iter()
                .filter(|row| row.requirement.level == level)
                .collect();
            let applying = rows.iter().filter(|row| row.applies()).count();
            let missing = rows.iter().filter(|row| row.missing()).count();
            let unexplained = rows
                .iter()
                .filter(|row| row.missing() && row.reason.is_none())
                .count();
            let _ = writeln!(
                out,
                "{level}: {} of {applying} that apply are shown; {missing} are not, {unexplained} of them without a \
                 reason",
                applying - missing,
            );
        }
        out.trim_end().to_owned()
    }

    fn page(&self) -> String {
        let mut out = format!(
            "# Specification coverage\n\nWritten by `cargo xtask coverage`; do not edit. A requirement is shown by \
             recorded cases (`conformance/cases`)\nor by tests that are marked with it.\n\n{}\n\n| requirement | level \
             | says | shown by |\n|---|---|---|---|\n",
            self.summary()
        );
        for row in &self.rows {
            let Requirement {
                id,
                level,
                text,
                source,
                ..
            } = row.requirement;
            let shown = match (row.shown, row.reason) {
                ([], _) if !row.applies() => "*does not apply*".to_owned(),
                ([], Some(reason)) => format!("**not shown**: {reason}"),
                ([], None) => "**not shown**".to_owned(),
                (places, _) => places
                    .iter()
                    .map(|place| format!("`{place}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            let text = text.replace('|', "\\|").replace('<', "&lt;");
            let _ = writeln!(out, "| {id} | {level} | {text} (`{source}`) | {shown} |");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        toml::from_str(
            "[[requirement]]\nid = 'a-1'\nlevel = 'MUST'\nsource = 's'\ntext = 't'\ncheck = 'c'\napplies = 'yes'\n\
             [[requirement]]\nid = 'a-2'\nlevel = 'MUST'\nsource = 's'\ntext = 't'\ncheck = 'c'\napplies = 'no'\n\
             [[requirement]]\nid = 'a-3'\nlevel = 'MUST'\nsource = 's'\ntext = 't'\ncheck = 'c'\napplies = 'adapted'\n",
        )
        .unwrap()
    }

    fn reasons(text: &str) -> Reasons {
        toml::from_str(&format!("[not_shown]\n{text}")).unwrap()
    }

    #[test]
    fn a_mark_belongs_to_the_next_function() {
        let mut shown = Shown::new();
        let text = "// shows: a-1, a-2\n#[test]\nfn first() {}\nfn second() {}\n    // shows: a-1\n    fn third<T>() {}";
        marks(text, "f.rs", &mut shown);
        assert_eq!(shown["a-1"], ["f.rs: first", "f.rs: third"]);
        assert_eq!(shown["a-2"], ["f.rs: first"]);
    }

    #[test]
    fn what_applies_and_is_neither_shown_nor_explained_is_told() {
        let (list, shown) = (
            list(),
            Shown::from([("a-1".to_owned(), vec!["case".to_owned()])]),
        );
        let nothing = reasons("");
        let coverage = Coverage::new(&list, &nothing, &shown).unwrap();
        let ids: Vec<_> = coverage
            .unexplained()
            .iter()
            .map(|row| row.requirement.id.as_str())
            .collect();
        assert_eq!(ids, ["a-3"]);
        let why = reasons("a-3 = 'why'");
        assert!(
            Coverage::new(&list, &why, &shown)
                .unwrap()
                .unexplained()
                .is_empty()
        );
    }

    #[test]
    fn marks_and_reasons_cannot_rot() {
        let list = list();
        let shown = Shown::from([("b-9".to_owned(), vec!["case".to_owned()])]);
        assert!(
            Coverage::new(&list, &reasons(""), &shown).is_err(),
            "an id that is not in the list"
        );
        let shown = Shown::from([("a-1".to_owned(), vec!["case".to_owned()])]);
        assert!(
            Coverage::new(&list, &reasons("a-1 = 'why'"), &shown).is_err(),
            "a reason that is not needed"
        );
    }
}
