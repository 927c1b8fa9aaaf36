//! What the manual says about the command line is what the command line says.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::Place;

#[test]
fn the_manual_holds_the_help_texts() {
    let place = Place::empty();
    let mut page =
        "# Command line\n\nThe help texts of the command, as it prints them.\n".to_owned();
    for words in [
        &[][..],
        &["build"],
        &["image"],
        &["image", "validate"],
        &["rebase"],
        &["cache"],
        &["cache", "ls"],
        &["cache", "prune"],
        &["cache", "verify"],
    ] {
        let ended = place.cnbw(&[words, &["--help"]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let title = ["cnbw"]
            .iter()
            .chain(words)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        let text: Vec<&str> = ended.stdout.lines().map(str::trim_end).collect();
        let text = text.join("\n");
        write!(
            page,
            "\n## `{title}`\n\n```text\n{}\n```\n",
            text.trim_end()
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        page,
        "run the test with UPDATE_DOCS=1 to write the page anew"
    );
}
