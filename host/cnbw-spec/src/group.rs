//! `group.toml`: the buildpacks that detection chose.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#grouptoml-toml>

use crate::document::{Document, DocumentError, Reader};
use crate::id::BuildpackRef;
use crate::print::Fields;

/// The chosen buildpacks and extensions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Group {
    /// Buildpacks, in order.
    pub group: Vec<GroupElement>,
    /// Extensions, in order.
    pub group_extensions: Vec<GroupElement>,
}

/// One chosen buildpack or extension, as `group.toml`, `metadata.toml` and the labels show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupElement {
    /// Id and version.
    pub buildpack: BuildpackRef,
    /// Buildpack API as the descriptor spells it. Not yet checked: a group file may name any.
    pub api: Option<String>,
    /// Homepage.
    pub homepage: Option<String>,
    /// Whether it is an extension.
    pub extension: bool,
    /// Whether it was optional in its order. Kept where a file says so; never set by detection.
    pub optional: bool,
}

impl GroupElement {
    /// An element with an id and a version, and nothing else.
    pub fn new(buildpack: BuildpackRef) -> Self {
        Self {
            buildpack,
            api: None,
            homepage: None,
            extension: false,
            optional: false,
        }
    }
}

/// Parses `group.toml`.
pub fn parse_group(file: &str, bytes: &[u8]) -> Result<Group, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    let mut group = Group {
        group: root.each("group", read_group_element)?,
        group_extensions: root.each("group-extensions", read_group_element)?,
    };
    for element in &mut group.group_extensions {
        element.extension = true;
        element.optional = true;
    }
    Ok(group)
}

/// Prints `group.toml`. What is true of every extension is not written.
pub fn print_group(group: &Group) -> String {
    let mut fields = Fields::new();
    fields.each("group", &group.group, group_element_fields);
    fields.each("group-extensions", &group.group_extensions, |element| {
        group_element_fields(&GroupElement {
            extension: false,
            optional: false,
            ..element.clone()
        })
    });
    fields.print()
}

/// Reads id, version and what else a group element may have.
pub(crate) fn read_group_element(reader: &Reader<'_>) -> Result<GroupElement, DocumentError> {
    Ok(GroupElement {
        buildpack: reader.buildpack_ref()?,
        api: reader.filled("api")?,
        homepage: reader.filled("homepage")?,
        extension: reader.is("extension")?,
        optional: reader.is("optional")?,
    })
}

/// The keys of a group element, in the reference's order.
pub(crate) fn group_element_fields(element: &GroupElement) -> Fields {
    let mut fields = Fields::new();
    fields
        .text("id", element.buildpack.id.as_str())
        .text("version", element.buildpack.version.as_str())
        .filled("api", element.api.as_deref())
        .filled("homepage", element.homepage.as_deref())
        .set_flag("extension", element.extension)
        .set_flag("optional", element.optional);
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_group_is_printed_as_the_reference_prints_it() {
        let mut element = GroupElement::new(BuildpackRef::parse("acme/a", "1.0.0").unwrap());
        element.api = Some("0.12".to_owned());
        element.homepage = Some("https://a.example".to_owned());
        let mut extension = GroupElement::new(BuildpackRef::parse("e", "2").unwrap());
        extension.extension = true;
        extension.optional = true;
        let group = Group {
            group: vec![element],
            group_extensions: vec![extension],
        };
        let printed = print_group(&group);
        assert_eq!(
            printed,
            "[[group]]\n  id = \"acme/a\"\n  version = \"1.0.0\"\n  api = \"0.12\"\n  \
             homepage = \"https://a.example\"\n\n[[group-extensions]]\n  id = \"e\"\n  version = \"2\"\n"
        );
        assert_eq!(
            parse_group("group.toml", printed.as_bytes()).unwrap(),
            group
        );
    }

    #[test]
    fn an_empty_api_is_an_absent_one() {
        let group = parse_group("g", b"[[group]]\nid = \"a\"\napi = \"\"\nlater = 1").unwrap();
        assert_eq!(
            group.group,
            [GroupElement::new(BuildpackRef::parse("a", "").unwrap())]
        );
    }

    pub(crate) fn any_ref() -> impl Strategy<Value = BuildpackRef> {
        ("[a-z][a-z0-9./-]{0,12}", "[0-9.]{1,6}[a-z]?")
            .prop_filter_map("a name that may not be used", |(id, version)| {
                BuildpackRef::parse(&id, &version).ok()
            })
    }

    prop_compose! {
        fn any_element()(
            buildpack in any_ref(),
            api in proptest::option::of("[ -~]{1,8}"),
            homepage in proptest::option::of("\\PC{1,8}"),
            optional in any::<bool>(),
        ) -> GroupElement {
            GroupElement { buildpack, api, homepage, extension: false, optional }
        }
    }

    proptest! {
        #[test]
        fn a_printed_group_is_read_back(elements in proptest::collection::vec(any_element(), 0..4)) {
            let group = Group { group: elements, group_extensions: Vec::new() };
            let read = parse_group("g", print_group(&group).as_bytes()).unwrap();
            prop_assert_eq!(read, group);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _verdict = parse_group("g", text.as_bytes());
        }
    }
}
