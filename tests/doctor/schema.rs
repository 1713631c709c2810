//! Validates JSON against `templates/doctor.schema.json`. Supports only the keywords of JSON Schema that this schema
//! uses. Any other keyword is an error.

use serde_json::Value;

/// Panics with all violations of the schema.
#[track_caller]
pub(crate) fn assert_fits(value: &Value) {
    let schema = serde_json::from_str(include_str!("../../templates/doctor.schema.json")).unwrap();
    let problems = find_violations(&schema, value, "$");
    assert!(problems.is_empty(), "{}\n{value:#}", problems.join("\n"));
}

fn find_violations(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, wanted) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "title" | "description" => {}
            "const" if value == wanted => {}
            "enum" if wanted.as_array().unwrap().contains(value) => {}
            "type" if allowed_types(wanted).iter().any(|name| has_type(value, name)) => {}
            "minimum" if value.as_i64() >= wanted.as_i64() => {}
            "pattern" if matches(wanted.as_str().unwrap(), value.as_str().unwrap_or_default()) => {}
            "required" => {
                let missing =
                    wanted.as_array().unwrap().iter().filter(|key| value.get(key.as_str().unwrap()).is_none());
                found.extend(missing.map(|key| format!("{at}: no {key}")));
            }
            "properties" => {
                for (key, schema) in wanted.as_object().unwrap() {
                    let inner = value.get(key).map(|value| find_violations(schema, value, &format!("{at}.{key}")));
                    found.extend(inner.into_iter().flatten());
                }
                let known = wanted.as_object().unwrap();
                let keys = value.as_object().into_iter().flat_map(|object| object.keys());
                found.extend(keys.filter(|key| !known.contains_key(*key)).map(|key| format!("{at}: unknown {key}")));
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(find_violations(wanted, item, &format!("{at}[{index}]")));
                }
            }
            "anyOf" => {
                let all: Vec<_> =
                    wanted.as_array().unwrap().iter().map(|one| find_violations(one, value, at)).collect();
                if all.iter().all(|problems| !problems.is_empty()) {
                    found.extend(all.into_iter().flatten());
                }
            }
            _ => found.push(format!("{at}: {value} violates {keyword} {wanted}")),
        }
    }
    found
}

fn allowed_types(wanted: &Value) -> Vec<&str> {
    match wanted {
        Value::Array(names) => names.iter().map(|name| name.as_str().unwrap()).collect(),
        name => vec![name.as_str().unwrap()],
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        _ => false,
    }
}

/// Supports the patterns of this schema: ids, links and names of settings.
fn matches(pattern: &str, text: &str) -> bool {
    let kebab = |text: &str| {
        !text.is_empty()
            && text.split('-').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()))
    };
    match pattern {
        "^[a-z]+(-[a-z]+)*$" => kebab(text),
        "^goflame doctor --explain [a-z-]+$" => text.strip_prefix("goflame doctor --explain ").is_some_and(kebab),
        "^kernel\\.[a-z_]+$" => text.strip_prefix("kernel.").is_some_and(|name| kebab(&name.replace('_', "-"))),
        _ => false,
    }
}

#[test]
fn violations_of_the_schema_are_found() {
    let good = serde_json::json!({
        "schema": 2, "goflame": "0.1.0", "ready": true, "strict": false,
        "summary": { "ok": 1, "info": 0, "warning": 0, "failure": 0, "skipped": 0 },
        "findings": [{
            "id": "swap", "group": "steadiness", "title": "swap", "status": "ok", "found": "none", "needed": "none",
            "feature": "comparing runs", "why": "It costs.", "fix": null, "link": "goflame doctor --explain swap"
        }]
    });
    assert_fits(&good);
    let schema = serde_json::from_str(include_str!("../../templates/doctor.schema.json")).unwrap();
    let fix = serde_json::json!({ "kind": "magic", "now": "", "persist": null, "on_host": false, "settings": [] });
    for (pointer, wrong) in [
        ("/schema", serde_json::json!(1)),
        ("/ready", serde_json::json!("yes")),
        ("/summary/ok", serde_json::json!(-1)),
        ("/summary", serde_json::json!({})),
        ("/findings/0/id", serde_json::json!("Swap")),
        ("/findings/0/status", serde_json::json!("fine")),
        ("/findings/0/fix", fix),
        ("/findings/0", serde_json::json!({ "id": "swap" })),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        assert!(!find_violations(&schema, &bad, "$").is_empty(), "{pointer}");
    }
    let mut more = good;
    more["extra"] = true.into();
    assert_eq!(find_violations(&schema, &more, "$"), ["$: unknown extra"]);
}
