//! The build program: the server's layer, and the process that starts it.

use std::io::Write;
use std::path::Path;

use crate::layer::{self, LayerError, LayerInputs};
use crate::{NoSite, PathError, find_web_root};

/// Why the build ended.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// What detection saw is no longer there.
    #[error(transparent)]
    NoSite(#[from] NoSite),
    /// The layer could not be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A file could not be written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The log could not be written.
    #[error("cannot write the log")]
    Log(#[source] std::io::Error),
}

/// What the lifecycle hands to a build.
#[derive(Debug, Clone, Copy)]
pub struct BuildInputs<'a> {
    /// The application directory.
    pub app: &'a Path,
    /// The directory that the user named, if any.
    pub configured_web_root: Option<&'a str>,
    /// This buildpack's layers directory.
    pub layers: &'a Path,
    /// The directory that the buildpack itself lies in.
    pub buildpack: &'a Path,
    /// The architecture of the image, in Go's names.
    pub architecture: &'a str,
}

/// Writes the layer and `launch.toml`, and tells the user what happens on `log`.
pub fn build(inputs: &BuildInputs<'_>, log: &mut dyn Write) -> Result<(), BuildError> {
    let web_root = find_web_root(inputs.app, inputs.configured_web_root)?;
    let server = layer::read_server(inputs.buildpack, inputs.architecture)?;
    let layer_inputs = LayerInputs {
        server_sha256: server.sha256.clone(),
        web_root,
    };
    let written = layer::write_layer(inputs.layers, &layer_inputs, &server.program)?;
    layer::write(
        &inputs.layers.join("launch.toml"),
        launch_document().as_bytes(),
    )?;

    let shown = match layer_inputs.web_root.as_str() {
        "." => "the application directory".to_owned(),
        root => format!("`{}/`", root.escape_debug()),
    };
    let verb = if written { "Installing" } else { "Reusing" };
    writeln!(log, "Serving {shown}").map_err(BuildError::Log)?;
    writeln!(
        log,
        "{verb} the file server for linux/{}",
        inputs.architecture
    )
    .map_err(BuildError::Log)
}

fn launch_document() -> String {
    format!(
        "[[processes]]\ntype = \"web\"\ncommand = [\"{}\"]\ndefault = true\n",
        layer::PROGRAM
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_leaves_a_launch_layer_and_a_default_process() {
        let root = tempfile::tempdir().unwrap();
        let [app, layers, buildpack] =
            ["app", "layers", "buildpack"].map(|name| root.path().join(name));
        layer::write(&app.join("public/index.html"), b"hello").unwrap();
        layer::write(&buildpack.join("server/arm64"), b"\x7fELF").unwrap();
        layer::write(&buildpack.join("server/arm64.sha256"), &[b'a'; 64]).unwrap();
        let inputs = BuildInputs {
            app: &app,
            configured_web_root: None,
            layers: &layers,
            buildpack: &buildpack,
            architecture: "arm64",
        };
        let mut log = Vec::new();
        build(&inputs, &mut log).unwrap();
        assert_eq!(
            log,
            b"Serving `public/`\nInstalling the file server for linux/arm64\n"
        );
        assert_eq!(
            std::fs::read(layers.join("server/bin/static-site-server")).unwrap(),
            b"\x7fELF"
        );
        assert_eq!(
            std::fs::read(layers.join("server/env.launch/WEB_ROOT.default")).unwrap(),
            b"public"
        );
        assert_eq!(
            std::fs::read(layers.join("server/env.launch/PORT.default")).unwrap(),
            b"8080"
        );
        let launch: toml::Table = std::fs::read_to_string(layers.join("launch.toml"))
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(
            launch["processes"][0]["command"][0].as_str(),
            Some("static-site-server")
        );
        assert_eq!(launch["processes"][0]["default"].as_bool(), Some(true));

        log.clear();
        build(&inputs, &mut log).unwrap();
        assert_eq!(
            log,
            b"Serving `public/`\nReusing the file server for linux/arm64\n"
        );

        let error = build(
            &BuildInputs {
                architecture: "../../etc",
                ..inputs
            },
            &mut log,
        )
        .unwrap_err();
        assert!(
            matches!(error, BuildError::Layer(LayerError::UnknownArchitecture(_))),
            "{error}"
        );
    }
}
