//! Labels from JSON. As in the reference: unknown keys are dropped, `null` is an absent value, a key
//! in another case counts if the exact one is absent, and every number becomes a float.

use serde_json::{Map, Value as JsonValue};

use super::{
    BuildpackLayers, CacheMetadata, LIFECYCLE_METADATA, LayerRecord, LifecycleMetadata,
    RunImageMetadata,
};
use crate::document::{DocumentError, MAX_DOCUMENT_DEPTH, document_text, escape};
use crate::layer::{LayerToml, LayerTypes};
use crate::run::RunImageNames;
use crate::stack::Stack;
use crate::store::StoreToml;
use crate::value::{Table, Value};

/// Parses the label [`LIFECYCLE_METADATA`]. Integers become floats, as in the reference.
pub fn parse_lifecycle_metadata(label: &str) -> Result<LifecycleMetadata, DocumentError> {
    let value = parse_json(LIFECYCLE_METADATA, label.as_bytes())?;
    let root = Object::root(LIFECYCLE_METADATA, &value)?;
    read_lifecycle_metadata(&root)
}

/// Parses what a cache remembers; `file` is the label or the file that it comes from.
pub fn parse_cache_metadata(file: &str, bytes: &[u8]) -> Result<CacheMetadata, DocumentError> {
    let value = parse_json(file, bytes)?;
    let root = Object::root(file, &value)?;
    Ok(CacheMetadata {
        sbom: read_sha(&root, "sbom")?,
        buildpacks: root.each("buildpacks", read_buildpack)?,
    })
}

fn parse_json(file: &str, bytes: &[u8]) -> Result<JsonValue, DocumentError> {
    let text = document_text(file, bytes)?;
    serde_json::from_str(text).map_err(|error| DocumentError {
        line: Some(error.line()),
        column: Some(error.column()),
        ..DocumentError::whole(file, format!("not JSON: {}", escape(&error.to_string())))
    })
}

fn read_lifecycle_metadata(root: &Object<'_>) -> Result<LifecycleMetadata, DocumentError> {
    let stack = match root.object("stack")? {
        Some(stack) => Some(Stack {
            run_image: read_names(stack.object("runImage")?.as_ref())?,
        }),
        None => None,
    };
    let run_image = root.object("runImage")?;
    let sbom = root.object("sbom")?;
    Ok(LifecycleMetadata {
        app: root.each("app", |layer| layer.text("sha"))?,
        sbom: sbom.map(|sbom| sbom.text("sha")).transpose()?,
        buildpacks: root.each("buildpacks", read_buildpack)?,
        config: read_sha(root, "config")?,
        launcher: read_sha(root, "launcher")?,
        process_types: read_sha(root, "process-types")?,
        run_image: match &run_image {
            Some(object) => RunImageMetadata {
                top_layer: object.text("topLayer")?,
                reference: object.text("reference")?,
                names: read_names(Some(object))?,
            },
            None => RunImageMetadata::default(),
        },
        stack,
    })
}

fn read_sha(root: &Object<'_>, name: &str) -> Result<String, DocumentError> {
    let object = root.object(name)?;
    Ok(object
        .map(|object| object.text("sha"))
        .transpose()?
        .unwrap_or_default())
}

fn read_names(object: Option<&Object<'_>>) -> Result<RunImageNames, DocumentError> {
    let Some(object) = object else {
        return Ok(RunImageNames::default());
    };
    Ok(RunImageNames {
        image: Some(object.text("image")?).filter(|image| !image.is_empty()),
        mirrors: object.texts("mirrors")?,
    })
}

fn read_buildpack(object: &Object<'_>) -> Result<BuildpackLayers, DocumentError> {
    let layers = object.object("layers")?;
    let store = match object.object("store")? {
        Some(store) => Some(StoreToml {
            metadata: store.free_table("metadata")?,
        }),
        None => None,
    };
    Ok(BuildpackLayers {
        id: object.text("key")?,
        version: object.text("version")?,
        layers: match layers {
            Some(layers) => layers
                .named_objects()?
                .into_iter()
                .map(|(name, layer)| Ok((name, read_layer(&layer)?)))
                .collect::<Result<_, DocumentError>>()?,
            None => indexmap::IndexMap::new(),
        },
        store,
    })
}

fn read_layer(object: &Object<'_>) -> Result<LayerRecord, DocumentError> {
    Ok(LayerRecord {
        sha: object.text("sha")?,
        layer: LayerToml {
            types: LayerTypes {
                build: object.flag("build")?,
                launch: object.flag("launch")?,
                cache: object.flag("cache")?,
            },
            metadata: object.free("data")?,
        },
    })
}

/// A JSON object, with the path that leads to it.
struct Object<'a> {
    file: &'a str,
    map: &'a Map<String, JsonValue>,
    path: String,
}

struct Field<'a> {
    file: &'a str,
    value: &'a JsonValue,
    path: String,
}

impl<'a> Object<'a> {
    fn root(file: &'a str, value: &'a JsonValue) -> Result<Self, DocumentError> {
        let path = String::new();
        Field { file, value, path }.object()
    }

    /// The value under a key; `null` is no value.
    fn field(&self, name: &str) -> Option<Field<'a>> {
        let exact = self.map.get_key_value(name);
        let (key, value) = exact
            .or_else(|| {
                self.map
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
            })
            .filter(|(_, value)| !value.is_null())?;
        Some(self.child(key, value))
    }

    fn child(&self, key: &str, value: &'a JsonValue) -> Field<'a> {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Field {
            file: self.file,
            value,
            path,
        }
    }

    fn text(&self, name: &str) -> Result<String, DocumentError> {
        self.field(name)
            .map_or(Ok(String::new()), |field| field.text())
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(Vec::new());
        };
        field.items()?.iter().map(Field::text).collect()
    }

    fn flag(&self, name: &str) -> Result<bool, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(false);
        };
        field
            .value
            .as_bool()
            .ok_or_else(|| field.mismatch("a boolean"))
    }

    fn object(&self, name: &str) -> Result<Option<Self>, DocumentError> {
        self.field(name).map(|field| field.object()).transpose()
    }

    fn each<T>(
        &self,
        name: &str,
        read: impl Fn(&Self) -> Result<T, DocumentError>,
    ) -> Result<Vec<T>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(Vec::new());
        };
        field
            .items()?
            .iter()
            .map(|item| read(&item.object()?))
            .collect()
    }

    fn named_objects(&self) -> Result<Vec<(String, Self)>, DocumentError> {
        let entries = self.map.iter().filter(|(_, value)| !value.is_null());
        entries
            .map(|(key, value)| Ok((key.clone(), self.child(key, value).object()?)))
            .collect()
    }

    fn free(&self, name: &str) -> Result<Option<Value>, DocumentError> {
        self.field(name).map(|field| field.free(0)).transpose()
    }

    fn free_table(&self, name: &str) -> Result<Option<Table>, DocumentError> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        if let Value::Table(table) = field.free(0)? {
            return Ok(Some(table));
        }
        Err(field.mismatch("an object"))
    }
}

impl<'a> Field<'a> {
    fn text(&self) -> Result<String, DocumentError> {
        if self.value.is_null() {
            return Ok(String::new());
        }
        let text = self.value.as_str();
        text.map(str::to_owned)
            .ok_or_else(|| self.mismatch("a string"))
    }

    fn items(&self) -> Result<Vec<Self>, DocumentError> {
        let JsonValue::Array(items) = self.value else {
            return Err(self.mismatch("an array"));
        };
        let field = |(index, value)| Field {
            file: self.file,
            value,
            path: format!("{}[{index}]", self.path),
        };
        Ok(items.iter().enumerate().map(field).collect())
    }

    fn object(&self) -> Result<Object<'a>, DocumentError> {
        let Some(map) = self.value.as_object() else {
            return Err(self.mismatch("an object"));
        };
        Ok(Object {
            file: self.file,
            map,
            path: self.path.clone(),
        })
    }

    /// The value as TOML can hold it. `serde_json` bounds the depth too; this bound is the documents'.
    fn free(&self, depth: usize) -> Result<Value, DocumentError> {
        if depth > MAX_DOCUMENT_DEPTH {
            let reason = format!("nested deeper than the limit of {MAX_DOCUMENT_DEPTH} levels");
            return Err(self.error(reason));
        }
        Ok(match self.value {
            JsonValue::Null => return Err(self.error("`null` in an array")),
            JsonValue::Bool(flag) => Value::Boolean(*flag),
            JsonValue::Number(number) => match number.as_f64() {
                Some(float) => Value::Float(float),
                None => return Err(self.error("number is out of range")),
            },
            JsonValue::String(text) => Value::String(text.clone()),
            JsonValue::Array(_) => {
                let items = self.items()?;
                Value::Array(
                    items
                        .iter()
                        .map(|item| item.free(depth + 1))
                        .collect::<Result<_, _>>()?,
                )
            }
            JsonValue::Object(map) => {
                let object = Object {
                    file: self.file,
                    map,
                    path: self.path.clone(),
                };
                let mut table = Table::new();
                for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                    table.insert(key.clone(), object.child(key, value).free(depth + 1)?);
                }
                Value::Table(table)
            }
        })
    }

    fn mismatch(&self, expected: &str) -> DocumentError {
        let found = match self.value {
            JsonValue::Null => "null",
            JsonValue::Bool(_) => "a boolean",
            JsonValue::Number(_) => "a number",
            JsonValue::String(_) => "a string",
            JsonValue::Array(_) => "an array",
            JsonValue::Object(_) => "an object",
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    fn error(&self, reason: impl Into<String>) -> DocumentError {
        DocumentError::at_key(self.file, &self.path, reason)
    }
}
