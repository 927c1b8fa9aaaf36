//! The four kinds of strings.

use super::{Parser, Problem, is_forbidden};

impl Parser<'_> {
    /// Reads a string of any kind, as a value.
    pub(super) fn string(&mut self) -> Result<String, Problem> {
        let is_basic = self.peek() == Some(b'"');
        let is_multiline = self.peek() == self.at(1) && self.peek() == self.at(2);
        match (is_basic, is_multiline) {
            (true, false) => self.basic_string(),
            (false, false) => self.literal_string(),
            (_, true) => self.multiline_string(is_basic),
        }
    }

    /// Reads `"…"` on one line.
    pub(super) fn basic_string(&mut self) -> Result<String, Problem> {
        self.position += 1;
        let mut content = Vec::new();
        loop {
            match self.next_in_string()? {
                b'"' => return into_text(content),
                b'\\' => self.escape(&mut content)?,
                byte if is_forbidden(byte) => return Err("a control character in a string"),
                byte => content.push(byte),
            }
        }
    }

    /// Reads `'…'` on one line.
    pub(super) fn literal_string(&mut self) -> Result<String, Problem> {
        self.position += 1;
        let mut content = Vec::new();
        loop {
            match self.next_in_string()? {
                b'\'' => return into_text(content),
                byte if is_forbidden(byte) => return Err("a control character in a string"),
                byte => content.push(byte),
            }
        }
    }

    /// Reads `"""…"""` or `'''…'''`. A line end directly after the opening does not count, and up to two quotes may
    /// stand directly before the closing.
    fn multiline_string(&mut self, is_basic: bool) -> Result<String, Problem> {
        let quote = if is_basic { b'"' } else { b'\'' };
        self.position += 3;
        self.take_newline();
        let mut content = Vec::new();
        loop {
            let start = self.position;
            if self.take_newline() {
                content.extend_from_slice(self.text.get(start..self.position).unwrap_or_default());
                continue;
            }
            match self.next_in_string()? {
                byte if byte == quote => {
                    let mut quotes = 1;
                    while quotes < 5 && self.take(quote) {
                        quotes += 1;
                    }
                    let own = if quotes < 3 { quotes } else { quotes - 3 };
                    content.extend(std::iter::repeat_n(quote, own));
                    if quotes >= 3 {
                        return into_text(content);
                    }
                }
                b'\\' if is_basic => {
                    if !self.line_continuation() {
                        self.escape(&mut content)?;
                    }
                }
                byte if is_forbidden(byte) => return Err("a control character in a string"),
                byte => content.push(byte),
            }
        }
    }

    /// Skips white space after a backslash that ends its line, up to the next character.
    fn line_continuation(&mut self) -> bool {
        let start = self.position;
        self.skip_blanks();
        if !self.take_newline() {
            self.position = start;
            return false;
        }
        loop {
            self.skip_blanks();
            if !self.take_newline() {
                return true;
            }
        }
    }

    fn escape(&mut self, content: &mut Vec<u8>) -> Result<(), Problem> {
        let character = match self.next_in_string()? {
            b'b' => '\u{8}',
            b't' => '\t',
            b'n' => '\n',
            b'f' => '\u{c}',
            b'r' => '\r',
            b'e' => '\u{1b}',
            b'"' => '"',
            b'\\' => '\\',
            b'x' => self.code_point(2)?,
            b'u' => self.code_point(4)?,
            b'U' => self.code_point(8)?,
            _ => return Err("an unknown escape in a string"),
        };
        content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn code_point(&mut self, digits: usize) -> Result<char, Problem> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = char::from(self.next_in_string()?).to_digit(16);
            code = code << 4 | digit.ok_or("an escape without enough digits")?;
        }
        char::from_u32(code).ok_or("an escape that is no character")
    }

    fn next_in_string(&mut self) -> Result<u8, Problem> {
        let byte = self.peek().ok_or("a string that is not closed")?;
        self.position += 1;
        Ok(byte)
    }
}

/// The document is UTF-8 and strings are cut at ASCII characters, so their content is too.
fn into_text(content: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(content).map_err(|_| "text that is not UTF-8")
}
