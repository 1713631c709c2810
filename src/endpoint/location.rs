//! URLs of profiles.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::profile_kind::ProfileKind;
use crate::redact::Secrets;

/// The path at which `net/http/pprof` registers its profiles.
const DEFAULT_PATH: &str = "/debug/pprof";

/// Seconds of a CPU profile and of a trace if the URL contains no seconds (`net/http/pprof`).
const DEFAULT_SECONDS: [(&str, f64); 2] = [("profile", 30.0), ("trace", 1.0)];

/// Maximum seconds of a profile. A URL with more seconds counts as this maximum.
const MAX_SECONDS: f64 = 86_400.0;

/// URL of a profile, or of the directory of all profiles of a program.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL without user and password.
    url: Url,
    /// Value of the header `Authorization`, from the user and the password in the URL.
    authorization: Option<String>,
}

/// Why a text is not a URL of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The text is not an HTTP URL.
    #[error("expected a URL that begins with http://")]
    NotHttp,
    /// The URL needs TLS.
    #[error("https is not supported: goflame speaks no TLS")]
    Tls,
    /// The text cannot be parsed as a URL.
    #[error("expected a URL, for example `http://127.0.0.1:6060/debug/pprof`: {0}")]
    Malformed(url::ParseError),
}

impl EndpointError {
    /// Advice for the user.
    pub fn hints(self) -> Vec<String> {
        match self {
            Self::Tls => vec!["let curl fetch it: `curl -sS 'URL' | goflame report -`".into()],
            Self::NotHttp | Self::Malformed(_) => Vec::new(),
        }
    }
}

impl Endpoint {
    /// Whether a text is meant as a URL, not as a file or a run.
    pub fn is_url(text: &str) -> bool {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    }

    /// Parses a URL. User and password become a header.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let mut url = Url::parse(text).map_err(EndpointError::Malformed)?;
        match url.scheme() {
            "http" => {}
            "https" => return Err(EndpointError::Tls),
            _ => return Err(EndpointError::NotHttp),
        }
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
            let user = [&decoded(url.username())[..], b":", &decoded(url.password().unwrap_or_default())].concat();
            format!("Basic {}", STANDARD.encode(user))
        });
        // These calls cannot fail, because an HTTP URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Ok(Self { url, authorization })
    }

    /// Whether the parsed URL contained a user or a password.
    pub fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    /// Returns the URL of a profile of this program. `seconds` is the time that the profile covers.
    #[must_use]
    pub fn profile_endpoint(&self, kind: ProfileKind, seconds: Option<u64>) -> Self {
        let mut url = self.url.clone();
        let dir = match self.url.path().trim_end_matches('/') {
            "" => DEFAULT_PATH,
            dir => dir,
        };
        url.set_path(&format!("{dir}/{}", kind.url_path()));
        if let Some(seconds) = seconds {
            url.query_pairs_mut().append_pair("seconds", &seconds.to_string());
        }
        Self { url, ..self.clone() }
    }

    /// Returns the URL of a profile. For the URL of a directory or a host, the profile is `kind`, by default the CPU
    /// profile as with `go tool pprof`. `None` if a `kind` is given but the URL already names a profile.
    pub fn report_endpoint(&self, kind: Option<ProfileKind>) -> Option<Self> {
        let path = self.url.path().trim_end_matches('/');
        if path.is_empty() || path.ends_with(DEFAULT_PATH) {
            return Some(self.profile_endpoint(kind.unwrap_or(ProfileKind::Cpu), None));
        }
        kind.is_none().then(|| self.clone())
    }

    /// Returns the time that the profile covers. The program answers after this time. Zero if the URL names no seconds
    /// and the profile has no default.
    pub fn profile_duration(&self) -> Duration {
        let asked = self.url.query_pairs().find(|(key, _)| key == "seconds").and_then(|(_, value)| value.parse().ok());
        let seconds = match asked {
            Some(asked) if asked > 0.0 => asked,
            _ => DEFAULT_SECONDS
                .iter()
                .find(|(name, _)| *name == self.last_path_part())
                .map_or(0.0, |(_, seconds)| *seconds),
        };
        Duration::from_secs_f64(seconds.clamp(0.0, MAX_SECONDS))
    }

    /// Whether the URL names an execution trace.
    pub fn is_trace(&self) -> bool {
        self.last_path_part() == ProfileKind::Trace.url_path()
    }

    pub(super) fn last_path_part(&self) -> &str {
        self.url.path().rsplit('/').next().unwrap_or_default()
    }

    /// Resolves a redirect. `Err` contains the URL if it is on another host.
    pub(super) fn resolve_redirect(&self, location: &str) -> Result<Self, String> {
        let url = self.url.join(location).map_err(|_| location.to_owned())?;
        if url.origin() != self.url.origin() || !url.origin().is_tuple() {
            return Err(Secrets::default().mask_text(url.as_str()));
        }
        Ok(Self { url, ..self.clone() })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Secrets::default().mask_text(self.url.as_str()))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}
