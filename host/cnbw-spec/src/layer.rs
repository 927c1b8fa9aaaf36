//! `<layer>.toml`: the types and the metadata of a layer.
//!
//! <https://github.com/buildpacks/spec/blob/main/buildpack.md#layer-content-metadata-toml>

use crate::document::{Document, DocumentError, Reader};
use crate::print::Fields;
use crate::value::Value;

/// What a layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LayerTypes {
    /// Later buildpacks see it.
    pub build: bool,
    /// It becomes part of the image.
    pub launch: bool,
    /// It is kept for the next build.
    pub cache: bool,
}

impl LayerTypes {
    /// Whether no flag is set: the layer is ignored.
    pub fn is_none(self) -> bool {
        !self.build && !self.launch && !self.cache
    }
}

/// The content of `<layer>.toml`. The default is that of a missing file.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LayerToml {
    /// `[types]`.
    pub types: LayerTypes,
    /// `[metadata]`, free-form; `None` if absent.
    pub metadata: Option<Value>,
}

/// Parses `<layer>.toml`; type flags outside `[types]` are refused.
pub fn parse_layer(file: &str, bytes: &[u8]) -> Result<LayerToml, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    let types = match root.table("types")? {
        Some(types) => read_types(&types)?,
        None => LayerTypes::default(),
    };
    let metadata = root.any("metadata")?;
    for flag in ["build", "launch", "cache"] {
        if root.has_exactly(flag) {
            return Err(root.error(
                flag,
                "the type flags of a layer belong into the table `types`",
            ));
        }
    }
    Ok(LayerToml { types, metadata })
}

/// Reads the three flags.
pub(crate) fn read_types(reader: &Reader<'_>) -> Result<LayerTypes, DocumentError> {
    Ok(LayerTypes {
        build: reader.is("build")?,
        launch: reader.is("launch")?,
        cache: reader.is("cache")?,
    })
}

/// Prints `<layer>.toml` as it is restored: metadata only, all types unset.
pub fn print_restored_layer(metadata: Option<&Value>) -> String {
    let mut fields = Fields::new();
    if let Some(metadata) = metadata {
        fields.value("metadata", metadata);
    }
    fields.print()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::print::tests::any_value;

    fn parse(text: &str) -> Result<LayerToml, DocumentError> {
        parse_layer("l.toml", text.as_bytes())
    }

    #[test]
    fn types_and_metadata_are_read() {
        let layer = parse("[types]\nlaunch = true\ncache = true\n[metadata]\nv = \"1\"").unwrap();
        assert!(layer.types.launch && layer.types.cache && !layer.types.build);
        assert_eq!(
            layer.metadata,
            Some(Value::Table("v = \"1\"".parse().unwrap()))
        );
        assert!(parse("").unwrap().types.is_none());
    }

    #[test]
    fn type_flags_outside_their_table_are_refused() {
        for flag in ["build", "launch", "cache"] {
            let error = parse(&format!("[types]\nlaunch = true\n[{flag}]")).unwrap_err();
            assert_eq!((error.line, error.key.as_str()), (Some(3), flag));
            assert!(parse(&format!("{flag} = false")).is_err());
        }
    }

    #[test]
    fn a_flag_that_is_no_boolean_is_refused() {
        let error = parse("[types]\nbuild = \"true\"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`l.toml`, line 2, key `types.build`: expected a boolean, found a string"
        );
    }

    #[test]
    fn a_restored_layer_has_metadata_only() {
        let metadata = Value::Table("n = 1.0".parse().unwrap());
        assert_eq!(
            print_restored_layer(Some(&metadata)),
            "[metadata]\n  n = 1.0\n"
        );
        assert_eq!(print_restored_layer(None), "");
    }

    proptest! {
        #[test]
        fn restored_metadata_is_read_back(metadata in any_value()) {
            let layer = parse(&print_restored_layer(Some(&metadata))).unwrap();
            prop_assert_eq!(layer.metadata, Some(metadata));
        }
    }
}
