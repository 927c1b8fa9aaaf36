//! Tables, and which of them may be extended by what.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A value. Of numbers with fractions and of dates only the kind is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A truth value.
    Boolean(bool),
    /// A number with a fraction or an exponent.
    Float,
    /// A date, a time, or both.
    Datetime,
    /// A list in brackets.
    Array(Vec<Self>),
    /// A list of tables, made by `[[headers]]`; it is never empty.
    Tables(Vec<Table>),
    /// A table.
    Table(Table),
}

impl Value {
    /// The kind in words, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::Float => "a float",
            Self::Datetime => "a datetime",
            Self::Array(_) | Self::Tables(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// How a table came to be, which decides what may extend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    /// By its own header, or the document itself.
    Explicit,
    /// By the header of a table in it; its own may still come.
    Implicit,
    /// By a dotted key; more dotted keys may add to it.
    Dotted,
    /// In braces; nothing may add to it.
    Frozen,
}

/// Why something cannot be inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The name is taken.
    Duplicate,
    /// What stands on the way cannot be extended.
    NotExtensible,
}

/// A table, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    entries: BTreeMap<String, Value>,
    kind: TableKind,
}

impl Table {
    pub(super) fn new(kind: TableKind) -> Self {
        Self {
            entries: BTreeMap::new(),
            kind,
        }
    }

    /// Returns a value.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Lists the entries by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// Closes an inline table, and the tables that its dotted keys made.
    pub(super) fn freeze(&mut self) {
        self.kind = TableKind::Frozen;
        for value in self.entries.values_mut() {
            if let Value::Table(table) = value
                && table.kind == TableKind::Dotted
            {
                table.freeze();
            }
        }
    }

    /// Inserts a value under a dotted key of this table.
    pub(super) fn insert_dotted(&mut self, path: &[String], value: Value) -> Result<(), Conflict> {
        let Some((last, parents)) = path.split_last() else {
            return Err(Conflict::NotExtensible);
        };
        let mut table = self;
        for parent in parents {
            let fresh = || Value::Table(Self::new(TableKind::Dotted));
            let entry = table.entries.entry(parent.clone()).or_insert_with(fresh);
            table = match entry.as_table_mut() {
                Some(inner) if matches!(inner.kind, TableKind::Dotted | TableKind::Implicit) => {
                    inner
                }
                _ => return Err(Conflict::NotExtensible),
            };
        }
        match table.entries.entry(last.clone()) {
            Entry::Occupied(_) => Err(Conflict::Duplicate),
            Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
        }
    }

    /// Makes the table of a header.
    pub(super) fn open_section(&mut self, path: &[String], is_array: bool) -> Result<(), Conflict> {
        let Some((last, parents)) = path.split_last() else {
            return Err(Conflict::NotExtensible);
        };
        let mut table = self;
        for parent in parents {
            let fresh = || Value::Table(Self::new(TableKind::Implicit));
            table = table
                .entries
                .entry(parent.clone())
                .or_insert_with(fresh)
                .current()?;
        }
        let explicit = Self::new(TableKind::Explicit);
        match (table.entries.entry(last.clone()), is_array) {
            (Entry::Vacant(place), false) => {
                place.insert(Value::Table(explicit));
            }
            (Entry::Vacant(place), true) => {
                place.insert(Value::Tables(vec![explicit]));
            }
            (Entry::Occupied(place), _) => match (place.into_mut(), is_array) {
                (Value::Tables(tables), true) => tables.push(explicit),
                (Value::Table(table), false) if table.kind == TableKind::Implicit => {
                    table.kind = TableKind::Explicit;
                }
                _ => return Err(Conflict::Duplicate),
            },
        }
        Ok(())
    }

    /// Goes to the table of a header that has been opened.
    pub(super) fn descend(&mut self, path: &[String]) -> Option<&mut Self> {
        let mut table = self;
        for name in path {
            table = table.entries.get_mut(name)?.current().ok()?;
        }
        Some(table)
    }
}

impl Value {
    fn as_table_mut(&mut self) -> Option<&mut Table> {
        if let Self::Table(table) = self {
            Some(table)
        } else {
            None
        }
    }

    /// The table that a header means by this name: the last one of a list of tables.
    fn current(&mut self) -> Result<&mut Table, Conflict> {
        let table = if let Self::Tables(tables) = self {
            tables.last_mut()
        } else {
            self.as_table_mut()
        };
        table
            .filter(|table| table.kind != TableKind::Frozen)
            .ok_or(Conflict::NotExtensible)
    }
}
