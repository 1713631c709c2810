//! Parses image names. Checks only the parts that are needed to compare and pull images. Grammar: distribution/reference.

/// Image reference: `[registry/]repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// Registry and repository: `golang`, `ghcr.io/a/b`, `localhost:5000/x`.
    pub(super) repository: String,
    /// Tag. `latest` if neither a tag nor a digest is given. `None` if only a digest is given.
    pub(super) tag: Option<String>,
    /// Digest: `sha256:...`.
    pub(super) digest: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Self {
        let (name, digest) =
            text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest.to_owned())));
        // A colon before the last slash belongs to the port of the registry.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (name, None),
        };
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Self { repository: repository.to_owned(), tag, digest }
    }

    /// Whether an engine that displays `shown` may mean this repository. An engine leaves out its default registry and
    /// the default directory of that registry.
    pub(super) fn is_shown_as(&self, shown: &str) -> bool {
        let rest = self.repository.strip_suffix(shown);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_split_into_their_parts() {
        for (text, repository, tag, digest) in [
            ("golang", "golang", Some("latest"), None),
            ("golang:1.27.3-alpine", "golang", Some("1.27.3-alpine"), None),
            ("localhost:5000/a/b", "localhost:5000/a/b", Some("latest"), None),
            ("localhost:5000/a/b:2", "localhost:5000/a/b", Some("2"), None),
            ("golang@sha256:ab", "golang", None, Some("sha256:ab")),
            ("ghcr.io/a/b:1@sha256:ab", "ghcr.io/a/b", Some("1"), Some("sha256:ab")),
        ] {
            let expected =
                Reference { repository: repository.into(), tag: tag.map(Into::into), digest: digest.map(Into::into) };
            assert_eq!(Reference::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn the_default_registry_may_be_left_out() {
        let full = Reference::parse("registry.example/library/golang:1");
        for (shown, same) in
            [("golang", true), ("registry.example/library/golang", true), ("lang", false), ("go", false)]
        {
            assert_eq!(full.is_shown_as(shown), same, "{shown}");
        }
        assert!(!Reference::parse("golang").is_shown_as("me/golang"));
    }
}
