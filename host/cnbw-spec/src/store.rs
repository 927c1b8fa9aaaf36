//! `store.toml`: what a buildpack remembers from build to build.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#storetoml-toml>

use crate::document::{Document, DocumentError};
use crate::print::Fields;
use crate::value::Table;

/// The content of `store.toml`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StoreToml {
    /// `[metadata]`, free-form; `None` if absent.
    pub metadata: Option<Table>,
}

/// Parses `store.toml`.
pub fn parse_store(file: &str, bytes: &[u8]) -> Result<StoreToml, DocumentError> {
    let document = Document::parse(file, bytes)?;
    Ok(StoreToml {
        metadata: document.root().free_table("metadata")?,
    })
}

/// Prints `store.toml`.
pub fn print_store(store: &StoreToml) -> String {
    let mut fields = Fields::new();
    fields.free_table("metadata", store.metadata.as_ref());
    fields.print()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::print::tests::any_table;

    #[test]
    fn metadata_must_be_a_table() {
        let error = parse_store("store.toml", b"metadata = 1").unwrap_err();
        assert_eq!(error.reason, "expected a table, found an integer");
        assert_eq!(
            parse_store("store.toml", b"other = 1").unwrap(),
            StoreToml::default()
        );
    }

    proptest! {
        #[test]
        fn a_printed_store_is_read_back(metadata in proptest::option::of(any_table())) {
            let store = StoreToml { metadata };
            prop_assert_eq!(parse_store("s", print_store(&store).as_bytes()).unwrap(), store);
        }
    }
}
