//! Whether a binary was really built with `-N -l`.
//!
//! `-gcflags='-N -l'` without `all=` reaches only the packages named on the command line. So the flags in the build
//! info are compared with the code. The code shows inlining (a function with inlined calls has an inline tree) but not
//! `-N`; the build info distinguishes `-N -l` from `-l` alone.

use std::fmt;

use super::buildinfo::BuildInfo;
use super::error::BuildInfoAbsence;
use super::function::Function;
use super::pclntab::Pclntab;

/// Counts of functions with inlined calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InliningEvidence {
    /// Number of Go functions, including the runtime and Go assembly, but not C code.
    pub functions: usize,
    /// Number of Go functions with inlined calls.
    pub functions_with_inline_tree: usize,
    /// Number of functions of package main.
    pub main_package_functions: usize,
    /// Number of functions of package main with inlined calls.
    pub main_package_functions_with_inline_tree: usize,
}

impl InliningEvidence {
    pub(super) fn count_functions(table: &Pclntab<'_>) -> Self {
        let mut counts = Self::default();
        for function in table.functions().filter(Function::is_go) {
            let inlined = usize::from(function.has_inline_tree());
            counts.functions = counts.functions.saturating_add(1);
            counts.functions_with_inline_tree = counts.functions_with_inline_tree.saturating_add(inlined);
            if function.name().is_some_and(|name| name.starts_with(b"main.")) {
                counts.main_package_functions = counts.main_package_functions.saturating_add(1);
                counts.main_package_functions_with_inline_tree =
                    counts.main_package_functions_with_inline_tree.saturating_add(inlined);
            }
        }
        counts
    }
}

impl fmt::Display for InliningEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} functions hold inlined calls", self.functions_with_inline_tree, self.functions)
    }
}

/// How the Go code was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Optimisation {
    /// `-N -l` is recorded for all packages, and no function has inlined calls.
    Debug,
    /// At least a part of the program is optimised.
    Optimised {
        /// The evidence, as text for the user.
        why: String,
    },
    /// The file does not show how the code was compiled.
    Unknown {
        /// The missing or contradictory evidence, as text for the user.
        why: String,
    },
}

impl Optimisation {
    pub(super) fn judge(evidence: Option<&InliningEvidence>, info: Result<&BuildInfo, &BuildInfoAbsence>) -> Self {
        let Some(evidence) = evidence else {
            return Self::Unknown { why: "there is no readable Go function table".to_owned() };
        };
        let recorded = info.ok().and_then(|info| info.setting("-gcflags"));
        let flags = recorded.map(CompilerFlags::parse).unwrap_or_default();
        if evidence.functions_with_inline_tree > 0 {
            let why = match recorded {
                Some(text) if flags.no_optimisation && flags.no_inlining && flags.all => {
                    format!("-gcflags={text} is recorded, but {evidence}")
                }
                Some(text) if flags.no_optimisation || flags.no_inlining => {
                    format!("-gcflags={text} did not reach every package: {evidence}")
                }
                _ => evidence.to_string(),
            };
            return Self::Optimised { why };
        }
        match (info, recorded) {
            (Err(absence), _) => Self::Unknown {
                why: format!("no function holds inlined calls, but this shows only -l, not -N: {absence}"),
            },
            (Ok(_), Some(text)) if flags.no_optimisation && flags.all => {
                // Without -l, the runtime always has functions with inlined calls.
                if flags.no_inlining {
                    Self::Debug
                } else {
                    Self::Unknown { why: format!("no function holds inlined calls, yet -gcflags={text} lacks -l") }
                }
            }
            (Ok(_), Some(text)) if flags.no_inlining && flags.all => {
                Self::Optimised { why: format!("-gcflags={text} turns off inlining, and no other optimisation") }
            }
            (Ok(_), Some(text)) => Self::Unknown {
                why: format!("no function holds inlined calls, and -gcflags={text} does not explain that"),
            },
            (Ok(_), None) => {
                Self::Unknown { why: "no function holds inlined calls, but build info records no -gcflags".to_owned() }
            }
        }
    }
}

impl fmt::Display for Optimisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debug => f.write_str("not optimised (-N -l in all packages)"),
            Self::Optimised { why } => write!(f, "optimised ({why})"),
            Self::Unknown { why } => write!(f, "unknown ({why})"),
        }
    }
}

/// A parsed `-gcflags` value: `[pattern=]flags`. Without a pattern, the flags apply to the packages on the command line.
/// Build info records only the last `-gcflags` of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct CompilerFlags {
    all: bool,
    no_optimisation: bool,
    no_inlining: bool,
}

impl CompilerFlags {
    fn parse(value: &str) -> Self {
        let value = value.trim();
        let (pattern, flags) = match value.split_once('=') {
            Some((pattern, flags)) if !value.starts_with('-') => (pattern, flags),
            _ => ("", value),
        };
        let has = |name: &str| {
            // Of several equal flags, the compiler uses the last. `-l=4` means more inlining.
            let last = flags.split_whitespace().rfind(|flag| flag.split('=').next() == Some(name));
            last.is_some_and(|flag| {
                let value = flag.split_once('=').map(|(_, value)| value);
                matches!(value, None | Some("1" | "true"))
            })
        };
        Self { all: pattern == "all", no_optimisation: has("-N"), no_inlining: has("-l") }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn judge_counts(functions_with_inline_tree: usize, gcflags: Option<&str>) -> Optimisation {
        let evidence = InliningEvidence { functions: 1000, functions_with_inline_tree, ..InliningEvidence::default() };
        let settings = gcflags.map(|value| ("-gcflags".to_owned(), value.to_owned())).into_iter().collect();
        Optimisation::judge(Some(&evidence), Ok(&BuildInfo { settings, ..BuildInfo::default() }))
    }

    fn optimised(why: &str) -> Optimisation {
        Optimisation::Optimised { why: why.to_owned() }
    }

    #[test]
    fn debug_needs_both_the_flags_and_code_without_inlined_calls() {
        assert_eq!(judge_counts(0, Some("all=-N -l")), Optimisation::Debug);
        assert_eq!(judge_counts(0, Some("all=-l -N -dwarf=true")), Optimisation::Debug);
        assert_eq!(
            judge_counts(3, Some("all=-N -l")),
            optimised("-gcflags=all=-N -l is recorded, but 3 of 1000 functions hold inlined calls")
        );
    }

    #[test]
    fn flags_without_all_do_not_reach_every_package() {
        assert_eq!(
            judge_counts(900, Some("-N -l")),
            optimised("-gcflags=-N -l did not reach every package: 900 of 1000 functions hold inlined calls")
        );
        assert_eq!(judge_counts(580, None), optimised("580 of 1000 functions hold inlined calls"));
        assert_eq!(judge_counts(580, Some("all=-d=x")), optimised("580 of 1000 functions hold inlined calls"));
    }

    #[test]
    fn code_without_inlining_alone_is_still_optimised() {
        assert_eq!(
            judge_counts(0, Some("all=-l")),
            optimised("-gcflags=all=-l turns off inlining, and no other optimisation")
        );
    }

    #[test]
    fn missing_or_contradictory_evidence_is_unknown() {
        for flags in [None, Some("-N -l"), Some("all=-N"), Some("all=-l=4"), Some("")] {
            assert!(matches!(judge_counts(0, flags), Optimisation::Unknown { .. }), "{flags:?}");
        }
        let nothing = Optimisation::judge(None, Err(&BuildInfoAbsence::NotFound));
        assert!(matches!(nothing, Optimisation::Unknown { .. }));
        let evidence = InliningEvidence { functions: 9, ..InliningEvidence::default() };
        let no_info = Optimisation::judge(Some(&evidence), Err(&BuildInfoAbsence::Damaged));
        assert!(no_info.to_string().contains("the build info is damaged"), "{no_info}");
    }
}
