//! Referrers: what else a repository has about an image, such as signatures and attestations.

use cnbw_oci::descriptor::Descriptor;
use cnbw_oci::digest::Digest;
use cnbw_oci::document::{Document, print};
use cnbw_oci::image::StoreError;
use cnbw_oci::manifest::{Family, Index, MANIFEST_CAP};
use cnbw_oci::reference::Version;
use ureq::http::Method;

use crate::client::{Call, Client, Place, refusal};
use crate::error::{RegistryError, shown};
use crate::pull::{fetch_manifest, parse};
use crate::push::put_manifest;
use crate::source::parse_name;
use crate::token::{Scope, percent_encode};

/// How many pages of a list are read.
const PAGE_CAP: usize = 50;

impl Client {
    /// Lists what refers to a manifest of the repository that `name` is in, perhaps of one type only.
    ///
    /// Where the registry has no list, the tag that older ones keep instead is read.
    pub fn referrers(
        &self,
        name: &str,
        digest: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, StoreError> {
        self.find_referrers(name, digest, artifact_type)
            .map_err(|error| error.into_store("read", name))
    }

    /// Adds a manifest with a `subject` to the repository that `name` is in. Its blobs must be there.
    pub fn add_referrer(
        &self,
        name: &str,
        subject: Digest,
        entry: &Descriptor,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.put_referrer(name, subject, entry, bytes)
            .map_err(|error| error.into_store("write", name))
    }

    fn find_referrers(
        &self,
        name: &str,
        digest: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let reference = parse_name(name)?;
        let place = self.place_of(&reference)?;
        let scopes = [Scope::pull(&place.repository)];
        let mut path = place.path(&format!("referrers/{digest}"));
        if let Some(artifact_type) = artifact_type {
            path = format!("{path}?artifactType={}", percent_encode(artifact_type));
        }
        let mut found = Vec::new();
        for page in 0..PAGE_CAP {
            let answer = self.send(&place.host, &Call::new(Method::GET, path, &scopes))?;
            match answer.status {
                200 => {}
                404 if page == 0 => {
                    answer.discard();
                    found = self.tagged_referrers(&place, digest)?.manifests;
                    break;
                }
                _ => return Err(refusal(&place.host, answer)),
            }
            let next = answer.header("link").and_then(next_page).map(str::to_owned);
            let bytes = answer
                .into_bytes(MANIFEST_CAP)
                .map_err(|error| RegistryError::Unreachable {
                    host: place.host.registry.clone(),
                    reason: shown(&error.to_string(), &[]),
                })?
                .ok_or_else(|| rule(&place, "the list of referrers is too long"))?;
            match parse(&bytes, Family::Oci.index()) {
                Ok((_, Document::Index(index))) => found.extend(index.manifests),
                _ => return Err(rule(&place, "the list of referrers is no index")),
            }
            let Some(next) = next else { break };
            path = match place.host.origin.resolve(&next) {
                Some((origin, path)) if origin.same_place(&place.host.origin) => path,
                _ => {
                    return Err(rule(
                        &place,
                        "the list of referrers goes on at another host",
                    ));
                }
            };
        }
        if let Some(wanted) = artifact_type {
            // Registries may leave the choice to their clients.
            found.retain(|entry| {
                entry
                    .extra
                    .get("artifactType")
                    .and_then(|kind| kind.as_str())
                    == Some(wanted)
            });
        }
        Ok(found)
    }

    fn tagged_referrers(&self, place: &Place, digest: Digest) -> Result<Index, RegistryError> {
        let version = Version::Tag(fallback_tag(digest));
        match fetch_manifest(self, place, &version)? {
            Some(fetched) => match fetched.document {
                Document::Index(index) => Ok(index),
                Document::Manifest(_) => Err(rule(place, "the tag of the referrers is no index")),
            },
            None => Ok(Index::new(Family::Oci, Vec::new())),
        }
    }

    fn put_referrer(
        &self,
        name: &str,
        subject: Digest,
        entry: &Descriptor,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let reference = parse_name(name)?;
        let place = self.place_of(&reference)?;
        let stored = put_manifest(self, &place, &entry.digest.to_string(), entry, bytes)?;
        if stored.knows_subject {
            return Ok(());
        }
        let mut index = self.tagged_referrers(&place, subject)?;
        if index
            .manifests
            .iter()
            .any(|known| known.digest == entry.digest)
        {
            return Ok(());
        }
        index.manifests.push(entry.clone());
        let bytes = print(&index);
        let descriptor = Descriptor::of(Family::Oci.index(), &bytes);
        put_manifest(self, &place, &fallback_tag(subject), &descriptor, &bytes).map(drop)
    }
}

/// The tag under which clients keep the list where the registry does not.
fn fallback_tag(digest: Digest) -> String {
    format!("sha256-{}", digest.hex())
}

/// Takes the target out of `<URL>; rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then_some(target)
}

fn rule(place: &Place, rule: &str) -> RegistryError {
    RegistryError::Rule {
        host: place.host.registry.clone(),
        rule: rule.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::next_page;

    #[test]
    fn links_to_the_next_page_are_read() {
        assert_eq!(
            next_page(r#"</v2/x?last=a>; rel="next""#),
            Some("/v2/x?last=a")
        );
        assert_eq!(next_page(r#"</v2/x>; rel="prev""#), None);
        assert_eq!(next_page("nonsense"), None);
    }
}
