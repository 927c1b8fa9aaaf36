//! What a phase command writes to standard output, where platforms read it.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use cnbw_lifecycle::event::Event;
use cnbw_lifecycle::ports::Events;

use crate::report::escape::escape;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

impl Level {
    /// Parses the value of `-log-level`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" | "warning" => Some(Self::Warning),
            "error" | "fatal" => Some(Self::Error),
            _ => None,
        }
    }
}

/// Writes lines of one level and above.
#[derive(Debug)]
pub(crate) struct Logger {
    level: Level,
    color: bool,
    /// Keeps lines whole when several threads write.
    writing: Mutex<()>,
}

impl Logger {
    pub(crate) fn new(level: Level, color: bool) -> Self {
        Self {
            level,
            color,
            writing: Mutex::new(()),
        }
    }

    pub(crate) fn debug(&self, text: &str) {
        self.say(Level::Debug, "", text);
    }

    pub(crate) fn info(&self, text: &str) {
        self.say(Level::Info, "", text);
    }

    pub(crate) fn warning(&self, text: &str) {
        self.say(Level::Warning, &self.colored("33;1", "Warning: "), text);
    }

    pub(crate) fn error(&self, text: &str) {
        self.say(Level::Error, &self.colored("31;1", "ERROR: "), text);
    }

    /// The heading of a phase, as `creator` shows it: `===> DETECTING`.
    pub(crate) fn heading(&self, name: &str) {
        let heading = self.colored("36", &format!("===> {name}"));
        self.write(Level::Info, &format!("{heading}\n"));
    }

    /// A line that is written whatever the level is.
    pub(crate) fn line(&self, text: &str) {
        self.write(Level::Error, &format!("{text}\n"));
    }

    fn say(&self, level: Level, prefix: &str, text: &str) {
        let mut shown = String::from(prefix);
        for line in text.trim_end_matches('\n').split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            shown.push_str(&escape(line.as_bytes(), self.color));
            shown.push('\n');
        }
        self.write(level, &shown);
    }

    /// What a program wrote, live; line ends are its own.
    fn forward(&self, bytes: &[u8]) {
        let shown: Vec<String> = bytes
            .split(|byte| *byte == b'\n')
            .map(|line| escape(line.strip_suffix(b"\r").unwrap_or(line), self.color))
            .collect();
        self.write(Level::Error, &shown.join("\n"));
    }

    fn write(&self, level: Level, text: &str) {
        if level < self.level {
            return;
        }
        let _guard = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = io::stdout().lock();
        // Nobody listens any more: the phase's result does not depend on that.
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .ok();
    }

    fn colored(&self, code: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Events for Logger {
    fn emit(&self, event: Event<'_>) {
        match event {
            Event::Info(text) => self.info(text),
            Event::Warning(text) => self.warning(text),
            Event::Debug(text) => self.debug(text),
            Event::BuildpackOutput { bytes, .. } => self.forward(bytes),
            // Headings are the business of `creator`, which knows when it shows them.
            Event::PhaseStarted(_) | Event::PhaseFinished(_) | _ => {}
        }
    }
}
