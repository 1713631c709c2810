//! Secrets in arguments and texts. A value is secret because of its name or its form, and is replaced by a mask or a
//! digest. Must not know where a text comes from or goes to.
//!
//! A missed secret leaks, a false match hides an ordinary value. Names are therefore compared as whole words
//! (`--token` and `DB_PASSWORD`, not `--author` or `--keyboard`).

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use sha2::{Digest, Sha256};

use crate::bytes::hex;

/// Replacement of a secret.
pub const MASK: &str = "***";

/// Prefix of a digest that replaces a secret.
const DIGEST_PREFIX: &str = "sha256:";

/// Number of digest bytes: enough to detect a change, too few for a complete hash of the secret.
const DIGEST_BYTES: usize = 6;

/// Words that make a name secret.
const SECRET_WORDS: &[&str] = &[
    "auth",
    "authentication",
    "authorization",
    "bearer",
    "cookie",
    "cred",
    "creds",
    "credential",
    "credentials",
    "jwt",
    "oauth",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "secret",
    "secrets",
    "token",
    "tokens",
];

/// Endings that make a word secret: `PGPASSWORD`, `authtoken`, `apikey`.
const SECRET_ENDINGS: &[&str] = &[
    "accesskey",
    "apikey",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "token",
];

/// Words that make a name secret only at its end: `DB_PASS` and `MYSQL_PWD`, not `PASS_THROUGH`. `PWD` alone is the working
/// directory.
const SECRET_LAST_WORDS: &[&str] = &["pass", "pwd"];

/// Words that make a name secret if `key` follows: `API_KEY`, not `PRIMARY_KEY`.
const WORDS_BEFORE_KEY: &[&str] = &[
    "access",
    "account",
    "api",
    "client",
    "deploy",
    "encryption",
    "license",
    "master",
    "private",
    "secret",
    "signing",
];

/// Last words of names that describe a secret but do not contain it: `TOKEN_FILE`, `AUTH_MODE`, `TOKEN_TTL`.
const DESCRIBING_LAST_WORDS: &[&str] = &[
    "algorithm",
    "backend",
    "count",
    "dir",
    "directory",
    "domain",
    "duration",
    "enabled",
    "expiry",
    "file",
    "format",
    "host",
    "issuer",
    "jar",
    "length",
    "limit",
    "method",
    "mode",
    "name",
    "path",
    "policy",
    "port",
    "prompt",
    "provider",
    "realm",
    "scheme",
    "server",
    "size",
    "sock",
    "socket",
    "stdin",
    "timeout",
    "ttl",
    "type",
    "user",
    "username",
];

/// First words of names that describe a secret but do not contain it: `--max-tokens`, `--no-auth`.
const DESCRIBING_FIRST_WORDS: &[&str] = &["max", "min", "no", "num"];

/// Values that are never secret.
const PLAIN_VALUES: &[&str] = &["", "0", "1", "false", "no", "none", "null", "off", "on", "true", "yes", MASK];

/// Secrets that are recognised by their form: private keys, tokens with the prefixes that their issuers document, and JSON
/// Web Tokens.
static SECRET_BY_FORM: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(
        r"(?xs)
        -----BEGIN\ [A-Z0-9\ ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z0-9\ ]*PRIVATE\ KEY-----|\z)
        | \b(?: gh[pousr]_[A-Za-z0-9]{20,}
            | github_pat_[A-Za-z0-9_]{20,}
            | glpat-[A-Za-z0-9_-]{16,}
            | xox[abeprs]-[A-Za-z0-9-]{10,}
            | hooks\.slack\.com/services/[A-Za-z0-9/]+
            | (?:AKIA|ASIA)[0-9A-Z]{16}
            | AIza[A-Za-z0-9_-]{35}
            | sk-(?:ant-|proj-|svcacct-)[A-Za-z0-9_-]{16,}
            | sk-[A-Za-z0-9]{20,}
            | [sr]k_(?:live|test)_[A-Za-z0-9]{10,}
            | npm_[A-Za-z0-9]{36}
            | pypi-[A-Za-z0-9_-]{16,}
            | hf_[A-Za-z0-9]{30,}
            | dop_v1_[0-9a-f]{64}
            | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
            | eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*
        )",
    )
});

/// Secrets known by their context: `scheme://user:password@` (the password may contain an `@`), and `Bearer token`.
static SECRET_IN_CONTEXT: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(r#"([A-Za-z][A-Za-z0-9+.-]*://[^\s/@:'"]*:)([^\s/'"]+)(@)|\b(Bearer\s+)([A-Za-z0-9._~+/=-]{8,})()"#)
});

/// Name with its value: `NAME=value` in shell syntax, with or without quotes around the value or around both; or
/// `name = "value"` and `"name": "value"` of TOML and JSON.
static NAME_AND_VALUE: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(
        r#"(?x)
        ' (?<quoted>[A-Za-z0-9_.-]+) = (?<inside>(?:[^'] | '\\'')*) '
        | " (?<argument>[A-Za-z0-9_.-]+) = (?<rest>(?:[^"\\] | \\.)*) "
        | (?<name>[A-Za-z0-9_.-]+) = (?<value> (?: '[^']*' | "(?:[^"\\] | \\.)*" | \\' )+ | (?: [^\s'"&;|<>()\\] | \\. )+ )
        | (?<spaced>[A-Za-z0-9_.-]+) ["']? \s* [=:] \s* (?: "(?<double>(?:[^"\\] | \\.)*)" | '(?<single>[^']*)' )
        "#,
    )
});

/// HTTP header as an argument: `Authorization: Basic YWxhZGRpbg==`.
static HTTP_HEADER: LazyLock<Regex> = LazyLock::new(|| compile_pattern(r"(?s)^([A-Za-z0-9-]+)(:\s+)(.+)$"));

/// Compiles a constant pattern. Tests compile every pattern.
fn compile_pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
}

/// Decides which values are secrets and how they are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Additional secret names, each split into words.
    names: Vec<Vec<String>>,
    replacement: Replacement,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Replacement {
    /// Each secret becomes [`MASK`], unless it already is a digest.
    #[default]
    Mask,
    /// Each secret becomes a digest, so that two values can be compared.
    Digest,
    /// Each secret becomes a digest, unless it already is a digest.
    DigestOnce,
}

impl Secrets {
    /// Recognises the usual secrets, and also the values of the variables and flags with these names.
    pub fn new(names: &[String]) -> Self {
        Self { names: names.iter().map(|name| split_words(name)).collect(), replacement: Replacement::Mask }
    }

    /// Replaces each secret by `sha256:` and 12 hex digits, which are equal for equal values of one name. The digest has no
    /// key, so a secret that is easy to guess (a word, a PIN) can be confirmed by it.
    #[must_use]
    pub fn with_digests(&self) -> Self {
        Self { replacement: Replacement::Digest, ..self.clone() }
    }

    /// Replaces each secret by a digest, unless it already is a digest.
    #[must_use]
    pub fn with_digests_once(&self) -> Self {
        Self { replacement: Replacement::DigestOnce, ..self.clone() }
    }

    /// Whether a variable, flag or key of this name holds a secret.
    pub fn is_secret_name(&self, name: &str) -> bool {
        let words = split_words(name);
        let (Some(first), Some(last)) = (words.first(), words.last()) else { return false };
        let has = |list: &[&str], word: &String| list.contains(&word.as_str());
        if self.names.iter().any(|own| !own.is_empty() && words.windows(own.len()).any(|part| part == own)) {
            return true;
        }
        if has(DESCRIBING_LAST_WORDS, last) || has(DESCRIBING_FIRST_WORDS, first) {
            return false;
        }
        words.iter().any(|word| has(SECRET_WORDS, word) || SECRET_ENDINGS.iter().any(|end| word.ends_with(end)))
            || (has(SECRET_LAST_WORDS, last) && name != "PWD")
            || words.windows(2).any(|pair| {
                matches!(pair, [before, key] if has(WORDS_BEFORE_KEY, before) && matches!(key.as_str(), "key" | "keys"))
            })
    }

    /// Replaces the value if its name is secret. Otherwise masks as [`Secrets::mask_text`] does.
    pub fn mask_value(&self, name: &str, value: &str) -> String {
        if self.is_secret_name(name) { self.replacement_of(name, value) } else { self.mask_text(value) }
    }

    /// Masks the secrets of a command line: `--password=x`, `--password x`, `NAME=x`, `X-Api-Key: x`, and tokens of a known
    /// form.
    pub fn mask_args<S: AsRef<str>>(&self, args: &[S]) -> Vec<String> {
        let mut masked = Vec::with_capacity(args.len());
        let mut flag: Option<&str> = None;
        for arg in args.iter().map(AsRef::as_ref) {
            let before = flag.take();
            if let Some(name) = before.filter(|_| !arg.starts_with('-')) {
                masked.push(self.replacement_of(name, arg));
                continue;
            }
            flag = Some(arg).filter(|arg| arg.starts_with('-') && !arg.contains('=') && self.is_secret_name(arg));
            masked.push(self.mask_arg(arg));
        }
        masked
    }

    fn mask_arg(&self, arg: &str) -> String {
        if let Some((name, value)) = arg.split_once('=')
            && is_name(name)
            && self.is_secret_name(name)
        {
            return format!("{name}={}", self.replacement_of(name, value));
        }
        match HTTP_HEADER.captures(arg) {
            Some(parts) if self.is_secret_name(&parts[1]) => {
                format!("{}{}{}", &parts[1], &parts[2], self.replacement_of(&parts[1], &parts[3]))
            }
            _ => self.mask_text(arg),
        }
    }

    /// Masks the secrets of any text: values of secret names, and tokens of a known form.
    pub fn mask_text(&self, text: &str) -> String {
        let named = self.mask_named_values(text);
        let in_context = SECRET_IN_CONTEXT.replace_all(&named, |parts: &Captures<'_>| {
            let part = |at| parts.get(at).map_or("", |part| part.as_str());
            let (before, secret, after) = (part(1).to_owned() + part(4), part(2).to_owned() + part(5), part(3));
            // "Bearer authentication" has no token: tokens contain digits.
            let is_word = !part(4).is_empty() && !secret.contains(|c: char| c.is_ascii_digit());
            if is_word {
                format!("{before}{secret}")
            } else {
                format!("{before}{}{after}", self.replacement_of("", &secret))
            }
        });
        SECRET_BY_FORM.replace_all(&in_context, |parts: &Captures<'_>| self.replacement_of("", &parts[0])).into_owned()
    }

    fn mask_named_values(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let (mut copied, mut from) = (0, 0);
        while let Some(parts) = NAME_AND_VALUE.captures_at(text, from) {
            let first = |names: &[&str]| names.iter().find_map(|name| parts.name(name));
            let (Some(name), Some(value)) = (
                first(&["quoted", "argument", "spaced", "name"]),
                first(&["inside", "rest", "double", "single", "value"]),
            ) else {
                break;
            };
            if self.is_secret_name(name.as_str()) {
                let value = unquoted_range(text, value.range());
                masked.push_str(text.get(copied..value.start).unwrap_or_default());
                masked.push_str(&self.replacement_of(name.as_str(), text.get(value.clone()).unwrap_or_default()));
                (copied, from) = (value.end, value.end);
            } else {
                // The value may contain further names: `--env=PASSWORD=x`, `'-ldflags=-X main.token=x'`.
                from = value.start();
            }
        }
        masked.push_str(text.get(copied..).unwrap_or_default());
        masked
    }

    fn replacement_of(&self, name: &str, value: &str) -> String {
        if PLAIN_VALUES.iter().any(|plain| plain.eq_ignore_ascii_case(value)) {
            return value.to_owned();
        }
        match self.replacement {
            // A digest, such as in goflame.lock, is not secret.
            Replacement::Mask | Replacement::DigestOnce if is_digest(value) => value.to_owned(),
            Replacement::Mask => MASK.to_owned(),
            Replacement::Digest | Replacement::DigestOnce => digest_of_value(name, value),
        }
    }
}

/// Returns the range without the quotes around the value. The quotes stay, because a parser of the text may need them.
fn unquoted_range(text: &str, value: Range<usize>) -> Range<usize> {
    let raw = text.get(value.clone()).unwrap_or_default();
    let inside = ['"', '\''].iter().find_map(|quote| {
        let inside = raw.strip_prefix(*quote)?.strip_suffix(*quote)?;
        (!inside.contains(*quote)).then_some(value.start + 1..value.end - 1)
    });
    inside.unwrap_or(value)
}

/// Hashes name and value, so that equal secrets under two names have different digests.
fn digest_of_value(name: &str, value: &str) -> String {
    let digest = Sha256::digest(format!("{name}\0{value}"));
    format!("{DIGEST_PREFIX}{}", hex(digest.get(..DIGEST_BYTES).unwrap_or_default()))
}

fn is_digest(value: &str) -> bool {
    let digits = value.strip_prefix(DIGEST_PREFIX).unwrap_or_default();
    digits.len() == 2 * DIGEST_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text can be the name in `--flag=value` or `NAME=value`.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Splits a name into lower-case words without digits at their ends: `apiKey2`, `API_KEY` and `--api-key` are `api`, `key`.
fn split_words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let chars: Vec<char> = name.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| chars.get(before)).copied().unwrap_or('_');
        let lower_next = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
        // `apiKey` and `APIKey` both break before the `K`.
        if c.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && lower_next)) {
            words.push(String::new());
        }
        match words.last_mut() {
            Some(word) if c.is_alphanumeric() => word.extend(c.to_lowercase()),
            _ => words.push(String::new()),
        }
    }
    let trimmed = words.iter().map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned());
    trimmed.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests;
