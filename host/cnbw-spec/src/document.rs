//! What all parsers of documents share: the error, the caps, and typed access with positions.

mod read;

pub(crate) use read::{Document, Reader};

/// Largest document that is read, in bytes. Documents are written by guests and grow with a
/// buildpack's zeal; a mebibyte is a hundred times what honest ones need.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// Deepest nesting of tables and arrays in a document; bounds recursion in every reader.
pub const MAX_DOCUMENT_DEPTH: usize = 64;

/// Most values in one document, tables and arrays included; bounds memory, since a value takes
/// a hundred times the bytes that it takes in a document.
pub const MAX_DOCUMENT_VALUES: usize = 65_536;

/// Longest message of a parser that is repeated, in characters.
const MAX_REASON_CHARS: usize = 200;

/// A document that cannot be read: where it is wrong, and which rule it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct DocumentError {
    /// The document, as the caller named it.
    pub file: String,
    /// Line, from 1, if the place is known.
    pub line: Option<usize>,
    /// Column in characters, from 1, if the place is known.
    pub column: Option<usize>,
    /// Dotted path of the key, such as `processes[1].command`; empty for the document itself.
    pub key: String,
    /// The rule that was broken. Lowercase, without a period, with foreign text escaped.
    pub reason: String,
}

impl DocumentError {
    /// An error about a whole document.
    pub(crate) fn whole(file: &str, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            column: None,
            key: String::new(),
            reason: reason.into(),
        }
    }

    /// An error about a key whose place is not known.
    pub(crate) fn at_key(file: &str, key: &str, reason: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            ..Self::whole(file, reason)
        }
    }

    fn describe(&self) -> String {
        let mut text = format!("`{}`", escape(&self.file));
        if let Some(line) = self.line {
            text.push_str(", line ");
            text.push_str(&line.to_string());
        }
        if !self.key.is_empty() {
            text.push_str(", key `");
            text.push_str(&escape(&self.key));
            text.push('`');
        }
        text.push_str(": ");
        text.push_str(&self.reason);
        text
    }
}

/// Checks what is true of every document: its size and its encoding.
pub(crate) fn document_text<'d>(file: &str, bytes: &'d [u8]) -> Result<&'d str, DocumentError> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::whole(
            file,
            format!("longer than the limit of {MAX_DOCUMENT_BYTES} bytes"),
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| DocumentError {
        line: Some(line_of(bytes, error.valid_up_to())),
        ..DocumentError::whole(file, "not UTF-8")
    })
}

/// Makes foreign text fit for a message: escaped, and not longer than a line or two.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped: String = text
        .chars()
        .take(MAX_REASON_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MAX_REASON_CHARS).is_some() {
        escaped.push('…');
    }
    escaped
}

fn line_of(bytes: &[u8], offset: usize) -> usize {
    let before = bytes.get(..offset).unwrap_or(bytes);
    before.split(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests;
