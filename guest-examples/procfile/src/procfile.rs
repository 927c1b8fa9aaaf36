//! What a Procfile says.

use std::path::Path;

use cnbw_buildpack::{Error, Process};

use crate::words;

/// The file's name, in the application's directory.
pub(crate) const NAME: &str = "Procfile";

/// What starts a command that a shell has to read.
pub(crate) const SHELL: &str = "/bin/sh";

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Reads the processes of an application. `web` starts by default, or else the only one.
pub(crate) fn read(app: &Path) -> Result<Vec<Process>, Error> {
    let path = app.join(NAME);
    let size = std::fs::metadata(&path).map_err(Error::at("read", &path))?;
    if size.len() > MAX_BYTES {
        return Err(Error::new("`Procfile` is larger than 256 KiB"));
    }
    parse(&std::fs::read_to_string(&path).map_err(Error::at("read", &path))?)
}

fn parse(text: &str) -> Result<Vec<Process>, Error> {
    let mut processes: Vec<Process> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |rule: &str| {
            Error::new(format!(
                "`Procfile`, line {}: {rule}; a line is `name: command`",
                number + 1
            ))
        };
        let (kind, command) = line
            .split_once(':')
            .ok_or_else(|| wrong("there is no colon"))?;
        let (kind, command) = (kind.trim(), command.trim());
        let is_name = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
        };
        if kind.is_empty() || !kind.chars().all(is_name) {
            return Err(wrong(
                "a name has letters, digits, `-`, `_` and `.` and nothing else",
            ));
        }
        if command.is_empty() {
            return Err(wrong("there is no command"));
        }
        if processes.iter().any(|process| process.kind == kind) {
            return Err(wrong("there is a process of that name already"));
        }
        // A command without anything for a shell is started without one: signals reach it, and it needs none.
        let command = words::split(command)
            .unwrap_or_else(|| [SHELL, "-c", command].map(str::to_owned).to_vec());
        processes.push(Process::new(kind, command));
    }
    if processes.is_empty() {
        return Err(Error::new("`Procfile` names no process"));
    }
    let default = match processes.as_slice() {
        [_] => Some(0),
        several => several.iter().position(|process| process.kind == "web"),
    };
    if let Some(process) = default.and_then(|at| processes.get_mut(at)) {
        process.default = true;
    }
    Ok(processes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_process_and_web_is_the_default() {
        let processes = parse(
            "# comment\n\nworker: ./work --fast\nweb: ./serve -p $PORT\nrelease-1: echo 'a b'\n",
        )
        .unwrap();
        assert_eq!(
            processes,
            [
                Process::new("worker", ["./work", "--fast"]),
                Process::new("web", ["/bin/sh", "-c", "./serve -p $PORT"]).default(),
                Process::new("release-1", ["echo", "a b"]),
            ]
        );
        assert!(parse("job: x").unwrap()[0].default, "it is the only one");
        assert!(!parse("a: x\nb: y").unwrap().iter().any(|it| it.default));
    }

    #[test]
    fn lines_that_say_nothing_are_named() {
        for (text, words) in [
            ("web ./serve", "line 1: there is no colon"),
            ("a: b\nweb:", "line 2: there is no command"),
            ("a b: c", "a name has letters"),
            (": c", "a name has letters"),
            ("a: 1\na: 2", "line 2: there is a process of that name"),
            ("# nothing\n", "names no process"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
