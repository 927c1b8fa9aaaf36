//! Writes zip archives, wrong ones too.

use std::io::Write as _;

/// An entry, with what its two headers say.
#[derive(Clone)]
pub(crate) struct ZipEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) local_name: Vec<u8>,
    pub(crate) made_by: u16,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) external: u32,
    pub(crate) crc: u32,
    pub(crate) size: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) zip64: bool,
}

impl ZipEntry {
    pub(crate) fn new(name: &str, unix_mode: u32, content: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        Self {
            name: name.as_bytes().to_vec(),
            local_name: name.as_bytes().to_vec(),
            made_by: 3 << 8,
            flags: 0,
            method: 0,
            external: unix_mode << 16,
            crc: crc.sum(),
            size: u32::try_from(content.len()).unwrap(),
            data: content.to_vec(),
            zip64: false,
        }
    }

    pub(crate) fn deflated(mut self) -> Self {
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(&self.data).unwrap();
        self.data = encoder.finish().unwrap();
        self.method = 8;
        self
    }
}

pub(crate) fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut central = Vec::new();
    for entry in entries {
        let offset = u32::try_from(out.len()).unwrap();
        let compressed = u32::try_from(entry.data.len()).unwrap();
        let follows = entry.flags & 8 != 0;
        let local = |value: u32| if follows { 0 } else { value };
        let wide = entry.zip64;
        let short = |value: u32| if wide { u32::MAX } else { value };
        let mut extra = Vec::new();
        if wide {
            put(&mut extra, &[1, 16]);
            extra.extend_from_slice(&u64::from(entry.size).to_le_bytes());
            extra.extend_from_slice(&u64::from(compressed).to_le_bytes());
        }
        out.extend_from_slice(b"PK\x03\x04");
        put(&mut out, &[20, entry.flags, entry.method, 0, 0]);
        for value in [
            local(entry.crc),
            local(short(compressed)),
            local(short(entry.size)),
        ] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        put(&mut out, &[length(&entry.local_name), length(&extra)]);
        out.extend_from_slice(&entry.local_name);
        out.extend_from_slice(&extra);
        out.extend_from_slice(&entry.data);
        if follows {
            out.extend_from_slice(b"PK\x07\x08");
            for value in [entry.crc, compressed, entry.size] {
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        central.extend_from_slice(b"PK\x01\x02");
        put(
            &mut central,
            &[entry.made_by, 20, entry.flags, entry.method, 0, 0],
        );
        for value in [entry.crc, short(compressed), short(entry.size)] {
            central.extend_from_slice(&value.to_le_bytes());
        }
        put(
            &mut central,
            &[length(&entry.name), length(&extra), 0, 0, 0],
        );
        central.extend_from_slice(&entry.external.to_le_bytes());
        central.extend_from_slice(&offset.to_le_bytes());
        central.extend_from_slice(&entry.name);
        central.extend_from_slice(&extra);
    }
    let offset = u32::try_from(out.len()).unwrap();
    out.extend_from_slice(&central);
    if entries.iter().any(|entry| entry.zip64) {
        let end = out.len() as u64;
        out.extend_from_slice(b"PK\x06\x06");
        out.extend_from_slice(&44_u64.to_le_bytes());
        put(&mut out, &[45, 45, 0, 0, 0, 0]);
        for value in [
            entries.len() as u64,
            entries.len() as u64,
            central.len() as u64,
            u64::from(offset),
        ] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        out.extend_from_slice(&end.to_le_bytes());
        out.extend_from_slice(&1_u32.to_le_bytes());
    }
    out.extend_from_slice(b"PK\x05\x06");
    let count = u16::try_from(entries.len()).unwrap();
    put(&mut out, &[0, 0, count, count]);
    out.extend_from_slice(&u32::try_from(central.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    put(&mut out, &[0]);
    out
}

fn put(out: &mut Vec<u8>, values: &[u16]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap()
}
