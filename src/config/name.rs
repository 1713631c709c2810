//! The names of enum settings in `goflame.toml` and in flags.
//!
//! Must not know to which key or flag a name belongs.

use super::model::{Engine, EventChoice, Format, Kernel, Kind};
use super::nearest::nearest;

/// An enum whose values have names.
pub(super) trait Named: Copy + 'static {
    /// Every value with its name, in the order shown to the user.
    const NAMES: &'static [(&'static str, Self)];
    /// Names that later versions will support.
    const LATER: &'static [&'static str] = &[];

    /// Returns the value with this name.
    fn named(name: &str) -> Result<Self, UnknownName> {
        match Self::NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => Ok(*value),
            None => Err(UnknownName {
                name: name.to_owned(),
                known: Self::NAMES.iter().map(|(known, _)| *known).collect(),
                later: Self::LATER.contains(&name),
            }),
        }
    }
}

/// A name that belongs to no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct UnknownName {
    name: String,
    known: Vec<&'static str>,
    later: bool,
}

impl UnknownName {
    /// Whether a later version will support the name.
    pub fn is_later(&self) -> bool {
        self.later
    }
}

impl std::fmt::Display for UnknownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.later {
            return write!(f, "`{}` is not yet available", self.name);
        }
        write!(f, "expected {}", one_of(&self.known))?;
        match nearest(&self.name, self.known.iter().copied()) {
            Some(known) => write!(f, "; did you mean `{known}`?"),
            None => Ok(()),
        }
    }
}

/// Joins names as `a`, `b` or `c`, each in backquotes.
pub(super) fn one_of<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Defines the names of an enum once, for reading and writing.
macro_rules! names {
    ($type:ident: $($name:literal => $value:ident),+ $(; later $($later:literal),+)?) => {
        impl Named for $type {
            const NAMES: &'static [(&'static str, Self)] = &[$(($name, Self::$value)),+];
            $(const LATER: &'static [&'static str] = &[$($later),+];)?
        }

        impl $type {
            /// The name in `goflame.toml` and in flags.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::named(name)
            }
        }
    };
}

names!(Kind: "binary" => Binary, "bench" => Bench);
names!(Engine: "native" => Native, "perf" => Perf);
names!(EventChoice: "auto" => Auto, "cycles" => Cycles, "cpu-clock" => CpuClock);
names!(Kernel: "auto" => Auto, "yes" => Yes, "no" => No);
names!(Format: "svg" => Svg, "pprof" => Pprof, "folded" => Folded, "json" => Json; later "html");
