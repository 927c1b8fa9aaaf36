//! `<layer>.toml`: the types and the metadata of a layer.

use crate::document::DocumentError;
use crate::value::Value;

/// What a layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the specification's three flags"
)]
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
    crate::document::unfinished(file, bytes)
}

/// Prints `<layer>.toml` as it is restored: metadata only, all types unset.
pub fn print_restored_layer(metadata: Option<&Value>) -> String {
    format!("{metadata:?}")
}
