//! Credential helpers: programs named `docker-credential-NAME` that answer on their standard output.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::Credential;

/// The longest answer that is read: tokens of cloud vendors have a few KiB.
const ANSWER_CAP: u64 = 64 * 1024;
/// The user name by which a helper says that the secret is a refresh token.
const TOKEN_USER: &str = "<token>";

/// Why a credential helper gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The name is none that a program may have.
    #[error("a helper's name has letters, digits, `-`, `_` and `.` only")]
    Name,
    /// The program could not be run.
    #[error("cannot run `{program}`")]
    Run {
        /// The program.
        program: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The program ended with an error.
    #[error("`{program}` ended with {status}")]
    Failed {
        /// The program.
        program: String,
        /// The exit status in words.
        status: String,
    },
    /// The answer is not the JSON that it has to be.
    #[error("the answer is not the JSON object that a helper prints")]
    Answer,
}

/// Asks credential helpers. The front end decides how, and whether at all.
pub trait CredentialHelpers: Send + Sync + fmt::Debug {
    /// Asks the helper `docker-credential-<helper>` for the credential of a server.
    fn get(&self, helper: &str, server: &str) -> Result<Option<Credential>, HelperError>;
}

/// No helper is ever run: a configuration that names one has no credentials there.
impl CredentialHelpers for () {
    fn get(&self, _helper: &str, _server: &str) -> Result<Option<Credential>, HelperError> {
        Ok(None)
    }
}

/// Runs the helpers that are found along the caller's `PATH`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HelperPrograms;

impl CredentialHelpers for HelperPrograms {
    fn get(&self, helper: &str, server: &str) -> Result<Option<Credential>, HelperError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if helper.is_empty() || !helper.bytes().all(plain) {
            return Err(HelperError::Name);
        }
        let program = format!("docker-credential-{helper}");
        let (success, status, output) =
            run(&program, server).map_err(|source| HelperError::Run {
                program: program.clone(),
                source,
            })?;
        if success {
            return parse_helper_answer(&output);
        }
        // The protocol says "none" by this text and a failing status.
        if String::from_utf8_lossy(&output).contains("credentials not found") {
            return Ok(None);
        }
        Err(HelperError::Failed { program, status })
    }
}

fn run(program: &str, server: &str) -> std::io::Result<(bool, String, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input may still answer.
        drop(stdin.write_all(format!("{server}\n").as_bytes()));
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_CAP).read_to_end(&mut output)?;
    }
    let status = child.wait()?;
    Ok((status.success(), status.to_string(), output))
}

/// Reads what a helper prints for `get`.
pub fn parse_helper_answer(output: &[u8]) -> Result<Option<Credential>, HelperError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "Username", default)]
        username: String,
        #[serde(rename = "Secret", default)]
        secret: String,
    }
    let answer: Answer = serde_json::from_slice(output).map_err(|_| HelperError::Answer)?;
    if answer.username.is_empty() && answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(if answer.username == TOKEN_USER {
        Credential::Identity(answer.secret)
    } else {
        Credential::basic(&answer.username, &answer.secret)
    }))
}
