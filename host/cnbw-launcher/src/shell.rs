//! Processes that are started by a shell: those of Buildpack APIs before 0.9, and commands of the user.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::files::{FileError, join, kind_of};
use crate::layers::{BuildpackLayers, list_files};
use crate::process::Start;

/// The shell that the specification asks for.
pub(crate) const SHELL: &str = "/bin/bash";

/// The application's own profile script.
const APP_PROFILE: &str = ".profile";

/// Lists the profile scripts to source: those of the layers, then the application's, which is relative to the
/// application directory because the shell starts there.
pub(crate) fn list_profiles(
    buildpacks: &[BuildpackLayers],
    r#type: Option<&str>,
    app: &Path,
) -> Result<Vec<PathBuf>, FileError> {
    let mut profiles = list_files(buildpacks, "profile.d", r#type)?;
    if kind_of(&join(app, APP_PROFILE))?.is_some_and(|kind| kind != FileType::Directory) {
        profiles.push(PathBuf::from(APP_PROFILE));
    }
    Ok(profiles)
}

/// Returns the shell's arguments after its own name.
///
/// The first shell sources the profiles (in which `$0` is the launcher's own name) and gives way to a second one. A
/// command alone is that one's script. With arguments every word is a word of its script, expanded by itself, so
/// that `$PORT` means the variable while `&&` stays a word.
pub(crate) fn shell_arguments(
    launcher: &OsStr,
    start: &Start,
    profiles: &[PathBuf],
    directory: &Path,
) -> Vec<OsString> {
    let mut script = OsString::new();
    for profile in profiles {
        for part in [
            OsStr::new("source \""),
            profile.as_os_str(),
            OsStr::new("\"\n"),
        ] {
            script.push(part);
        }
    }
    for part in [
        OsStr::new("cd \""),
        directory.as_os_str(),
        OsStr::new("\"\n"),
    ] {
        script.push(part);
    }
    script.push(second_shell(start.args.len()));

    let command = start.command.join(OsStr::new(" "));
    let mut arguments = vec![OsString::from("-c"), script, launcher.to_owned(), command];
    arguments.extend_from_slice(&start.args);
    arguments
}

/// The line that starts the second shell, for a command with a number of arguments.
fn second_shell(arguments: usize) -> String {
    if arguments == 0 {
        return r#"exec bash -c "$@""#.to_owned();
    }
    let words: Vec<String> = (0..=arguments)
        .map(|index| format!(r#""$(eval echo \"${{{index}}}\")""#))
        .collect();
    format!(r#"exec bash -c '{}' "${{@:1}}""#, words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(words: &[&str]) -> Start {
        let mut words = words.iter().map(OsString::from);
        Start {
            r#type: None,
            command: words.next().into_iter().collect(),
            args: words.collect(),
            direct: false,
            buildpack_id: String::new(),
            working_directory: OsString::new(),
        }
    }

    #[test]
    fn profiles_come_before_the_directory_and_the_command() {
        let profiles = [
            PathBuf::from("/layers/a/l/profile.d/1"),
            PathBuf::from(".profile"),
        ];
        let arguments = shell_arguments(
            OsStr::new("/cnb/process/web"),
            &start(&["echo $V"]),
            &profiles,
            Path::new("/w"),
        );
        let script = "source \"/layers/a/l/profile.d/1\"\nsource \".profile\"\ncd \"/w\"\nexec bash -c \"$@\"";
        assert_eq!(arguments, ["-c", script, "/cnb/process/web", "echo $V"]);
    }

    #[test]
    fn every_argument_is_a_word_of_the_second_shell() {
        let arguments = shell_arguments(
            OsStr::new("l"),
            &start(&["cmd", "a", "b"]),
            &[],
            Path::new("/w"),
        );
        let [_, script, rest @ ..] = arguments.as_slice() else {
            panic!("too few arguments")
        };
        assert_eq!(rest, ["l", "cmd", "a", "b"]);
        for word in 0..=2 {
            assert!(
                script.to_string_lossy().contains(&format!("${{{word}}}")),
                "{script:?}"
            );
        }
    }
}
