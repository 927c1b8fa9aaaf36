//! Keeps a guest's output within its limits, and says once what was dropped.

use cnbw_lifecycle::ports::{OutputSink, Stream};

/// Passes output on until a limit is reached.
#[derive(Debug)]
pub(super) struct OutputCap {
    total_limit: u64,
    line_limit: u64,
    total: u64,
    stdout: Line,
    stderr: Line,
    is_full: bool,
}

#[derive(Debug, Default)]
struct Line {
    length: u64,
    is_cut: bool,
}

impl OutputCap {
    pub(super) fn new(total_limit: u64, line_limit: u64) -> Self {
        Self {
            total_limit,
            line_limit,
            total: 0,
            stdout: Line::default(),
            stderr: Line::default(),
            is_full: false,
        }
    }

    /// Passes a chunk on, or as much of it as fits.
    pub(super) fn pass(&mut self, stream: Stream, bytes: &[u8], sink: &mut OutputSink<'_>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.is_full {
                return;
            }
            self.pass_piece(stream, piece, sink);
        }
    }

    /// Passes on a piece that has no line end but its last byte.
    fn pass_piece(&mut self, stream: Stream, piece: &[u8], sink: &mut OutputSink<'_>) {
        let line_limit = self.line_limit;
        let line = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let (text, end) = match piece.split_last() {
            Some((b'\n', text)) => (text, b"\n".as_slice()),
            _ => (piece, b"".as_slice()),
        };
        let kept = take(text, line_limit.saturating_sub(line.length));
        let cut_now = kept.len() < text.len() && !line.is_cut;
        line.length = line.length.saturating_add(length(text));
        line.is_cut |= cut_now;
        if !end.is_empty() {
            *line = Line::default();
        }
        self.send(stream, kept, sink);
        if cut_now {
            let notice = format!("… [line cut at {line_limit} bytes]");
            self.send(stream, notice.as_bytes(), sink);
        }
        self.send(stream, end, sink);
    }

    fn send(&mut self, stream: Stream, bytes: &[u8], sink: &mut OutputSink<'_>) {
        if self.is_full || bytes.is_empty() {
            return;
        }
        let kept = take(bytes, self.total_limit.saturating_sub(self.total));
        self.total = self.total.saturating_add(length(kept));
        if !kept.is_empty() {
            sink(stream, kept);
        }
        if kept.len() < bytes.len() {
            self.is_full = true;
            let notice = format!(
                "\n[output cut at {} bytes; the rest is dropped]\n",
                self.total_limit
            );
            sink(stream, notice.as_bytes());
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn take(bytes: &[u8], limit: u64) -> &[u8] {
    let end = usize::try_from(limit).map_or(bytes.len(), |limit| limit.min(bytes.len()));
    bytes.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(total: u64, line: u64, chunks: &[&str]) -> String {
        let mut cap = OutputCap::new(total, line);
        let mut shown = Vec::new();
        for chunk in chunks {
            cap.pass(Stream::Stdout, chunk.as_bytes(), &mut |_, bytes| {
                shown.extend_from_slice(bytes);
            });
        }
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn output_at_the_limits_passes_unchanged() {
        assert_eq!(pass(8, 3, &["abc\n", "def\n"]), "abc\ndef\n");
    }

    #[test]
    fn a_long_line_is_cut_once_and_the_next_is_whole() {
        let cut = "abc… [line cut at 3 bytes]\nxyz\n";
        assert_eq!(pass(1000, 3, &["abcdef\nxyz\n"]), cut);
        assert_eq!(pass(1000, 3, &["ab", "cd", "ef", "\nxy", "z\n"]), cut);
    }

    #[test]
    fn too_much_output_is_cut_once() {
        assert_eq!(
            pass(5, 100, &["abc\n", "def\n", "ghi\n"]),
            "abc\nd\n[output cut at 5 bytes; the rest is dropped]\n"
        );
    }

    #[test]
    fn streams_have_lines_of_their_own() {
        let mut cap = OutputCap::new(100, 3);
        let mut shown = Vec::new();
        for (stream, text) in [
            (Stream::Stdout, "ab"),
            (Stream::Stderr, "xy"),
            (Stream::Stdout, "c\n"),
        ] {
            cap.pass(stream, text.as_bytes(), &mut |stream, bytes| {
                shown.push((stream, bytes.to_vec()));
            });
        }
        assert_eq!(shown.len(), 4, "{shown:?}");
    }
}
