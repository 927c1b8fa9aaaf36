//! `cnbw cache`: what builds left for the next ones.

use std::io::Write;
use std::process::ExitCode;

use cap_std::fs::Dir;
use cnbw_lifecycle::cache::{CacheEntry, list_caches, prune_caches, verify_cache};

use crate::args::{CacheCommand, OutputArgs};
use crate::build::fail;
use crate::error::CliError;
use crate::report::escape::escape;
use crate::{environment, places};

/// Runs one of the commands.
pub(crate) fn run(command: &CacheCommand, output: OutputArgs) -> ExitCode {
    let color = environment::wants_color(output.no_color);
    let Some(root) = places::layer_caches() else {
        // No build has cached anything, or there is no home: an empty list in both cases.
        return ExitCode::SUCCESS;
    };
    let result = match command {
        CacheCommand::Ls => list(&root, output.json),
        CacheCommand::Prune { max_size } => prune(&root, *max_size, output.json),
        CacheCommand::Verify => verify(&root),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, color),
    }
}

fn list(root: &Dir, json: bool) -> Result<(), CliError> {
    print(&list_caches(root)?, json)
}

fn prune(root: &Dir, max_size: u64, json: bool) -> Result<(), CliError> {
    print(&prune_caches(root, max_size)?, json)
}

/// Checks all caches; each fault is a line on standard error.
fn verify(root: &Dir) -> Result<(), CliError> {
    let mut faults = 0;
    let mut stderr = std::io::stderr().lock();
    for entry in list_caches(root)? {
        for fault in verify_cache(root, &entry.name)? {
            faults += 1;
            let line = format!("{}: {fault}", entry.name);
            // Where standard error is closed the exit status has to do.
            writeln!(stderr, "{}", escape(line.as_bytes(), false)).ok();
        }
    }
    match faults {
        0 => Ok(()),
        faults => Err(CliError::Invalid {
            name: "the cache".to_owned(),
            faults,
        }),
    }
}

fn print(entries: &[CacheEntry], json: bool) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    for entry in entries {
        let line = if json {
            serde_json::json!({
                "name": entry.name,
                "buildpacks": entry.buildpacks,
                "layers": entry.layers,
                "size": entry.size,
                "used": entry.used,
            })
            .to_string()
        } else {
            let buildpacks = entry.buildpacks.join(", ");
            let line = format!(
                "{}  {} bytes in {} layers  {buildpacks}",
                entry.name, entry.size, entry.layers
            );
            escape(line.as_bytes(), false)
        };
        writeln!(stdout, "{line}").map_err(|source| CliError::Output { source })?;
    }
    Ok(())
}
