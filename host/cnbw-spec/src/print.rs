//! Prints TOML byte for byte as the reference lifecycle's encoder does (`BurntSushi/toml` 1.6).
//!
//! The bytes matter where a document becomes part of an image layer. Rules: two blanks of
//! indentation for each level below the first, plain values before tables, an empty line before a
//! table of the top level and before each table of an array, keys of free-form tables sorted.

use crate::value::{
    Datetime, Table, Value, printed_date, printed_offset, printed_time, push_escape, shortest_float,
};

/// A table being put together, in the order in which it is to be printed.
#[derive(Default)]
pub(crate) struct Fields {
    plain: Vec<(String, String)>,
    nested: Vec<(String, Nested)>,
}

enum Nested {
    Table(Fields),
    Tables(Vec<Fields>),
}

impl Fields {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A value that was printed already.
    pub(crate) fn raw(&mut self, key: &str, printed: impl Into<String>) -> &mut Self {
        self.plain.push((key.to_owned(), printed.into()));
        self
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.raw(key, quoted(text))
    }

    /// A text, left out if it is absent or empty.
    pub(crate) fn filled(&mut self, key: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) if !text.is_empty() => self.text(key, text),
            _ => self,
        }
    }

    /// A flag, left out if it is false.
    pub(crate) fn set_flag(&mut self, key: &str, flag: bool) -> &mut Self {
        if flag { self.raw(key, "true") } else { self }
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &str, texts: &[String]) -> &mut Self {
        let items: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        self.raw(key, format!("[{}]", items.join(", ")))
    }

    /// A list of texts, left out if it is empty.
    pub(crate) fn filled_texts(&mut self, key: &str, texts: &[String]) -> &mut Self {
        if texts.is_empty() {
            self
        } else {
            self.texts(key, texts)
        }
    }

    /// A table.
    pub(crate) fn table(&mut self, key: &str, table: Self) -> &mut Self {
        self.nested.push((key.to_owned(), Nested::Table(table)));
        self
    }

    /// An array of tables, left out if it is empty.
    pub(crate) fn tables(&mut self, key: &str, tables: Vec<Self>) -> &mut Self {
        if !tables.is_empty() {
            self.nested.push((key.to_owned(), Nested::Tables(tables)));
        }
        self
    }

    /// An array of tables made from a list, left out if it is empty.
    pub(crate) fn each<T>(
        &mut self,
        key: &str,
        items: &[T],
        print: impl Fn(&T) -> Self,
    ) -> &mut Self {
        self.tables(key, items.iter().map(print).collect())
    }

    /// A free-form table, left out if it is absent.
    pub(crate) fn free_table(&mut self, key: &str, table: Option<&Table>) -> &mut Self {
        match table {
            Some(table) => self.table(key, Self::from_table(table)),
            None => self,
        }
    }

    /// A free-form value.
    pub(crate) fn value(&mut self, key: &str, value: &Value) -> &mut Self {
        if let Some(table) = value.as_table() {
            return self.table(key, Self::from_table(table));
        }
        match value.as_array().and_then(|items| as_tables(items)) {
            Some(tables) => self.tables(key, tables.into_iter().map(Self::from_table).collect()),
            None => self.raw(key, inline(value)),
        }
    }

    /// The document.
    pub(crate) fn print(&self) -> String {
        let mut out = String::new();
        self.print_below(&mut Vec::new(), &mut out);
        out
    }

    fn from_table(table: &Table) -> Self {
        let mut fields = Self::new();
        for (key, value) in sorted(table) {
            fields.value(key, value);
        }
        fields
    }

    fn print_below(&self, path: &mut Vec<String>, out: &mut String) {
        for (key, printed) in &self.plain {
            out.push_str(&"  ".repeat(path.len()));
            out.push_str(&bare_or_quoted(key));
            out.push_str(" = ");
            out.push_str(printed);
            out.push('\n');
        }
        for (key, nested) in &self.nested {
            path.push(bare_or_quoted(key));
            match nested {
                Nested::Table(table) => {
                    if path.len() == 1 {
                        empty_line(out);
                    }
                    print_header("[", path, "]", out);
                    table.print_below(path, out);
                }
                Nested::Tables(tables) => {
                    for table in tables {
                        empty_line(out);
                        print_header("[[", path, "]]", out);
                        table.print_below(path, out);
                    }
                }
            }
            path.pop();
        }
    }
}

fn empty_line(out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
}

fn print_header(open: &str, path: &[String], close: &str, out: &mut String) {
    out.push_str(&"  ".repeat(path.len().saturating_sub(1)));
    out.push_str(open);
    out.push_str(&path.join("."));
    out.push_str(close);
    out.push('\n');
}

/// The items as tables, if there is at least one and all are tables.
fn as_tables(items: &[Value]) -> Option<Vec<&Table>> {
    if items.is_empty() {
        return None;
    }
    items.iter().map(Value::as_table).collect()
}

fn is_printed_as_table(value: &Value) -> bool {
    value.is_table()
        || value
            .as_array()
            .is_some_and(|items| as_tables(items).is_some())
}

fn sorted(table: &Table) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by(|one, other| one.0.as_bytes().cmp(other.0.as_bytes()));
    entries
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(integer) => integer.to_string(),
        Value::Float(float) => printed_float(*float),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(datetime) => printed_datetime(datetime),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let entries = sorted(table);
            let (nested, plain): (Vec<_>, Vec<_>) = entries
                .into_iter()
                .partition(|(_, value)| is_printed_as_table(value));
            let items: Vec<String> = plain
                .into_iter()
                .chain(nested)
                .map(|(key, value)| format!("{} = {}", bare_or_quoted(key), inline(value)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}

fn printed_float(float: f64) -> String {
    if float.is_nan() {
        let sign = if float.is_sign_negative() { "-" } else { "" };
        return format!("{sign}nan");
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let text = shortest_float(float, -4..6);
    if text.contains(['.', 'e']) {
        text
    } else {
        format!("{text}.0")
    }
}

fn printed_datetime(datetime: &Datetime) -> String {
    let date = datetime.date.map(printed_date);
    let time = datetime.time.map(printed_time);
    let parts: Vec<String> = [date, time].into_iter().flatten().collect();
    let offset = datetime.offset.map_or_else(String::new, printed_offset);
    format!("{}{offset}", parts.join("T"))
}

fn bare_or_quoted(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.bytes().all(is_bare) {
        return key.to_owned();
    }
    quoted(key)
}

/// A basic string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                push_escape(character, &mut quoted);
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
pub(crate) mod tests;
