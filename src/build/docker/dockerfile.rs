//! The same build as a Dockerfile, for people who want an image.

use std::fmt::Write as _;

use crate::build::BuildPlan;
use crate::config::{Config, Kind};
use crate::process::{quote, quote_command};

const TEMPLATE: &str = include_str!("../../../templates/Dockerfile.build");

/// The text of a Dockerfile that builds what `plan` does, in `image`. Its context is the directory of go.mod.
pub fn dockerfile(config: &Config, plan: &BuildPlan, image: &str) -> String {
    let name = plan.output.file_name().unwrap_or_default().to_string_lossy();
    let mut words = vec![plan.program.clone()];
    // The output path is one of this machine; in the image it is the program's place.
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
        let _ = writeln!(env, "ENV {variable}={}", quote(value.as_ref()));
    }
    let kind = match config.app.kind {
        Kind::Binary => "program",
        Kind::Bench => "benchmarks",
    };
    let values = [
        ("{{image}}", image),
        ("{{env}}", &env),
        ("{{build}}", &quote_command(&words)),
        ("{{name}}", &name),
        ("{{variant}}", &plan.variant),
        ("{{kind}}", kind),
    ];
    values.iter().fold(TEMPLATE.to_owned(), |text, (key, value)| text.replace(key, value))
}
