//! How a process gets a mount namespace of its own.

use std::process::{Command, Stdio};

/// The `unshare` program with the arguments that work on this machine.
#[derive(Debug)]
pub(crate) struct Namespace {
    arguments: &'static [&'static str],
}

/// As root; and otherwise as root of a user namespace that has enough users for the phases' owners.
const WAYS: [&[&str]; 2] = [
    &["--mount", "--propagation", "private"],
    &[
        "--user",
        "--map-root-user",
        "--map-auto",
        "--mount",
        "--propagation",
        "private",
    ],
];

impl Namespace {
    /// Tries what works. The error says why nothing does.
    pub(crate) fn find() -> std::result::Result<Self, String> {
        let mut reasons = Vec::new();
        for arguments in WAYS {
            // The phases' user and group have to exist in the namespace.
            let trial = Command::new("unshare")
                .args(arguments)
                .args([
                    "--",
                    "setpriv",
                    "--reuid=1001",
                    "--regid=1000",
                    "--clear-groups",
                    "true",
                ])
                .stdin(Stdio::null())
                .output();
            match trial {
                Ok(output) if output.status.success() => return Ok(Self { arguments }),
                Ok(output) => {
                    reasons.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
                }
                Err(error) => return Err(format!("cannot start `unshare` of util-linux: {error}")),
            }
        }
        Err(format!(
            "the cases need a mount namespace with the users 0 and 1001, which takes root or subordinate user ids: {}",
            reasons.join("; ")
        ))
    }

    /// This program, to be started in a new namespace: the very file that runs, even if a build has replaced it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(self.arguments)
            .arg("--")
            .arg(format!("/proc/{}/exe", std::process::id()));
        command
    }
}
