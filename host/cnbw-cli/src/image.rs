//! `cnbw image`: checking and copying images.

use std::io::Write;
use std::process::ExitCode;

use cnbw_oci::validate::{ValidateOptions, validate};

use crate::args::{ImageCommand, OutputArgs};
use crate::build::fail;
use crate::error::CliError;
use crate::report::escape::escape;
use crate::{environment, places};

/// Runs one of the commands.
pub(crate) fn run(command: &ImageCommand, output: OutputArgs) -> ExitCode {
    let color = environment::wants_color(output.no_color);
    let result = match command {
        ImageCommand::Validate { image } => check(image, output.json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, color),
    }
}

/// Recomputes everything; each fault is a line on standard error.
fn check(name: &str, json: bool) -> Result<(), CliError> {
    let registries = places::Registries::new(Vec::new());
    let found = places::find(name, &registries)?;
    let image = found
        .source
        .open(&found.name, None)?
        .ok_or_else(|| CliError::NoImage {
            name: name.to_owned(),
        })?;
    let validation = validate(&image, ValidateOptions::default());
    if !validation.findings.is_empty() {
        let mut stderr = std::io::stderr().lock();
        for finding in &validation.findings {
            // Where standard error is closed the exit status has to do.
            writeln!(stderr, "{}", escape(finding.to_string().as_bytes(), false)).ok();
        }
        return Err(CliError::Invalid {
            name: name.to_owned(),
            faults: validation.findings.len(),
        });
    }
    let digest = image.descriptor.digest.to_string();
    let mut stdout = std::io::stdout().lock();
    let text = if json {
        serde_json::json!({ "name": name, "digest": digest, "valid": true }).to_string()
    } else {
        format!("{name}@{digest} is valid")
    };
    writeln!(stdout, "{text}").map_err(|source| CliError::Output { source })
}
