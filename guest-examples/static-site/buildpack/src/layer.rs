//! The one layer: the server program and the variables that it starts with.

use std::path::Path;

use toml::{Table, Value};

use crate::PathError;

/// The layer's name.
const NAME: &str = "server";
/// The program's name, inside the layer and as the process's command.
pub(crate) const PROGRAM: &str = "static-site-server";
/// The port that the server listens on unless the platform names one.
const DEFAULT_PORT: &str = "8080";

/// Why the layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The buildpack carries no server for the target.
    #[error(
        "no file server for the architecture `{0}`; there is one for `amd64` and one for `arm64`"
    )]
    UnknownArchitecture(String),
    /// The buildpack is damaged.
    #[error("`server/{0}.sha256` holds no SHA-256 in hexadecimal; the buildpack is damaged")]
    Digest(String),
    /// A file could not be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// What a layer was made from; equal values give equal layers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LayerInputs {
    /// SHA-256 of the server program, in hexadecimal.
    pub(crate) server_sha256: String,
    /// The directory that is served, relative to the application directory.
    pub(crate) web_root: String,
}

impl LayerInputs {
    fn to_table(&self) -> Table {
        Table::from_iter([
            (
                "server-sha256".to_owned(),
                Value::String(self.server_sha256.clone()),
            ),
            ("web-root".to_owned(), Value::String(self.web_root.clone())),
        ])
    }

    /// Renders `<layer>.toml`: a launch layer, and what it was made from.
    fn to_document(&self) -> String {
        let types = Table::from_iter([("launch".to_owned(), Value::Boolean(true))]);
        Table::from_iter([
            ("types".to_owned(), Value::Table(types)),
            ("metadata".to_owned(), Value::Table(self.to_table())),
        ])
        .to_string()
    }

    /// Tells whether a restored `<layer>.toml` describes a layer of these inputs.
    fn describe_the_restored(&self, document: &str) -> bool {
        let restored: Option<Table> = document.parse().ok();
        restored.and_then(|table| table.get("metadata").cloned())
            == Some(Value::Table(self.to_table()))
    }
}

/// The server program for an architecture.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) program: Vec<u8>,
    /// Its SHA-256, in hexadecimal, as it was recorded when the buildpack was made.
    pub(crate) sha256: String,
}

/// Reads the server program for an architecture out of the buildpack directory.
pub(crate) fn read_server(buildpack: &Path, architecture: &str) -> Result<Server, LayerError> {
    if !matches!(architecture, "amd64" | "arm64") {
        return Err(LayerError::UnknownArchitecture(
            architecture.escape_debug().to_string(),
        ));
    }
    let path = buildpack.join("server").join(architecture);
    let program = std::fs::read(&path).map_err(PathError::at("read the file server", &path))?;
    let path = path.with_added_extension("sha256");
    let sha256 = std::fs::read_to_string(&path)
        .map_err(PathError::at("read the file server's digest", &path))?;
    let is_digest = sha256.len() == 64 && sha256.bytes().all(|it| it.is_ascii_hexdigit());
    if !is_digest {
        return Err(LayerError::Digest(architecture.to_owned()));
    }
    Ok(Server { program, sha256 })
}

/// Writes the layer below `layers`, unless the previous image already has it; tells whether it was written.
///
/// A launch layer whose TOML is there while its directory is not means "as in the previous image".
pub(crate) fn write_layer(
    layers: &Path,
    inputs: &LayerInputs,
    server: &[u8],
) -> Result<bool, LayerError> {
    let document = layers.join(format!("{NAME}.toml"));
    let directory = layers.join(NAME);
    let reusable = std::fs::read_to_string(&document)
        .is_ok_and(|restored| inputs.describe_the_restored(&restored));
    write(&document, inputs.to_document().as_bytes())?;
    write(
        &layers.join(format!("{NAME}.sbom.cdx.json")),
        sbom(inputs).as_bytes(),
    )?;
    if reusable {
        return Ok(false);
    }
    if directory.exists() {
        std::fs::remove_dir_all(&directory)
            .map_err(PathError::at("remove the old layer", &directory))?;
    }
    write(&directory.join("bin").join(PROGRAM), server)?;
    let launch = directory.join("env.launch");
    write(&launch.join("PORT.default"), DEFAULT_PORT.as_bytes())?;
    write(&launch.join("WEB_ROOT.default"), inputs.web_root.as_bytes())?;
    Ok(true)
}

/// Renders the bill of materials: one component, in CycloneDX, without the time and serial number that would make
/// equal builds differ.
fn sbom(inputs: &LayerInputs) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let sha256 = &inputs.server_sha256;
    format!(
        r#"{{
  "bomFormat": "CycloneDX",
  "specVersion": "1.5",
  "version": 1,
  "components": [
    {{
      "type": "application",
      "name": "{PROGRAM}",
      "version": "{version}",
      "hashes": [{{ "alg": "SHA-256", "content": "{sha256}" }}],
      "licenses": [{{ "license": {{ "id": "Apache-2.0" }} }}],
      "purl": "pkg:cargo/{PROGRAM}@{version}"
    }}
  ]
}}
"#
    )
}

/// Writes a file and the directories above it.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), PathError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(PathError::at("create the directory", parent))?;
    }
    std::fs::write(path, content).map_err(PathError::at("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(web_root: &str) -> LayerInputs {
        LayerInputs {
            server_sha256: "5".repeat(64),
            web_root: web_root.to_owned(),
        }
    }

    #[test]
    fn a_server_comes_with_its_digest_or_not_at_all() {
        let buildpack = tempfile::tempdir().unwrap();
        write(&buildpack.path().join("server/amd64"), b"\x7fELF").unwrap();
        let error = read_server(buildpack.path(), "amd64").unwrap_err();
        assert!(matches!(error, LayerError::Path(_)), "{error}");
        let digest = buildpack.path().join("server/amd64.sha256");
        for damaged in [&b""[..], b"abc", &[b'g'; 64], &[b'a'; 65]] {
            write(&digest, damaged).unwrap();
            let error = read_server(buildpack.path(), "amd64").unwrap_err();
            assert!(matches!(error, LayerError::Digest(_)), "{error}");
        }
        write(&digest, &[b'a'; 64]).unwrap();
        let server = read_server(buildpack.path(), "amd64").unwrap();
        assert_eq!(server.program, b"\x7fELF");
        assert_eq!(server.sha256, "a".repeat(64));
    }

    #[test]
    fn a_layer_of_the_same_inputs_is_left_to_the_previous_image() {
        let layers = tempfile::tempdir().unwrap();
        let restored = "[metadata]\nweb-root = \"public\"\nserver-sha256 = \"SHA\"\n";
        let restored = restored.replace("SHA", &inputs("public").server_sha256);
        std::fs::write(layers.path().join("server.toml"), &restored).unwrap();
        assert!(!write_layer(layers.path(), &inputs("public"), b"server").unwrap());
        assert!(!layers.path().join("server").exists());
        let document: Table = std::fs::read_to_string(layers.path().join("server.toml"))
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(
            document["types"]["launch"].as_bool(),
            Some(true),
            "types are reset when a layer is restored"
        );

        assert!(
            write_layer(layers.path(), &inputs("www"), b"server").unwrap(),
            "another root is another layer"
        );
        assert!(layers.path().join("server/bin/static-site-server").exists());
    }

    #[test]
    fn a_root_with_quotes_survives_the_document() {
        let inputs = inputs("we\"b\\ ü");
        assert!(inputs.describe_the_restored(&inputs.to_document()));
        assert!(!inputs.describe_the_restored("[[["));
        assert!(!inputs.describe_the_restored(""));
    }

    #[test]
    fn the_bill_of_materials_is_json_and_names_the_program() {
        let bom: serde_json::Value = serde_json::from_str(&sbom(&inputs("."))).unwrap();
        assert_eq!(bom["components"][0]["name"], PROGRAM);
        assert_eq!(
            bom["components"][0]["hashes"][0]["content"]
                .as_str()
                .map(str::len),
            Some(64)
        );
    }
}
