//! Why a phase command ends with another status than zero.

use std::error::Error;
use std::fmt;

/// What could not be done, why, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    action: String,
    causes: Vec<String>,
}

impl Failure {
    /// A failure to do something: `detect`, `read group`.
    pub(crate) fn new(code: u8, action: impl Into<String>) -> Self {
        Self {
            code,
            action: action.into(),
            causes: Vec::new(),
        }
    }

    /// The same failure with another exit status.
    #[must_use]
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Adds a cause in words.
    #[must_use]
    pub(crate) fn because(mut self, cause: String) -> Self {
        self.causes.push(cause);
        self
    }

    /// Adds an error with everything that caused it.
    #[must_use]
    pub(crate) fn because_of(mut self, error: impl Error) -> Self {
        self.causes.push(error.to_string());
        let mut next = error.source();
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Says in other words what could not be done.
    #[must_use]
    pub(crate) fn while_trying_to(mut self, action: &str) -> Self {
        action.clone_into(&mut self.action);
        self
    }

    /// The exit status.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "failed to {}", self.action)?;
        for cause in &self.causes {
            write!(formatter, ": {cause}")?;
        }
        Ok(())
    }
}
