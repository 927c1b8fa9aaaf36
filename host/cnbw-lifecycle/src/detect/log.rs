//! What happened while groups were tried, kept until it is known how it ended.

use crate::event::Event;
use crate::ports::Events;

/// Most text that is kept, in bytes. A failing build shows all of it, so it has to be readable.
const MAX_BYTES: usize = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Debug,
    Info,
}

/// Lines with their levels.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Vec<(Level, String)>,
    bytes: usize,
}

impl Log {
    pub(super) fn debug(&mut self, line: String) {
        self.add(Level::Debug, line);
    }

    pub(super) fn info(&mut self, line: String) {
        self.add(Level::Info, line);
    }

    fn add(&mut self, level: Level, line: String) {
        if self.bytes > MAX_BYTES {
            return;
        }
        self.bytes += line.len();
        self.lines.push((level, line));
        if self.bytes > MAX_BYTES {
            let notice = "(what follows was too much to keep)".to_owned();
            self.lines.push((Level::Info, notice));
        }
    }

    /// Tells everything. If detection failed, all of it is of interest.
    pub(super) fn tell(self, events: &dyn Events, failed: bool) {
        for (level, line) in &self.lines {
            events.emit(match level {
                Level::Debug if !failed => Event::Debug(line),
                Level::Debug | Level::Info => Event::Info(line),
            });
        }
    }
}
