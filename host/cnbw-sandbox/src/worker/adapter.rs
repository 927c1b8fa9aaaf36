//! Makes one kind of program out of two: core modules for preview1 become components.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wasmparser::{Parser, Payload, TypeRef};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// The interface of the host verbs, as components import it.
const FILES_INTERFACE: &str = "cnbw:buildpack/files@0.1.0";

const FILES_WIT: &str = include_str!("../../../../wit/files.wit");

/// Custom sections with this prefix say which interfaces a core module means.
const TYPE_SECTION: &str = "component-type";

/// Gives a component back as it is, and adapts a core module.
pub(super) fn adapt(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if Parser::is_component(&bytes) {
        return Ok(bytes);
    }
    let module = describe_verbs(bytes)?;
    let adapter = exact_adapter()?;
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, &adapter))
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))
}

/// Adds the type of the host verbs to a module that imports them and does not say what they are, as no
/// preview1 toolchain does by itself.
fn describe_verbs(mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if needs_description(&bytes).map_err(|error| error.to_string())? {
        let mut resolve = Resolve::default();
        let world = resolve
            .push_str("files.wit", FILES_WIT)
            .map_err(|error| format!("{error:#}"))
            .and_then(|package| {
                resolve
                    .select_world(&[package], Some("verbs"))
                    .map_err(|error| format!("{error:#}"))
            })?;
        wit_component::embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8)
            .map_err(|error| format!("{error:#}"))?;
    }
    Ok(bytes)
}

/// Whether a module imports the verbs without a section that types its imports.
fn needs_description(bytes: &[u8]) -> wasmparser::Result<bool> {
    let mut imports_files = false;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let Payload::ImportSection(imports) = payload {
            for import in imports.into_imports() {
                let import = import?;
                imports_files |=
                    import.module == FILES_INTERFACE && matches!(import.ty, TypeRef::Func(_));
            }
        } else if let Payload::CustomSection(section) = payload
            && section.name().starts_with(TYPE_SECTION)
        {
            return Ok(false);
        }
    }
    Ok(imports_files)
}

/// The engine's preview1 adapter, changed so that exit statuses arrive as they are.
///
/// As shipped it says success or failure only. `exit-with-code` has the same core type as `exit`, so that
/// the import can be renamed, and the comparison that folds the status is left out. The version of the
/// adapter is pinned: another one is refused here, and a test would tell.
fn exact_adapter() -> Result<Vec<u8>, String> {
    const IMPORT: &[u8] = b"\x14wasi:cli/exit@0.2.12\x04exit";
    const EXACT_IMPORT: &[u8] = b"\x14wasi:cli/exit@0.2.12\x0eexit-with-code";
    // local.get 0; i32.const 0; i32.ne; call
    const FOLD: &[u8] = &[0x20, 0x00, 0x41, 0x00, 0x47, 0x10];
    // local.get 0; nop; nop; nop; call
    const KEEP: &[u8] = &[0x20, 0x00, 0x01, 0x01, 0x01, 0x10];
    const IMPORT_SECTION: u8 = 2;
    const CODE_SECTION: u8 = 10;

    let adapter = WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER;
    let mut changed = Vec::with_capacity(adapter.len() + 16);
    changed.extend_from_slice(b"\0asm\x01\0\0\0");
    for payload in Parser::new(0).parse_all(adapter) {
        let payload = payload.map_err(|error| format!("the preview1 adapter: {error}"))?;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        let body = adapter.get(range).unwrap_or_default();
        let body = match id {
            IMPORT_SECTION => replace_once(body, IMPORT, EXACT_IMPORT)?,
            CODE_SECTION => replace_once(body, FOLD, KEEP)?,
            _ => body.to_vec(),
        };
        changed.push(id);
        push_length(&mut changed, body.len());
        changed.extend_from_slice(&body);
    }
    Ok(changed)
}

fn replace_once(bytes: &[u8], from: &[u8], to: &[u8]) -> Result<Vec<u8>, String> {
    let mut places = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from);
    let (Some((start, _)), None) = (places.next(), places.next()) else {
        return Err("the preview1 adapter is not the one that this program knows".to_owned());
    };
    let (before, rest) = bytes.split_at(start);
    let after = rest.get(from.len()..).unwrap_or_default();
    Ok([before, to, after].concat())
}

/// Writes a length in WebAssembly's variable-length form.
fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        if length == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_adapter_is_the_one_that_can_be_changed() {
        let adapter = exact_adapter().unwrap();
        assert_eq!(
            adapter.len(),
            WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER.len() + 10
        );
    }

    #[test]
    fn an_adapter_without_exactly_one_place_is_refused() {
        assert!(replace_once(b"abab", b"ab", b"x").is_err());
        assert!(replace_once(b"abc", b"d", b"x").is_err());
        assert_eq!(replace_once(b"abc", b"b", b"xy").unwrap(), b"axyc");
    }

    #[test]
    fn lengths_have_the_variable_form() {
        for (length, form) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0x80, 1]),
            (3520, vec![0xc0, 0x1b]),
        ] {
            let mut bytes = Vec::new();
            push_length(&mut bytes, length);
            assert_eq!(bytes, form);
        }
    }

    #[test]
    fn a_module_with_and_without_verbs_becomes_a_component() {
        let plain =
            wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#);
        let verbs = wat::parse_str(format!(
            r#"(module
                (import "{FILES_INTERFACE}" "set-mode" (func (param i32 i32 i32 i32)))
                (import "{FILES_INTERFACE}" "get-mode" (func (param i32 i32 i32)))
                (import "{FILES_INTERFACE}" "symlink" (func (param i32 i32 i32 i32 i32)))
                (memory (export "memory") 1) (func (export "_start")))"#
        ));
        for module in [plain.unwrap(), verbs.unwrap()] {
            assert!(Parser::is_component(&adapt(module).unwrap()));
        }
    }

    #[test]
    fn an_import_that_nobody_offers_is_named() {
        let module = wat::parse_str(
            r#"(module (import "env" "mystery" (func)) (memory (export "memory") 1) (func (export "_start")))"#,
        );
        let reason = adapt(module.unwrap()).unwrap_err();
        assert!(reason.contains("env"), "{reason}");
    }
}
