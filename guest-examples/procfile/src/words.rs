//! Words of a command, as a shell would split them, if nothing else is for a shell to do.

/// What a shell would act upon outside of quotes.
const SPECIAL: &[char] = &[
    '$', '`', '|', '&', ';', '<', '>', '(', ')', '{', '}', '[', ']', '*', '?', '~', '#', '!', '\\',
    '\n',
];

/// The words of a command; `None` if only a shell can say what it means.
pub(crate) fn split(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    let quoted = characters.next()?;
                    if quoted == character {
                        break;
                    }
                    if character == '"' && matches!(quoted, '$' | '`' | '\\' | '!') {
                        return None;
                    }
                    word.push(quoted);
                }
            }
            special if SPECIAL.contains(&special) => return None,
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    // `A=1 program` sets a variable.
    let sets_a_variable = words.first().is_none_or(|first| first.contains('='));
    (!sets_a_variable).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn plain_commands_are_split_into_words() {
        for (command, words) in [
            ("./serve", &["./serve"][..]),
            ("a  b\tc", &["a", "b", "c"]),
            (
                "a 'b c' \"d 'e'\" f'g'h ''",
                &["a", "b c", "d 'e'", "fgh", ""],
            ),
            ("a --x=1", &["a", "--x=1"]),
        ] {
            assert_eq!(split(command).unwrap(), words, "{command}");
        }
    }

    #[test]
    fn what_a_shell_has_to_read_is_left_to_it() {
        for command in [
            "a $PORT",
            "a \"$PORT\"",
            "a | b",
            "a && b",
            "a; b",
            "a > b",
            "a *",
            "~/a",
            "a `b`",
            "A=1 b",
            "a 'b",
            "a \\b",
            "(a)",
            "a # b",
            "",
        ] {
            assert_eq!(split(command), None, "{command}");
        }
    }
}
