//! Makes text from programs, applications and registries safe to show.

/// Escapes control characters, bidirectional overrides and invalid UTF-8.
///
/// Color sequences (`ESC [ … m`) pass if `color` is on and vanish otherwise; every other escape
/// sequence is shown as text, so that a program cannot move the cursor or forge a line.
pub(crate) fn escape(bytes: &[u8], color: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(character) = rest.chars().next() {
        if let Some(length) = color_sequence(rest) {
            if color {
                out.push_str(rest.get(..length).unwrap_or_default());
            }
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        if character == '\t' || !is_unsafe(character) {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    out
}

/// The length of a color sequence at the start of the text.
fn color_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    (parameters.as_bytes().get(end) == Some(&b'm') && end <= 32).then_some(end + 3)
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn cursor_movements_and_title_sequences_become_text() {
        assert_eq!(
            escape(b"a\x1b[2Jb\x1b]0;evil\x07c\r", true),
            "a\\u{1b}[2Jb\\u{1b}]0;evil\\u{7}c\\u{d}"
        );
    }

    #[test]
    fn colors_pass_only_if_asked_for() {
        assert_eq!(
            escape(b"\x1b[1;31mred\x1b[0m", true),
            "\u{1b}[1;31mred\u{1b}[0m"
        );
        assert_eq!(escape(b"\x1b[1;31mred\x1b[0m", false), "red");
    }

    #[test]
    fn bidirectional_overrides_and_broken_utf8_are_made_visible() {
        assert_eq!(escape("a\u{202e}b".as_bytes(), false), "a\\u{202e}b");
        assert_eq!(escape(b"a\xffb", false), "a\u{fffd}b");
    }
}
