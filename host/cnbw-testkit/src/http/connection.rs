//! One connection: reads requests, writes answers, keeps alive.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use super::server::Stop;
use super::{Body, BodyPlan, Handler, Piece, Request, Response};

/// Longest head: far more than a client of ours sends.
const HEAD_LIMIT: u64 = 256 * 1024;
/// Bodies are kept in memory; nothing that a test sends is larger.
const BODY_LIMIT: u64 = 8 << 30;

/// Serves a connection until one side closes it.
pub(super) fn serve<S: Read + Write>(stream: S, handler: &Arc<dyn Handler>, stop: &Stop) {
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    while let Ok(true) = exchange(&mut reader, handler, stop) {}
}

/// Handles one request. Returns whether the connection stays open.
fn exchange<S: Read + Write>(
    reader: &mut BufReader<S>,
    handler: &Arc<dyn Handler>,
    stop: &Stop,
) -> io::Result<bool> {
    let Some(mut request) = read_head(reader)? else {
        return Ok(false);
    };
    let plan = handler.plan(&request);
    if request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        && plan == BodyPlan::All
    {
        reader
            .get_mut()
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let whole = read_body(reader, &mut request, plan)?;
    let close = request
        .header("connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let head_only = request.method == "HEAD";
    let response = handler.answer(request);
    let open = write_response(reader.get_mut(), response, head_only, stop)?;
    Ok(open && whole && !close)
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = reader.take(HEAD_LIMIT);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::Error::other("no request line"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: parse_pairs(query),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the head has no end"));
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Ok(Some(request));
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        request
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// Reads the body as planned. Returns whether nothing of it is left unread.
fn read_body(reader: &mut impl BufRead, request: &mut Request, plan: BodyPlan) -> io::Result<bool> {
    let limit = match plan {
        BodyPlan::All => BODY_LIMIT,
        BodyPlan::First(limit) => limit as u64,
    };
    let chunked = request
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    if chunked {
        return read_chunks(reader, &mut request.body, limit);
    }
    let length: u64 = request
        .header("content-length")
        .map_or(Ok(0), str::parse)
        .map_err(io::Error::other)?;
    let wanted = length.min(limit);
    request
        .body
        .reserve(usize::try_from(wanted.min(64 << 20)).unwrap_or(0));
    let read = reader.take(wanted).read_to_end(&mut request.body)?;
    if (read as u64) < wanted {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(wanted == length)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>, limit: u64) -> io::Result<bool> {
    loop {
        let mut line = String::new();
        reader.take(1024).read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if body.len() as u64 + size > limit {
            return Ok(false);
        }
        let read = reader.take(size).read_to_end(body)?;
        if (read as u64) < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut end = String::new();
        reader.take(1024).read_line(&mut end)?;
        if size == 0 {
            return Ok(true);
        }
    }
}

/// Writes an answer. Returns whether the connection may stay open.
fn write_response(
    stream: &mut impl Write,
    response: Response,
    head_only: bool,
    stop: &Stop,
) -> io::Result<bool> {
    let mut head = Vec::with_capacity(512);
    let status = response.status;
    write!(head, "HTTP/1.1 {status} {}\r\n", reason(status))?;
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    // An answer to HEAD may state the length of a body that it does not carry.
    let declared = |name: &str| name.eq_ignore_ascii_case("content-length");
    let states_length = response.headers.iter().any(|(name, _)| declared(name));
    let closes = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close")
    };
    let stays_open = !response.headers.iter().any(closes);
    let mut write_bytes = |mut head: Vec<u8>, bytes: &[u8]| {
        if !states_length {
            write!(head, "Content-Length: {}\r\n", bytes.len())?;
        }
        write_bytes(stream, head, if head_only { &[] } else { bytes })?;
        Ok(stays_open)
    };
    match response.body {
        Body::Hangup => Ok(false),
        Body::Bytes(bytes) => write_bytes(head, &bytes),
        Body::Part(bytes, offset, length) => {
            write_bytes(head, bytes.get(offset..offset + length).unwrap_or_default())
        }
        Body::Script { declared, pieces } => {
            match declared {
                Some(length) => write!(head, "Content-Length: {length}\r\n\r\n")?,
                None => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            }
            stream.write_all(&head)?;
            if !head_only {
                write_pieces(stream, declared.is_none(), pieces, stop)?;
            }
            Ok(false)
        }
    }
}

fn write_bytes(stream: &mut impl Write, mut head: Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    head.extend_from_slice(b"\r\n");
    // One segment where possible: two small writes cost a delayed acknowledgement.
    let (first, rest) = bytes.split_at(bytes.len().min(64 * 1024));
    head.extend_from_slice(first);
    stream.write_all(&head)?;
    stream.write_all(rest)?;
    stream.flush()
}

fn write_pieces(
    stream: &mut impl Write,
    chunked: bool,
    pieces: Box<dyn Iterator<Item = Piece> + Send>,
    stop: &Stop,
) -> io::Result<()> {
    for piece in pieces {
        if stop.wait(piece.pause) {
            return Ok(());
        }
        if chunked && !piece.bytes.is_empty() {
            write!(stream, "{:x}\r\n", piece.bytes.len())?;
        }
        stream.write_all(&piece.bytes)?;
        if chunked && !piece.bytes.is_empty() {
            stream.write_all(b"\r\n")?;
        }
        stream.flush()?;
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n")?;
    }
    stream.flush()
}

/// Splits and decodes `a=b&c=d`.
pub(crate) fn parse_pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                out.push(u8::from_str_radix(&hex, 16).unwrap_or(b'?'));
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn reason(status: u16) -> &'static str {
    match status {
        200..=299 => "OK",
        300..=399 => "Elsewhere",
        400..=499 => "Refused",
        _ => "Error",
    }
}
