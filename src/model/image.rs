//! The container image that a Function runs in place of a zip (contract §20).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::checked_text;

/// The name of a container image: `registry/repository:tag` or `registry/repository@sha256:…`, on AWS a URI of ECR.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    description = "A container image: on AWS the URI of an image in ECR, on one machine the name that a stand-in was given.",
    value_type = String, min_length = 1, max_length = 512,
    example = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/invoices:4f2c1ab"
)]
pub struct ImageReference(String);

/// The string is not a valid [`ImageReference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the name of an image, e.g. 123456789012.dkr.ecr.eu-west-1.amazonaws.com/invoices:4f2c1ab, or …/invoices@sha256:…"
)]
pub struct InvalidImageReference;

impl ImageReference {
    /// How many characters it may have.
    pub const LONGEST: usize = 512;

    /// Checks a name: steps of letters, digits and `._-` between slashes, perhaps with a tag, a digest, or both.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidImageReference> {
        let text = text.into();
        let (name, digest) = split_digest(&text);
        let (repository, tag) = split_tag(name);
        let mut steps = repository.split('/');
        let first = steps.next().unwrap_or_default();
        // Only a registry, which something follows, may have a port.
        let (first, port) = match first.split_once(':') {
            Some((host, port)) if repository.len() > host.len() + port.len() + 1 => (host, Some(port)),
            Some(_) => return Err(InvalidImageReference),
            None => (first, None),
        };
        let fits = text.len() <= Self::LONGEST
            && is_step(first)
            && steps.all(is_step)
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        if fits { Ok(Self(text)) } else { Err(InvalidImageReference) }
    }

    /// Without its tag and its digest.
    pub fn repository(&self) -> &str {
        split_tag(split_digest(&self.0).0).0
    }

    /// Its tag, e.g. `latest`.
    pub fn tag(&self) -> Option<&str> {
        split_tag(split_digest(&self.0).0).1
    }

    /// Its digest, e.g. `sha256:…`. Without one it may name another image tomorrow.
    pub fn digest(&self) -> Option<&str> {
        split_digest(&self.0).1
    }

    /// Whether it is in a private repository of ECR, the only place that Lambda takes images from.
    pub fn is_in_ecr(&self) -> bool {
        let registry = self.0.split('/').next().unwrap_or_default();
        let (account, host) = registry.split_once('.').unwrap_or_default();
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        is_account
            && (host.starts_with("dkr.ecr.") || host.starts_with("dkr-ecr.") || host.starts_with("dkr.ecr-fips."))
    }
}

checked_text!(ImageReference, InvalidImageReference);

fn split_digest(text: &str) -> (&str, Option<&str>) {
    text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)))
}

/// A colon before the last slash belongs to a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].split_once(':') {
        Some((step, tag)) => (&name[..last + step.len()], Some(tag)),
        None => (name, None),
    }
}

fn is_step(step: &str) -> bool {
    let is_one_of_few = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    step.bytes().next().is_some_and(|first| first != b'.') && step.bytes().all(is_one_of_few)
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= 128 && is_step(tag) && !tag.starts_with('-')
}

fn is_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    #[test]
    fn a_name_has_a_repository_and_perhaps_a_tag_and_a_digest() {
        let hash = format!("sha256:{}", "0a".repeat(32));
        let image = ImageReference::parse(format!("{ECR}/team/invoices:4f2c1ab")).unwrap();
        assert_eq!((image.repository(), image.tag()), (format!("{ECR}/team/invoices").as_str(), Some("4f2c1ab")));
        assert!(image.is_in_ecr() && image.digest().is_none());
        let image = ImageReference::parse(format!("{ECR}/invoices@{hash}")).unwrap();
        assert_eq!((image.tag(), image.digest()), (None, Some(hash.as_str())));
        let local = ImageReference::parse("localhost:5000/a_b/Invoices:v1").unwrap();
        assert_eq!((local.repository(), local.tag()), ("localhost:5000/a_b/Invoices", Some("v1")));
        assert!(!local.is_in_ecr());
        let short = ImageReference::parse("invoices").unwrap();
        assert_eq!((short.repository(), short.tag(), short.is_in_ecr()), ("invoices", None, false));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let wrong_hash = format!("a@sha256:{}", "0A".repeat(32));
        let long = "a".repeat(513);
        for wrong in [
            "",
            ".",
            "..",
            "/a",
            "a/",
            "a//b",
            "./a",
            "a/../b",
            "a b",
            "a:",
            "a:b:c",
            "a:-b",
            "a:b/",
            "a:0/b",
            "a@",
            "a@md5:0",
            "a@sha256:0",
            "é",
            "a\n",
            "http://a/b",
            &wrong_hash,
            &long,
        ] {
            assert_eq!(ImageReference::parse(wrong), Err(InvalidImageReference), "{wrong}");
        }
    }
}
