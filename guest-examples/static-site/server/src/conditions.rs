//! Conditional requests (RFC 9110, section 13) over what is known about a file.

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// What identifies a version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validators {
    /// A strong entity tag, with its quotes.
    pub(crate) etag: String,
    /// When it was changed, in whole seconds; absent where the file does not say.
    pub(crate) last_modified: Option<SystemTime>,
}

/// The time that CNB images give to every file: 1980-01-01T00:00:01Z. It says nothing about the file.
const CNB_TIME: Duration = Duration::from_secs(315_532_801);

impl Validators {
    /// Puts together an entity tag and a file's time, unless that time is no real one.
    pub(crate) fn new(etag: String, modified: Option<SystemTime>) -> Self {
        let since_epoch =
            modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let real = since_epoch.filter(|time| *time > CNB_TIME);
        let last_modified =
            real.map(|time| SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()));
        Self {
            etag,
            last_modified,
        }
    }

    /// Evaluates the preconditions of a GET or HEAD in the order of RFC 9110, section 13.2.2; `None` means that they
    /// all hold.
    pub(crate) fn evaluate(&self, headers: &HeaderMap) -> Option<StatusCode> {
        if headers.contains_key(IF_MATCH) {
            if !self.matches_any(headers, IF_MATCH, Comparison::Strong) {
                return Some(StatusCode::PRECONDITION_FAILED);
            }
        } else if let (Some(date), Some(modified)) =
            (date(headers, IF_UNMODIFIED_SINCE), self.last_modified)
            && modified > date
        {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        if headers.contains_key(IF_NONE_MATCH) {
            return self
                .matches_any(headers, IF_NONE_MATCH, Comparison::Weak)
                .then_some(StatusCode::NOT_MODIFIED);
        }
        let (date, modified) = (date(headers, IF_MODIFIED_SINCE)?, self.last_modified?);
        (modified <= date).then_some(StatusCode::NOT_MODIFIED)
    }

    /// Tells whether a `Range` may be honored: there is no `If-Range`, or it names this version exactly.
    pub(crate) fn allow_range(&self, headers: &HeaderMap) -> bool {
        match headers
            .get(IF_RANGE)
            .map(|value| value.to_str().unwrap_or_default().trim())
        {
            None => true,
            Some(tag) if tag.starts_with('"') => tag == self.etag,
            Some(text) => {
                let date = httpdate::parse_http_date(text).ok();
                date.is_some() && date == self.last_modified
            }
        }
    }

    fn matches_any(&self, headers: &HeaderMap, name: HeaderName, comparison: Comparison) -> bool {
        let values = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| match (tag.strip_prefix("W/"), comparison) {
                _ if tag == "*" => true,
                (Some(opaque), Comparison::Weak) => opaque == self.etag,
                (Some(_), Comparison::Strong) => false,
                (None, _) => tag == self.etag,
            })
    }
}

/// How entity tags are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: &str = "Thu, 01 Jan 2015 00:00:00 GMT";
    const LATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

    fn file(modified: Option<&str>) -> Validators {
        let modified = modified.map(|date| httpdate::parse_http_date(date).unwrap());
        Validators::new("\"v1\"".to_owned(), modified)
    }

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn preconditions_have_the_order_of_the_standard() {
        const NOT_MODIFIED: Option<StatusCode> = Some(StatusCode::NOT_MODIFIED);
        const FAILED: Option<StatusCode> = Some(StatusCode::PRECONDITION_FAILED);
        type Case = (&'static [(HeaderName, &'static str)], Option<StatusCode>);
        let cases: &[Case] = &[
            (&[], None),
            (&[(IF_NONE_MATCH, "\"v1\"")], NOT_MODIFIED),
            (&[(IF_NONE_MATCH, "W/\"v1\"")], NOT_MODIFIED),
            (&[(IF_NONE_MATCH, "\"v0\" , \"v1\"")], NOT_MODIFIED),
            (&[(IF_NONE_MATCH, "*")], NOT_MODIFIED),
            (&[(IF_NONE_MATCH, "\"v0\"")], None),
            (
                &[(IF_NONE_MATCH, "\"v0\""), (IF_MODIFIED_SINCE, LATE)],
                None,
            ),
            (&[(IF_MODIFIED_SINCE, LATE)], NOT_MODIFIED),
            (&[(IF_MODIFIED_SINCE, EARLY)], None),
            (&[(IF_MODIFIED_SINCE, "yesterday")], None),
            (&[(IF_MATCH, "\"v1\"")], None),
            (&[(IF_MATCH, "*")], None),
            (&[(IF_MATCH, "W/\"v1\"")], FAILED),
            (&[(IF_MATCH, "\"v0\"")], FAILED),
            (&[(IF_MATCH, "\"v1\""), (IF_UNMODIFIED_SINCE, EARLY)], None),
            (&[(IF_UNMODIFIED_SINCE, EARLY)], FAILED),
            (&[(IF_UNMODIFIED_SINCE, LATE)], None),
            (
                &[(IF_MATCH, "\"v1\""), (IF_NONE_MATCH, "\"v1\"")],
                NOT_MODIFIED,
            ),
        ];
        let file = file(Some("Sat, 01 Jan 2022 00:00:00 GMT"));
        for (pairs, expected) in cases {
            assert_eq!(file.evaluate(&headers(pairs)), *expected, "{pairs:?}");
        }
    }

    #[test]
    fn the_time_of_cnb_images_is_not_believed() {
        for modified in [
            None,
            Some("Thu, 01 Jan 1970 00:00:00 GMT"),
            Some("Tue, 01 Jan 1980 00:00:01 GMT"),
        ] {
            let file = file(modified);
            assert_eq!(file.last_modified, None);
            assert_eq!(file.evaluate(&headers(&[(IF_MODIFIED_SINCE, LATE)])), None);
            assert_eq!(
                file.evaluate(&headers(&[(IF_UNMODIFIED_SINCE, EARLY)])),
                None
            );
        }
        assert!(
            file(Some("Tue, 01 Jan 1980 00:00:02 GMT"))
                .last_modified
                .is_some()
        );
    }

    #[test]
    fn a_range_is_for_exactly_the_version_that_the_client_has() {
        let file = file(Some(EARLY));
        for (value, allowed) in [
            ("\"v1\"", true),
            ("\"v0\"", false),
            ("W/\"v1\"", false),
            (EARLY, true),
            (LATE, false),
            ("x", false),
        ] {
            assert_eq!(
                file.allow_range(&headers(&[(IF_RANGE, value)])),
                allowed,
                "{value}"
            );
        }
        assert!(file.allow_range(&HeaderMap::new()));
        assert!(!self::file(None).allow_range(&headers(&[(IF_RANGE, "x")])));
    }
}
