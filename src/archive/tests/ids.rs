//! Ids of runs.

use super::*;

#[test]
fn ids_have_one_form() {
    let id = RunId::new(start_time(0), "server");
    assert!(id.as_str().starts_with("20261123-065001-server-"), "{id}");
    assert_eq!(id.timestamp(), "20261123-065001");
    assert_eq!(id.as_str().len(), "20261123-065001-server-8f2c".len());
    for name in ["", "---", "../../etc", "a/b", "x.test", "日本", &"n".repeat(500), "a b\n", "latest", "-"] {
        let id = RunId::new(start_time(0), name);
        assert_eq!(id.as_str().parse::<RunId>().unwrap(), id, "{name:?}");
    }
    for early in [SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 40), SystemTime::UNIX_EPOCH] {
        assert_eq!(RunId::new(early, "x").timestamp(), "19700101-000000");
    }
}

/// An earlier version turned `Überprüfung` into `berpr-fung`.
#[test]
fn ids_keep_the_letters_of_every_script() {
    assert_eq!(RunId::new(start_time(0), "Überprüfung").name(), "Überprüfung");
    assert_eq!(RunId::new(start_time(0), "日本 1").name(), "日本-1");
    assert_eq!(RunId::new(start_time(0), &"ü".repeat(500)).name(), "ü".repeat(32));
}

#[test]
fn texts_that_are_not_ids_are_refused() {
    for text in [
        "",
        "latest",
        "20261123-065001-server",
        "20261123-065001--8f2c",
        "20261123-065001-server-8F2C",
        "20261123-065001-server-8f2",
        "20261323-065001-server-8f2c",
        "20260229-065001-server-8f2c",
        "20261123-256001-server-8f2c",
        "20261123-065001-../..-8f2c",
        "20261123-065001-a.b-8f2c",
        "20261123-065001-a\0b-8f2c",
        "20261123-065001-日本\u{202e}-8f2c",
        "日日日日日日日日日-065001-server-8f2c",
        "2026+123-065001-server-8f2c",
        "../20261123-065001-server-8f2c",
    ] {
        assert!(text.parse::<RunId>().is_err(), "{text:?}");
        assert!(serde_json::from_value::<RunId>(json!(text)).is_err(), "{text:?}");
    }
}
