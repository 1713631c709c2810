//! Dockerfile with the steps of a build, for users who want an image.

use std::fmt::Write as _;

use serde_json::json;

use super::Error;
use crate::build::BuildPlan;
use crate::config::{Config, Kind};

const TEMPLATE: &str = include_str!("../../../templates/Dockerfile.build");

/// Returns the text of a Dockerfile that does the same build as `plan`, in `image`. The context of the build (the
/// argument of `docker build`) is the directory of go.mod.
///
/// `RUN` uses its JSON form, because an image may have any shell or none. Users pass secrets of the environment with
/// `--build-arg`.
pub fn dockerfile_text(config: &Config, plan: &BuildPlan, image: &str) -> Result<String, Error> {
    let name = plan.output.file_name().unwrap_or_default().to_string_lossy();
    let mut words = vec![plan.program.clone()];
    // The output path is on this machine. In the image, it is replaced by the path of the program there.
    let mut args = plan.argv.iter();
    while let Some(arg) = args.next() {
        words.push(arg.clone());
        if arg == "-o" {
            args.next();
            words.push(format!("/out/{name}"));
        }
    }
    let mut env = String::new();
    for (variable, value) in plan.env.iter().filter(|(variable, _)| variable != "GOTOOLCHAIN") {
        // Writing to a String cannot fail.
        let _ = if plan.secrets.mask_value(variable, value) == *value {
            writeln!(env, "ENV {variable}={}", quoted_value(variable, value)?)
        } else {
            writeln!(env, "# docker build --build-arg {variable}=...\nARG {variable}")
        };
    }
    let kind = match config.app.kind {
        Kind::Binary => "program",
        Kind::Bench => "benchmarks",
    };
    let values = [
        ("{{image}}", image),
        ("{{env}}", &env),
        ("{{build}}", &json!(words).to_string()),
        ("{{name}}", &name),
        ("{{variant}}", &plan.variant),
        ("{{kind}}", kind),
    ];
    Ok(values.iter().fold(TEMPLATE.to_owned(), |text, (key, value)| text.replace(key, value)))
}

/// Quotes a value for `ENV`. In double quotes, a backslash removes the special meaning of `\`, `"` and `$` (Dockerfile
/// reference, ENV).
fn quoted_value(variable: &str, value: &str) -> Result<String, Error> {
    if value.contains(['\n', '\r']) {
        return Err(Error::LineBreak { variable: variable.to_owned() });
    }
    let escaped = value.chars().fold(String::new(), |mut text, c| {
        if matches!(c, '\\' | '"' | '$') {
            text.push('\\');
        }
        text.push(c);
        text
    });
    Ok(format!("\"{escaped}\""))
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_dockerfiles_read_them() {
        for (value, expected) in
            [("", r#""""#), ("v3", r#""v3""#), ("it's \"x\" $HOME \\ \t é", "\"it's \\\"x\\\" \\$HOME \\\\ \t é\"")]
        {
            assert_eq!(quoted_value("X", value).unwrap(), expected);
        }
        assert!(matches!(quoted_value("X", "a\nb"), Err(Error::LineBreak { .. })));
    }
}
