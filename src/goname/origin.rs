//! Origin of a Go function (program, module, standard library, runtime), from its name and the program's build info.

use super::name;
use crate::profile::Origin;

/// Finds the origin of the Go functions of one binary.
#[derive(Debug, Clone, Default)]
pub struct OriginClassifier {
    /// Import paths of the modules whose code the user writes.
    user_modules: Vec<String>,
}

impl OriginClassifier {
    /// A classifier for a binary. `user_modules` are the import paths of the modules whose code the user writes: the main
    /// module, and other modules of its workspace.
    pub fn new<'m>(user_modules: impl IntoIterator<Item = &'m str>) -> Self {
        Self { user_modules: user_modules.into_iter().filter(|path| !path.is_empty()).map(str::to_owned).collect() }
    }

    /// The origin of the function with this linker name.
    pub fn origin_of(&self, linker_name: &str) -> Origin {
        // The linker writes the dots of an import path's last element as `%2e`.
        let package = &*name::package(linker_name).replace("%2e", ".");
        if is_within(package, "main") || self.user_modules.iter().any(|module| is_within(package, module)) {
            return Origin::Main;
        }
        if is_runtime(package, linker_name) {
            return Origin::Runtime;
        }
        // Import paths whose first element has no dot belong to the standard library (go help importpath). Packages
        // that are vendored into the standard library have the prefix `vendor/`.
        let first = package.split('/').next().unwrap_or(package);
        if first.contains('.') { Origin::Module } else { Origin::Std }
    }
}

fn is_within(package: &str, parent: &str) -> bool {
    package.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a function belongs to the runtime: a function of the runtime's packages, or a function of the runtime or the
/// compiler without a package (`gogo`, `memeqbody`, `type:.eq.T`, `go:…`).
fn is_runtime(package: &str, linker_name: &str) -> bool {
    is_within(package, "runtime")
        || is_within(package, "internal/runtime")
        || matches!(package, "internal/bytealg" | "internal/cpu" | "internal/abi" | "type:" | "go:" | "type" | "go")
        || package.is_empty()
        || !linker_name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::OriginClassifier;
    use crate::profile::Origin;

    #[test]
    fn functions_are_classified_by_their_names() {
        let origins = OriginClassifier::new(["example.com/shop"]);
        for (name, origin) in [
            ("main.main", Origin::Main),
            ("main.(*Server).Handle.func1", Origin::Main),
            ("example.com/shop/cart.Add", Origin::Main),
            ("example.com/shopping.Add", Origin::Module),
            ("example.com/shop%2ev2.Add", Origin::Module),
            ("github.com/x/y.Z", Origin::Module),
            ("encoding/json.Marshal", Origin::Std),
            ("slices.SortFunc[go.shape.int]", Origin::Std),
            ("vendor/golang.org/x/net/http2/hpack.Decode", Origin::Std),
            ("runtime.mallocgc", Origin::Runtime),
            ("runtime/internal/atomic.Cas", Origin::Runtime),
            ("internal/runtime/maps.(*Map).Get", Origin::Runtime),
            ("gogo", Origin::Runtime),
            ("type:.eq.main.T", Origin::Runtime),
        ] {
            assert_eq!(origins.origin_of(name), origin, "{name}");
        }
    }

    #[test]
    fn a_main_module_without_a_dot_is_not_the_standard_library() {
        let origins = OriginClassifier::new(["hotspots"]);
        assert_eq!(origins.origin_of("hotspots/work.Do"), Origin::Main);
        assert_eq!(origins.origin_of("sort.Sort"), Origin::Std);
    }
}
