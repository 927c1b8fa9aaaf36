//! The report for people: phase headings, buildpack output with its name in front, one closing line.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cnbw_lifecycle::event::{Event, Phase};
use cnbw_lifecycle::ports::{Events, Program};

use super::escape::escape;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Warnings and errors.
    Quiet,
    /// What happens.
    Normal,
    /// Everything.
    Verbose,
}

/// Writes to standard error.
#[derive(Debug)]
pub(crate) struct HumanReporter {
    level: Level,
    color: bool,
    terminal: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Output of each program that has not come to its line end yet.
    pending: HashMap<String, Vec<u8>>,
    /// What runs now, for the progress line.
    running: Option<(&'static str, Instant)>,
    /// Whether a progress line stands on the terminal.
    shown: bool,
    times: Vec<(Phase, Duration)>,
    closed: bool,
}

/// How long a phase may take before a progress line appears.
const PATIENCE: Duration = Duration::from_millis(400);

impl HumanReporter {
    pub(crate) fn new(level: Level, color: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let state = Arc::new(Mutex::new(State::default()));
        if terminal && level != Level::Quiet {
            let shared = Arc::clone(&state);
            std::thread::spawn(move || tick(&shared));
        }
        Self {
            level,
            color,
            terminal,
            state,
        }
    }

    fn line(state: &mut State, text: &str) {
        clear(state);
        // A closed standard error is no reason to end a build.
        writeln!(std::io::stderr(), "{text}").ok();
    }

    fn heading(&self, state: &mut State, phase: Phase) {
        state.running = Some((doing(phase), Instant::now()));
        let heading = format!("===> {}", doing(phase).to_uppercase());
        let text = if self.color {
            format!("\u{1b}[36m{heading}\u{1b}[0m")
        } else {
            heading
        };
        if self.level > Level::Quiet {
            Self::line(state, &text);
        }
    }

    fn output(&self, state: &mut State, name: &str, bytes: &[u8]) {
        let mut pending = state.pending.remove(name).unwrap_or_default();
        pending.extend_from_slice(bytes);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            self.prefixed(state, name, line.strip_suffix(b"\n").unwrap_or(&line));
        }
        if !pending.is_empty() {
            state.pending.insert(name.to_owned(), pending);
        }
    }

    fn prefixed(&self, state: &mut State, name: &str, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = format!(
            "[{}] {}",
            escape(name.as_bytes(), false),
            escape(line, self.color)
        );
        Self::line(state, &text);
    }

    fn flush(&self, state: &mut State) {
        let mut left: Vec<(String, Vec<u8>)> = state.pending.drain().collect();
        left.sort();
        for (name, bytes) in left {
            self.prefixed(state, &name, &bytes);
        }
    }

    /// Ends the report of a build that failed: what programs said last is shown, the progress line goes.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush(&mut state);
        clear(&mut state);
        state.closed = true;
    }

    /// The closing line of a build: time in all, and for each phase.
    pub(crate) fn finish(&self, total: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush(&mut state);
        if self.level > Level::Quiet {
            let parts: Vec<String> = state
                .times
                .iter()
                .map(|(phase, time)| format!("{} {}", noun(*phase), show(*time)))
                .collect();
            let text = format!("Built in {} ({})", show(total), parts.join(", "));
            Self::line(&mut state, &text);
        }
        clear(&mut state);
        state.closed = true;
    }
}

impl Events for HumanReporter {
    #[expect(clippy::wildcard_enum_match_arm, reason = "events are added over time")]
    fn emit(&self, event: Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::PhaseStarted(phase) => self.heading(&mut state, phase),
            Event::PhaseFinished(phase) => {
                self.flush(&mut state);
                if let Some((_, start)) = state.running.take() {
                    state.times.push((phase, start.elapsed()));
                }
            }
            Event::BuildpackOutput {
                buildpack,
                program,
                bytes,
                ..
            } => {
                let wanted = if program == Program::Build {
                    Level::Normal
                } else {
                    Level::Quiet
                };
                if self.level >= wanted {
                    self.output(&mut state, &buildpack.id.to_string(), bytes);
                }
            }
            Event::Info(text) if self.level >= Level::Normal => {
                Self::line(&mut state, &escape_lines(text));
            }
            Event::Debug(text) if self.level >= Level::Verbose => {
                Self::line(&mut state, &escape_lines(text));
            }
            Event::Warning(text) => {
                let text = if self.color {
                    format!("\u{1b}[33mwarning:\u{1b}[0m {}", escape_lines(text))
                } else {
                    format!("warning: {}", escape_lines(text))
                };
                Self::line(&mut state, &text);
            }
            // Levels that were not asked for, and events that later versions add.
            _ => {}
        }
        if self.terminal {
            std::io::stderr().flush().ok();
        }
    }
}

fn escape_lines(text: &str) -> String {
    text.lines()
        .map(|line| escape(line.as_bytes(), false))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Keeps the progress line up to date until the report is closed.
fn tick(state: &Mutex<State>) {
    loop {
        std::thread::sleep(Duration::from_millis(150));
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        if let Some((what, start)) = state.running
            && start.elapsed() > PATIENCE
        {
            write!(
                std::io::stderr(),
                "\r\u{1b}[K{what} … {} s",
                start.elapsed().as_secs()
            )
            .ok();
            std::io::stderr().flush().ok();
            state.shown = true;
        }
    }
}

fn clear(state: &mut State) {
    if std::mem::take(&mut state.shown) {
        write!(std::io::stderr(), "\r\u{1b}[K").ok();
    }
}

fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Analyze => "analyzing",
        Phase::Detect => "detecting",
        Phase::Restore => "restoring",
        Phase::Build => "building",
        Phase::Export => "exporting",
        Phase::Rebase => "rebasing",
    }
}

fn noun(phase: Phase) -> &'static str {
    match phase {
        Phase::Analyze => "analyze",
        Phase::Detect => "detect",
        Phase::Restore => "restore",
        Phase::Build => "build",
        Phase::Export => "export",
        Phase::Rebase => "rebase",
    }
}

fn show(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
