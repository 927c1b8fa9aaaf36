//! From a request's head to a response. Everything here may wait for the disk, so it runs on a blocking thread.

use std::io::{Seek, SeekFrom};

use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, RANGE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode, Uri};

use crate::body::Body;
use crate::conditions::Validators;
use crate::encoding::Coding;
use crate::media_type::media_type;
use crate::range::{Requested, parse_range};
use crate::request_path::{PathRefusal, RequestPath};
use crate::site::{Found, OpenFile, Site};

/// Clients may keep what they got, and have to ask whether it is still the same. The tag makes that cheap.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// Answers a request.
pub(crate) fn respond(
    site: &Site,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response<Body> {
    let mut response = if method == Method::GET || method == Method::HEAD {
        match RequestPath::parse(uri.path()) {
            Ok(path) => respond_to_path(site, &path, uri, headers),
            Err(PathRefusal::Malformed) => plain(StatusCode::BAD_REQUEST),
            Err(PathRefusal::Hidden) => not_found(site),
        }
    } else {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    };
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if method == Method::HEAD {
        // The headers, with the length that GET would have, stay as they are.
        *response.body_mut() = Body::empty();
    }
    response
}

fn respond_to_path(
    site: &Site,
    path: &RequestPath,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response<Body> {
    match site.find(path) {
        Found::Nothing => not_found(site),
        Found::Directory => redirect_to_directory(path, uri),
        Found::File(file, name) => {
            let choice = Choice::new(site, file, &name, headers);
            respond_with_file(site, choice, headers)
                .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
        }
    }
}

/// A file, or the variant of it that the client prefers.
struct Choice {
    file: OpenFile,
    media_type: &'static str,
    coding: Option<Coding>,
    has_variants: bool,
}

impl Choice {
    fn new(site: &Site, file: OpenFile, name: &str, headers: &HeaderMap) -> Self {
        let mut variants: Vec<(Coding, OpenFile)> = Coding::ALL
            .into_iter()
            .filter_map(|coding| Some((coding, site.find_variant(name, coding)?)))
            .collect();
        let has_variants = !variants.is_empty();
        let accepted = Coding::accepted(headers);
        let best = accepted
            .iter()
            .find_map(|coding| variants.iter().position(|(stored, _)| stored == coding));
        let (coding, file) = match best.map(|index| variants.swap_remove(index)) {
            Some((coding, variant)) => (Some(coding), variant),
            None => (None, file),
        };
        Self {
            file,
            media_type: media_type(name),
            coding,
            has_variants,
        }
    }
}

fn respond_with_file(
    site: &Site,
    mut choice: Choice,
    headers: &HeaderMap,
) -> std::io::Result<Response<Body>> {
    let validators = site.validators(&mut choice.file)?;
    let mut response = Response::new(Body::empty());
    describe(&mut response, &choice, &validators);
    if let Some(status) = validators.evaluate(headers) {
        *response.status_mut() = status;
        response.headers_mut().remove(CONTENT_ENCODING);
        if status == StatusCode::PRECONDITION_FAILED {
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(0_u64));
        }
        return Ok(response);
    }
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(choice.media_type));
    response
        .headers_mut()
        .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let OpenFile { mut file, size, .. } = choice.file;
    let range = headers
        .get(RANGE)
        .filter(|_| validators.allow_range(headers));
    let requested = range
        .and_then(|range| range.to_str().ok())
        .map_or(Requested::Whole, |range| parse_range(range, size));
    let length = match requested {
        Requested::Whole => size,
        Requested::Part { start, length } => {
            file.seek(SeekFrom::Start(start))?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            insert(
                &mut response,
                CONTENT_RANGE,
                &format!("bytes {start}-{}/{size}", start + length - 1),
            );
            length
        }
        Requested::Unsatisfiable => {
            let mut refusal = plain(StatusCode::RANGE_NOT_SATISFIABLE);
            insert(&mut refusal, CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(refusal);
        }
    };
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    *response.body_mut() = Body::from_file(file, length);
    Ok(response)
}

/// Inserts the headers that a "not modified" has too.
fn describe(response: &mut Response<Body>, choice: &Choice, validators: &Validators) {
    insert(response, ETAG, &validators.etag);
    if let Some(time) = validators.last_modified {
        insert(response, LAST_MODIFIED, &httpdate::fmt_http_date(time));
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, REVALIDATE);
    if choice.has_variants {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if let Some(coding) = choice.coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    }
}

fn redirect_to_directory(path: &RequestPath, uri: &Uri) -> Response<Body> {
    let mut location = path.directory_location();
    if let Some(query) = uri.query() {
        location.push('?');
        location.push_str(query);
    }
    let mut response = plain(StatusCode::MOVED_PERMANENTLY);
    insert(&mut response, LOCATION, &location);
    // Without this, browsers keep such a redirect for good.
    response.headers_mut().insert(CACHE_CONTROL, REVALIDATE);
    response
}

fn not_found(site: &Site) -> Response<Body> {
    match site.not_found_page() {
        Some(page) => with_body(StatusCode::NOT_FOUND, "text/html; charset=utf-8", page),
        None => plain(StatusCode::NOT_FOUND),
    }
}

/// A response that says its status and nothing else.
pub(crate) fn plain(status: StatusCode) -> Response<Body> {
    let reason = status.canonical_reason().unwrap_or_default();
    with_body(
        status,
        "text/plain; charset=utf-8",
        format!("{} {reason}\n", status.as_u16()).into_bytes(),
    )
}

fn with_body(status: StatusCode, media_type: &'static str, content: Vec<u8>) -> Response<Body> {
    let length = content.len() as u64;
    let mut response = Response::new(Body::from_bytes(content));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, REVALIDATE);
    response
}

/// Inserts a header whose value is known to be printable; one that is not, which a query could only be through a
/// fault in the HTTP library, is left out.
fn insert(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
