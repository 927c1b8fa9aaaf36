//! How an error is shown: what failed, its causes, and what to do next.

use std::error::Error;
use std::fmt::Write as _;

use super::escape::escape;

/// An error as text: one line for the error, one for each cause, one for the hint.
pub(crate) fn show(error: &dyn Error, hint: Option<&str>, color: bool) -> String {
    let (red, plain) = if color {
        ("\u{1b}[31m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    let mut text = format!("{red}error:{plain} {}", one_line(&error.to_string()));
    let mut shown = one_line(&error.to_string());
    let mut cause = error.source();
    // A chain longer than this is a loop.
    for _ in 0..32 {
        let Some(source) = cause else { break };
        let line = one_line(&source.to_string());
        // What an error of another system repeats from its cause is said once.
        if !shown.ends_with(&line) {
            // Writing to a String cannot fail.
            write!(text, "\n  caused by: {line}").ok();
        }
        shown = line;
        cause = source.source();
    }
    if let Some(hint) = hint {
        write!(text, "\n  hint: {hint}").ok();
    }
    text
}

fn one_line(text: &str) -> String {
    escape(text.trim_end().replace('\n', " ").as_bytes(), false)
}

#[cfg(test)]
mod tests {
    use super::show;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `{name}`")]
    struct Outer {
        name: &'static str,
        source: std::io::Error,
    }

    #[test]
    fn a_cause_that_the_error_quotes_is_not_repeated() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot send: {reason}")]
        struct Quoting {
            reason: String,
            source: std::io::Error,
        }
        let error = Quoting {
            reason: "no route".to_owned(),
            source: std::io::Error::other("no route"),
        };
        assert_eq!(show(&error, None, false), "error: cannot send: no route");
    }

    #[test]
    fn causes_follow_the_error_and_the_hint_comes_last() {
        let error = Outer {
            name: "a\u{1b}[2J",
            source: std::io::Error::other("two\nlines"),
        };
        assert_eq!(
            show(&error, Some("look there"), false),
            "error: cannot read `a\\u{1b}[2J`\n  caused by: two lines\n  hint: look there"
        );
    }
}
