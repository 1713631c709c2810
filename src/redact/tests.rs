use super::*;

/// Asserts that no part of the text is masked, neither as a text nor as arguments.
#[track_caller]
fn assert_unmasked(text: &str) {
    assert_eq!(Secrets::default().mask_text(text), text);
    let args: Vec<&str> = text.split(' ').collect();
    assert_eq!(Secrets::default().mask_args(&args), args);
}

#[test]
fn secret_names_are_known_as_whole_words() {
    let secrets = Secrets::default();
    for name in [
        "PASSWORD",
        "DB_PASSWORD",
        "PGPASSWORD",
        "MYSQL_PWD",
        "DB_PASS",
        "--password",
        "-passwd",
        "passphrase",
        "CLIENT_SECRET",
        "clientSecret",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "token2",
        "accessToken",
        "NPM_CONFIG__AUTHTOKEN",
        "API_KEY",
        "apiKey",
        "APIKey",
        "X-Api-Key",
        "apikey",
        "PRIVATE_KEY",
        "main.apiKey",
        "AUTH",
        "--auth",
        "Authorization",
        "SESSION_COOKIE",
        "GOOGLE_CREDENTIALS",
        "registry.credential",
    ] {
        assert!(secrets.is_secret_name(name), "{name}");
    }
    for name in [
        "",
        "-",
        "--author",
        "GIT_AUTHOR_NAME",
        "--authority",
        "--keyboard",
        "KEY",
        "PRIMARY_KEY",
        "MONKEY",
        "PWD",
        "OLDPWD",
        "--pass-through",
        "--bypass",
        "--compass",
        "SSH_AUTH_SOCK",
        "--auth-mode",
        "XAUTHORITY",
        "GOAUTH",
        "TOKENIZERS_PARALLELISM",
        "--tokenizer",
        "--max-tokens",
        "--no-auth",
        "TOKEN_TTL",
        "--token-file",
        "PASSWORD_FILE",
        "--password-stdin",
        "--secret-name",
        "SECRETARY",
        "GOPRIVATE",
        "GOFLAGS",
        "PATH",
    ] {
        assert!(!secrets.is_secret_name(name), "{name}");
    }
}

#[test]
fn additional_names_are_secret() {
    let secrets = Secrets::new(&["DB_DSN".to_owned(), "session-id".to_owned(), "TOKEN_FILE".to_owned()]);
    assert_eq!(
        secrets.mask_args(&["--db-dsn=x", "APP_DB_DSN=x", "DSN=x"]),
        ["--db-dsn=***", "APP_DB_DSN=***", "DSN=x"]
    );
    assert_eq!(secrets.mask_value("SESSION_ID", "x"), "***");
    assert_eq!(secrets.mask_value("TOKEN_FILE", "/x"), "***");
    // A name without letters matches no variable.
    assert_eq!(Secrets::new(&["--".to_owned()]).mask_value("DSN", "x"), "x");
}

#[test]
fn secrets_in_arguments_are_masked() {
    let args = |line: &str| Secrets::default().mask_args(&line.split(' ').collect::<Vec<_>>()).join(" ");
    for (line, masked) in [
        ("app --password=x --author=me", "app --password=*** --author=me"),
        ("app --token x y", "app --token *** y"),
        ("app -token --verbose x", "app -token --verbose x"),
        ("app --token", "app --token"),
        ("app --token=", "app --token="),
        ("app API_KEY=x", "app API_KEY=***"),
        ("run -- --api-key x", "run -- --api-key ***"),
        ("docker run --env=DB_PASSWORD=x,y img", "docker run --env=DB_PASSWORD=*** img"),
        ("curl http://h/p?a=b&token=x&c=d", "curl http://h/p?a=b&token=***&c=d"),
        ("git https://me:x@y@host/p", "git https://me:***@host/p"),
        ("git https://me@host/p", "git https://me@host/p"),
        ("serve --auth=true --use-auth=1", "serve --auth=true --use-auth=1"),
    ] {
        assert_eq!(args(line), masked);
    }
    let words = ["--password=a b 'c'", "Authorization: Basic abc", "-ldflags=-w=false -X main.token=x -X main.v=1"];
    let masked = ["--password=***", "Authorization: ***", "-ldflags=-w=false -X main.token=*** -X main.v=1"];
    assert_eq!(Secrets::default().mask_args(&words), masked);
}

#[test]
fn ordinary_values_are_unchanged() {
    for text in [
        "--author=me --keyboard=us --token-file=/x --max-tokens=100 --key=5",
        "cd '/my dir' && GOFLAGS='-tags=a,b' go build -trimpath '-gcflags=all=-N -l' -o /o .",
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "golang@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "https://proxy.example.com:8080/path?x=1 ssh://git@host:22/x",
        "Bearer authentication is not supported",
        "the token is missing: auth failed",
        "task-force disk-usage xoxo AKIA eyJhbGci.x sk-learn /ask-me-anything-about-everything",
        "main.authorize main.(*Token).Parse example.com/secret/pkg.F[go.shape.struct { a int }]",
        "ключ=значение größe=5 パスワード",
    ] {
        assert_unmasked(text);
    }
}

#[test]
fn well_known_forms_are_masked() {
    let letters = "0123456789abcdefghijABCDEFGHIJ0123456789";
    for secret in [
        format!("ghp_{letters}"),
        format!("github_pat_{letters}"),
        format!("glpat-{letters}"),
        "xoxb-1234567890-abc".to_owned(),
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        format!("AIza{}", &letters[..35]),
        format!("sk-{letters}"),
        format!("sk-ant-api03-{letters}"),
        format!("sk_live_{letters}"),
        format!("npm_{}", &letters[..36]),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned(),
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----".to_owned(),
        "-----BEGIN PRIVATE KEY-----\nMIIE cut".to_owned(),
    ] {
        let secrets = Secrets::default();
        assert_eq!(secrets.mask_text(&secret), MASK, "{secret}");
        assert_eq!(secrets.mask_value("X", &format!("a {secret}")), format!("a {MASK}"));
    }
    assert_eq!(Secrets::default().mask_text("Bearer abc123def0"), "Bearer ***");
}

#[test]
fn secrets_in_shell_lines_and_files_are_masked() {
    for (text, masked) in [
        ("A=1 TOKEN='it'\\''s mine' go env", "A=1 TOKEN=*** go env"),
        ("a TOKEN='x' b TOKEN=\"y\"", "a TOKEN='***' b TOKEN=\"***\""),
        ("'--password=it is' x", "'--password=***' x"),
        ("TOKEN=\"a \\\" b\";x", "TOKEN=***;x"),
        (
            "env = { TOKEN = \"a b\", B = 'c' } # PASSWORD = \"x\"",
            "env = { TOKEN = \"***\", B = 'c' } # PASSWORD = \"***\"",
        ),
        ("{\"token\": \"x\", \"a\": \"y\"}", "{\"token\": \"***\", \"a\": \"y\"}"),
        ("[\"--password=a b\", \"-X main.token=x\", \"y\"]", "[\"--password=***\", \"-X main.token=***\", \"y\"]"),
        ("TOKEN=a\\ b c", "TOKEN=*** c"),
        ("GOPROXY=https://a:b@c,https://d:e@f", "GOPROXY=https://a:***@c,https://d:***@f"),
        ("größe TOKEN=ü€ 日本", "größe TOKEN=*** 日本"),
    ] {
        assert_eq!(Secrets::default().mask_text(text), masked);
        assert_eq!(Secrets::default().mask_text(masked), masked, "twice is as once");
    }
}

#[test]
fn digests_are_equal_for_equal_values_only() {
    let secrets = Secrets::default().with_digests();
    let one = secrets.mask_value("TOKEN", "one");
    assert!(
        is_digest(&one) && one != secrets.mask_value("TOKEN", "two") && one != secrets.mask_value("API_TOKEN", "one"),
        "{one}"
    );
    assert_eq!(one, secrets.mask_value("TOKEN", "one"));
    // A value that looks like a digest is hashed again, except in a lock file.
    assert_ne!(secrets.mask_value("TOKEN", &one), one);
    assert_eq!(Secrets::default().with_digests_once().mask_value("TOKEN", &one), one);
    assert_eq!(Secrets::default().mask_value("TOKEN", &one), one);
    assert_eq!(Secrets::default().with_digests_once().mask_value("TOKEN", "one"), one);
    let url = secrets.mask_value("GOPROXY", "https://me:x@host");
    assert_eq!(Secrets::default().with_digests_once().mask_value("GOPROXY", &url), url);
}

#[test]
fn no_text_panics() {
    use proptest::prelude::*;
    proptest!(|(text in ".{0,60}", name in "[A-Z_a-z-]{0,12}")| {
        let secrets = Secrets::default();
        let once = secrets.mask_text(&text);
        prop_assert_eq!(secrets.mask_text(&once), once);
        let _ = secrets.mask_value(&name, &text);
        let _ = secrets.mask_args(&[text]);
    });
}
