//! A reader for TOML 1.1, as small as it gets.
//!
//! The well-kept parsers would make the launcher half as large again. This one knows the whole grammar, so that it
//! refuses what they refuse; of values that a launch has no use for it keeps the kind only. Tests compare it with the
//! `toml` crate.

mod scalar;
mod string;
mod table;

pub(crate) use table::{Table, Value};

use table::{Conflict, TableKind};

/// How deep keys, arrays and inline tables may nest.
const MAX_DEPTH: usize = 80;

/// Why a text is no TOML.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub(crate) struct TomlError {
    line: usize,
    problem: &'static str,
}

/// Parses a document.
pub(crate) fn parse(text: &[u8]) -> Result<Table, TomlError> {
    let mut parser = Parser {
        text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
        position: 0,
    };
    let parsed = if std::str::from_utf8(text).is_ok() {
        parser.document()
    } else {
        Err("text that is not UTF-8")
    };
    parsed.map_err(|problem| TomlError {
        line: parser.line(),
        problem,
    })
}

/// A problem, in words that follow "line 3:".
type Problem = &'static str;

struct Parser<'a> {
    text: &'a [u8],
    position: usize,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Table, Problem> {
        let mut root = Table::new(TableKind::Explicit);
        let mut section: Vec<String> = Vec::new();
        loop {
            self.skip_blank_lines()?;
            match self.peek() {
                None => return Ok(root),
                Some(b'[') => section = self.header(&mut root)?,
                Some(_) => {
                    let (path, value) = self.key_and_value(0)?;
                    let table = root
                        .descend(&section)
                        .ok_or("a table that is no table any more")?;
                    table.insert_dotted(&path, value).map_err(conflict)?;
                }
            }
            self.end_of_line()?;
        }
    }

    /// Reads `[path]` or `[[path]]`, makes the table, and returns its path.
    fn header(&mut self, root: &mut Table) -> Result<Vec<String>, Problem> {
        self.position += 1;
        let is_array = self.take(b'[');
        let path = self.key()?;
        if !self.take(b']') || (is_array && !self.take(b']')) {
            return Err("a table header that is not closed");
        }
        root.open_section(&path, is_array).map_err(conflict)?;
        Ok(path)
    }

    fn key_and_value(&mut self, depth: usize) -> Result<(Vec<String>, Value), Problem> {
        let path = self.key()?;
        if !self.take(b'=') {
            return Err("a key without `=`");
        }
        self.skip_blanks();
        let value = self.value(depth + path.len())?;
        Ok((path, value))
    }

    /// Reads a dotted key, and the blanks on both sides of its parts.
    fn key(&mut self) -> Result<Vec<String>, Problem> {
        let mut path = Vec::new();
        loop {
            self.skip_blanks();
            let part = match self.peek() {
                Some(b'"') => self.basic_string()?,
                Some(b'\'') => self.literal_string()?,
                _ => self.bare_key()?,
            };
            path.push(part);
            self.skip_blanks();
            if !self.take(b'.') {
                return Ok(path);
            }
            if path.len() == MAX_DEPTH {
                return Err("a key of too many parts");
            }
        }
    }

    fn bare_key(&mut self) -> Result<String, Problem> {
        let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let key = self.take_while(is_bare);
        if key.is_empty() {
            Err("something that is no key")
        } else {
            Ok(key)
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Problem> {
        if depth > MAX_DEPTH {
            return Err("values nested too deeply");
        }
        match self.peek() {
            Some(b'"' | b'\'') => Ok(Value::String(self.string()?)),
            Some(b'[') => self.array(depth),
            Some(b'{') => self.inline_table(depth),
            _ => self.scalar(),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Problem> {
        self.position += 1;
        let mut items = Vec::new();
        loop {
            self.skip_blank_lines()?;
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.skip_blank_lines()?;
            if !self.take(b',') && self.peek() != Some(b']') {
                return Err("an array that is not closed");
            }
        }
    }

    fn inline_table(&mut self, depth: usize) -> Result<Value, Problem> {
        self.position += 1;
        let mut table = Table::new(TableKind::Dotted);
        loop {
            self.skip_blank_lines()?;
            if self.take(b'}') {
                table.freeze();
                return Ok(Value::Table(table));
            }
            let (path, value) = self.key_and_value(depth)?;
            table.insert_dotted(&path, value).map_err(conflict)?;
            self.skip_blank_lines()?;
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err("an inline table that is not closed");
            }
        }
    }

    /// Skips blanks, comments and line ends.
    fn skip_blank_lines(&mut self) -> Result<(), Problem> {
        loop {
            self.skip_blanks();
            self.skip_comment()?;
            if !self.take_newline() {
                return Ok(());
            }
        }
    }

    fn end_of_line(&mut self) -> Result<(), Problem> {
        self.skip_blanks();
        self.skip_comment()?;
        if self.take_newline() || self.peek().is_none() {
            Ok(())
        } else {
            Err("something after the end of a value")
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.position += 1;
        }
    }

    fn skip_comment(&mut self) -> Result<(), Problem> {
        if self.peek() != Some(b'#') {
            return Ok(());
        }
        while let Some(byte) = self.peek() {
            if byte == b'\n' || (byte == b'\r' && self.at(1) == Some(b'\n')) {
                break;
            }
            if is_forbidden(byte) {
                return Err("a control character in a comment");
            }
            self.position += 1;
        }
        Ok(())
    }

    fn take_newline(&mut self) -> bool {
        match (self.peek(), self.at(1)) {
            (Some(b'\n'), _) => self.position += 1,
            (Some(b'\r'), Some(b'\n')) => self.position += 2,
            _ => return false,
        }
        true
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    /// Takes ASCII characters.
    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> String {
        let mut taken = String::new();
        while let Some(byte) = self.peek().filter(|&byte| accept(byte)) {
            taken.push(char::from(byte));
            self.position += 1;
        }
        taken
    }

    /// The line that the parser is on, from one.
    fn line(&self) -> usize {
        let read = self.text.get(..self.position).unwrap_or(self.text);
        read.split(|&byte| byte == b'\n').count()
    }

    fn peek(&self) -> Option<u8> {
        self.at(0)
    }

    fn at(&self, distance: usize) -> Option<u8> {
        self.text.get(self.position + distance).copied()
    }
}

/// Tells whether a byte is a control character other than the tab.
fn is_forbidden(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

fn conflict(conflict: Conflict) -> Problem {
    match conflict {
        Conflict::Duplicate => "a key that is defined already",
        Conflict::NotExtensible => "a table or value that cannot be extended here",
    }
}

#[cfg(test)]
mod tests;
