//! What all parsers of documents share: the error, the caps, and typed access with positions.

/// Largest document that is read, in bytes. Documents are written by guests and grow with a
/// buildpack's zeal; a mebibyte is a hundred times what honest ones need.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// Deepest nesting of tables and arrays in a document; bounds recursion in every reader.
pub const MAX_DOCUMENT_DEPTH: usize = 64;

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
    fn describe(&self) -> String {
        let mut text = format!("`{}`", self.file.escape_debug());
        if let Some(line) = self.line {
            text.push_str(&format!(", line {line}"));
        }
        if !self.key.is_empty() {
            text.push_str(&format!(", key `{}`", self.key.escape_debug()));
        }
        text.push_str(": ");
        text.push_str(&self.reason);
        text
    }
}

pub(crate) fn unfinished<T>(file: &str, _bytes: &[u8]) -> Result<T, DocumentError> {
    Err(DocumentError {
        file: file.to_owned(),
        line: None,
        column: None,
        key: String::new(),
        reason: "this document cannot be read yet".to_owned(),
    })
}
