//! The form of a package: an `ar` archive of a format number, `control.tar` and `data.tar`.
//!
//! <https://manpages.debian.org/deb.5>

/// Start of every `ar` archive.
const MAGIC: &[u8] = b"!<arch>\n";

/// Length of a member's header.
const HEADER_BYTES: usize = 60;

/// The parts of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deb<'a> {
    /// The compressed archive of what describes the package.
    pub control: &'a [u8],
    /// The compressed archive of what is installed.
    pub data: &'a [u8],
}

/// A file that is no package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no Debian package: {0}")]
pub struct DebError(&'static str);

impl<'a> Deb<'a> {
    /// Finds the parts of a package.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DebError> {
        let mut rest = bytes
            .strip_prefix(MAGIC)
            .ok_or(DebError("it does not start as one"))?;
        let mut members = Vec::new();
        while !rest.is_empty() {
            let (header, after) = rest
                .split_at_checked(HEADER_BYTES)
                .ok_or(DebError("it ends in a member's header"))?;
            let (name, size) = read_header(header)?;
            let (content, after) = after
                .split_at_checked(size)
                .ok_or(DebError("it ends in the middle of a member"))?;
            members.push((name, content));
            // Members start at even positions.
            rest = after.get(size % 2..).unwrap_or_default();
        }
        match members.as_slice() {
            [
                (b"debian-binary", format),
                (control_name, control),
                (data_name, data),
                ..,
            ] if format.starts_with(b"2.")
                && control_name.starts_with(b"control.tar")
                && data_name.starts_with(b"data.tar") =>
            {
                Ok(Self { control, data })
            }
            _ => Err(DebError("its members are not those of format 2")),
        }
    }
}

fn read_header(header: &[u8]) -> Result<(&[u8], usize), DebError> {
    let field = |from: usize, to: usize| header.get(from..to).unwrap_or_default().trim_ascii_end();
    if field(58, 60) != b"`" {
        return Err(DebError("a member's header is damaged"));
    }
    let name = field(0, 16);
    let size = std::str::from_utf8(field(48, 58))
        .ok()
        .and_then(|size| size.parse().ok())
        .ok_or(DebError("a member has no size"))?;
    Ok((name.strip_suffix(b"/").unwrap_or(name), size))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Puts a package together.
    pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            let header = format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                100_644,
                content.len()
            );
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(content);
            if content.len() % 2 == 1 {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    #[test]
    fn the_parts_are_found_wherever_padding_puts_them() {
        let bytes = archive(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.xz/", b"odd"),
            ("data.tar.zst", b"even"),
            ("_more", b"x"),
        ]);
        let deb = Deb::parse(&bytes).unwrap();
        assert_eq!((deb.control, deb.data), (&b"odd"[..], &b"even"[..]));
    }

    #[test]
    fn what_is_no_package_is_refused_with_a_reason() {
        let whole = archive(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", b"c"),
            ("data.tar", b"dd"),
        ]);
        let cases = [
            (b"PK".to_vec(), "does not start"),
            (whole[..whole.len() - 1].to_vec(), "middle of a member"),
            (whole[..80].to_vec(), "member's header"),
            (archive(&[("debian-binary", b"3.0\n")]), "format 2"),
            (archive(&[]), "format 2"),
            (
                archive(&[
                    ("debian-binary", b"2.0\n"),
                    ("data.tar", b""),
                    ("control.tar", b""),
                ]),
                "format 2",
            ),
        ];
        for (bytes, reason) in cases {
            let error = Deb::parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            at in 0_usize..220,
            value in any::<u8>(),
        ) {
            let _refused = Deb::parse(&[MAGIC, &bytes].concat());
            let mut damaged = archive(&[
                ("debian-binary", b"2.0\n"),
                ("control.tar", b"c"),
                ("data.tar", b"dd"),
            ]);
            if let Some(byte) = damaged.get_mut(at) {
                *byte = value;
            }
            let _maybe = Deb::parse(&damaged);
        }
    }
}
