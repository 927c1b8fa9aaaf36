//! Typed access to a TOML document that knows where everything stands.
//!
//! As in the reference: unknown keys are skipped, a key in another case counts if the exact one is
//! absent, and a value of another type than expected is an error.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{
    DocumentError, MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_VALUES, document_text, escape, line_of,
};
use crate::id::{BuildpackRef, NameError};
use crate::value::{Table, Value};

/// A document that was parsed as TOML.
pub(crate) struct Document<'d> {
    source: Source<'d>,
    root: Spanned<DeTable<'d>>,
}

/// One table of a document.
pub(crate) struct Reader<'a> {
    source: Source<'a>,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    path: Path<'a>,
}

/// One value, with the path that leads to it.
struct Field<'a> {
    source: Source<'a>,
    value: &'a Spanned<DeValue<'a>>,
    above: Path<'a>,
    segment: Segment<'a>,
}

/// The way to a table. It is spelled out only in errors.
#[derive(Clone, Default)]
struct Path<'a>(Option<Rc<(Self, Segment<'a>)>>);

#[derive(Clone, Copy)]
enum Segment<'a> {
    Key(&'a str),
    Item(usize),
}

#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'d> Document<'d> {
    /// Parses TOML, and refuses what is too large, too deep or too much.
    pub(crate) fn parse(file: &'d str, bytes: &'d [u8]) -> Result<Self, DocumentError> {
        let text = document_text(file, bytes)?;
        let source = Source { file, text };
        let root = DeTable::parse(text).map_err(|error| {
            source.error(
                error.span(),
                "",
                format!("not TOML: {}", escape(error.message())),
            )
        })?;
        let document = Self { source, root };
        document.check_size()?;
        Ok(document)
    }

    /// The table at the top.
    pub(crate) fn root(&self) -> Reader<'_> {
        Reader {
            source: self.source,
            table: self.root.get_ref(),
            span: self.root.span(),
            path: Path::default(),
        }
    }

    /// Walks without recursion, since the depth is what is in doubt.
    fn check_size(&self) -> Result<(), DocumentError> {
        let mut seen = 0_usize;
        let mut open: Vec<(usize, &Spanned<DeValue<'_>>)> = self
            .root
            .get_ref()
            .values()
            .map(|value| (1, value))
            .collect();
        while let Some((depth, value)) = open.pop() {
            seen += 1;
            if seen > MAX_DOCUMENT_VALUES {
                return Err(DocumentError::whole(
                    self.source.file,
                    format!("more than the limit of {MAX_DOCUMENT_VALUES} values"),
                ));
            }
            if depth > MAX_DOCUMENT_DEPTH {
                let reason = format!("nested deeper than the limit of {MAX_DOCUMENT_DEPTH} levels");
                return Err(self.source.error(Some(value.span()), "", reason));
            }
            match value.get_ref() {
                DeValue::Array(array) => open.extend(array.iter().map(|item| (depth + 1, item))),
                DeValue::Table(table) => open.extend(table.values().map(|item| (depth + 1, item))),
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_) => {}
            }
        }
        Ok(())
    }
}

impl<'a> Reader<'a> {
    /// A text, if the key is there.
    pub(crate) fn string(&self, name: &str) -> Result<Option<String>, DocumentError> {
        self.field(name).map(|field| field.string()).transpose()
    }

    /// A text; an absent key and an empty text are the same.
    pub(crate) fn filled(&self, name: &str) -> Result<Option<String>, DocumentError> {
        Ok(self.string(name)?.filter(|text| !text.is_empty()))
    }

    /// A text, empty if the key is absent.
    pub(crate) fn text(&self, name: &str) -> Result<String, DocumentError> {
        Ok(self.string(name)?.unwrap_or_default())
    }

    /// A flag, if the key is there.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        let flag = field.value.get_ref().as_bool();
        flag.map(Some).ok_or_else(|| field.mismatch("a boolean"))
    }

    /// A flag, false if the key is absent.
    pub(crate) fn is(&self, name: &str) -> Result<bool, DocumentError> {
        Ok(self.flag(name)?.unwrap_or_default())
    }

    /// A list of texts, if the key is there.
    pub(crate) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        field
            .items()?
            .iter()
            .map(Field::string)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A list of texts, or of tables of which each has a text `key`.
    pub(crate) fn strings_or_named(
        &self,
        name: &str,
        key: &str,
    ) -> Result<Vec<String>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(Vec::new());
        };
        let items = field.items()?;
        let read = |item: &Field<'a>| {
            if item.value.get_ref().is_table() {
                item.table()?.text(key)
            } else {
                item.string()
            }
        };
        items.iter().map(read).collect()
    }

    /// A text or a list of scalars; a single text is a list of one.
    pub(crate) fn string_or_list(&self, name: &str) -> Result<Vec<String>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(Vec::new());
        };
        let value = field.value.get_ref();
        if let Some(text) = value.as_str() {
            return Ok(vec![text.to_owned()]);
        }
        if !value.is_array() {
            return Err(field.mismatch("a string or an array of strings"));
        }
        field.items()?.iter().map(Field::scalar_text).collect()
    }

    /// The table under a key, if the key is there.
    pub(crate) fn table(&self, name: &str) -> Result<Option<Self>, DocumentError> {
        self.field(name).map(|field| field.table()).transpose()
    }

    /// The tables of an array, none if the key is absent.
    pub(crate) fn tables(&self, name: &str) -> Result<Vec<Self>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(Vec::new());
        };
        field.items()?.iter().map(Field::table).collect()
    }

    /// The tables of an array, each read by `read`.
    pub(crate) fn each<T>(
        &self,
        name: &str,
        read: impl Fn(&Self) -> Result<T, DocumentError>,
    ) -> Result<Vec<T>, DocumentError> {
        self.tables(name)?.iter().map(read).collect()
    }

    /// All keys of this table, each of which leads to a table.
    pub(crate) fn named_tables(&self) -> Result<Vec<(String, Self)>, DocumentError> {
        let read = |(key, value): (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)| {
            let name = key.get_ref().as_ref();
            let field = Field {
                source: self.source,
                value,
                above: self.path.clone(),
                segment: Segment::Key(name),
            };
            Ok((name.to_owned(), field.table()?))
        };
        self.table.iter().map(read).collect()
    }

    /// A value of any shape, if the key is there.
    pub(crate) fn any(&self, name: &str) -> Result<Option<Value>, DocumentError> {
        self.field(name).map(|field| field.any()).transpose()
    }

    /// A table of any content, if the key is there.
    pub(crate) fn free_table(&self, name: &str) -> Result<Option<Table>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        if let Value::Table(table) = field.any()? {
            return Ok(Some(table));
        }
        Err(field.mismatch("a table"))
    }

    /// The buildpack or extension that `id` and `version` name.
    pub(crate) fn buildpack_ref(&self) -> Result<BuildpackRef, DocumentError> {
        let id = self.text("id")?;
        let version = self.text("version")?;
        BuildpackRef::parse(&id, &version).map_err(|error| {
            let key = match error.kind() {
                crate::id::BUILDPACK_VERSION => "version",
                _ => "id",
            };
            self.name_error(key, &error)
        })
    }

    /// Whether the key is there, spelled exactly so.
    pub(crate) fn has_exactly(&self, name: &str) -> bool {
        self.table.get(name).is_some()
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// Paths of the keys that are not among `known`.
    pub(crate) fn unknown_keys(&self, known: &[&str]) -> Vec<String> {
        let keys = self.table.keys().map(|key| key.get_ref().as_ref());
        let is_unknown = |key: &&str| !known.iter().any(|name| key.eq_ignore_ascii_case(name));
        keys.filter(is_unknown)
            .map(|key| self.path.spell(Segment::Key(key)))
            .collect()
    }

    /// An error about a key of this table.
    pub(crate) fn error(&self, name: &str, reason: impl Into<String>) -> DocumentError {
        let span = match self.field(name) {
            Some(field) => field.value.span(),
            None => self.span.clone(),
        };
        let key = self.path.spell(Segment::Key(name));
        self.source.error(Some(span), &key, reason)
    }

    /// An error about this table as a whole.
    pub(crate) fn error_here(&self, reason: impl Into<String>) -> DocumentError {
        let key = self.path.to_string();
        self.source.error(Some(self.span.clone()), &key, reason)
    }

    /// An error about a name under a key of this table.
    pub(crate) fn name_error(&self, name: &str, error: &NameError) -> DocumentError {
        self.error(name, error.to_string())
    }

    fn field(&self, name: &str) -> Option<Field<'a>> {
        let exact = self.table.get_key_value(name);
        let (key, value) = exact.or_else(|| {
            self.table
                .iter()
                .find(|(key, _)| key.get_ref().eq_ignore_ascii_case(name))
        })?;
        Some(Field {
            source: self.source,
            value,
            above: self.path.clone(),
            segment: Segment::Key(key.get_ref()),
        })
    }
}

impl<'a> Field<'a> {
    fn string(&self) -> Result<String, DocumentError> {
        let text = self.value.get_ref().as_str();
        text.map(str::to_owned)
            .ok_or_else(|| self.mismatch("a string"))
    }

    /// A text, or a number or boolean as text.
    fn scalar_text(&self) -> Result<String, DocumentError> {
        let value = self.value.get_ref();
        if value.is_integer() || value.is_float() || value.is_bool() {
            return Ok(self.any()?.to_string());
        }
        self.string()
    }

    fn items(&self) -> Result<Vec<Self>, DocumentError> {
        let Some(array) = self.value.get_ref().as_array() else {
            return Err(self.mismatch("an array"));
        };
        let path = self.path();
        let field = |(index, value)| Field {
            source: self.source,
            value,
            above: path.clone(),
            segment: Segment::Item(index),
        };
        Ok(array.iter().enumerate().map(field).collect())
    }

    fn table(&self) -> Result<Reader<'a>, DocumentError> {
        let Some(table) = self.value.get_ref().as_table() else {
            return Err(self.mismatch("a table"));
        };
        Ok(Reader {
            source: self.source,
            table,
            span: self.value.span(),
            path: self.path(),
        })
    }

    /// Copies a value out of the document. Its depth was checked when the document was parsed.
    fn any(&self) -> Result<Value, DocumentError> {
        let out_of_range = |what: &str| self.error(format!("{what} is out of range"));
        Ok(match self.value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map(Value::Integer)
                .map_err(|_| out_of_range("integer"))?,
            DeValue::Float(float) => {
                let text = float.as_str();
                let value: f64 = text.parse().map_err(|_| out_of_range("float"))?;
                if value.is_infinite() && !text.contains("inf") {
                    return Err(out_of_range("float"));
                }
                Value::Float(value)
            }
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(datetime) => Value::Datetime(*datetime),
            DeValue::Array(_) => Value::Array(
                self.items()?
                    .iter()
                    .map(Field::any)
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => {
                let path = self.path();
                let mut copy = Table::new();
                for (key, value) in table {
                    let field = Field {
                        source: self.source,
                        value,
                        above: path.clone(),
                        segment: Segment::Key(key.get_ref()),
                    };
                    copy.insert(key.get_ref().to_string(), field.any()?);
                }
                Value::Table(copy)
            }
        })
    }

    fn mismatch(&self, expected: &str) -> DocumentError {
        let found = with_article(self.value.get_ref());
        self.error(format!("expected {expected}, found {found}"))
    }

    fn error(&self, reason: String) -> DocumentError {
        let key = self.above.spell(self.segment);
        self.source.error(Some(self.value.span()), &key, reason)
    }

    fn path(&self) -> Path<'a> {
        Path(Some(Rc::new((self.above.clone(), self.segment))))
    }
}

impl Path<'_> {
    /// This path and one more segment, as text.
    fn spell(&self, segment: Segment<'_>) -> String {
        match (segment, &self.0) {
            (Segment::Key(key), None) => key.to_owned(),
            (Segment::Key(key), Some(_)) => format!("{self}.{key}"),
            (Segment::Item(index), _) => format!("{self}[{index}]"),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(step) => formatter.write_str(&step.0.spell(step.1)),
            None => Ok(()),
        }
    }
}

impl Source<'_> {
    fn error(
        self,
        span: Option<Range<usize>>,
        key: &str,
        reason: impl Into<String>,
    ) -> DocumentError {
        let start = span.map(|span| span.start.min(self.text.len()));
        let column = start.map(|start| {
            let before = self.text.get(..start).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            1 + before.get(line_start..).unwrap_or_default().chars().count()
        });
        DocumentError {
            line: start.map(|start| line_of(self.text.as_bytes(), start)),
            column,
            ..DocumentError::at_key(self.file, key, reason)
        }
    }
}

fn with_article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
