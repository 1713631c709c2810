//! Parsers for the small text formats of `/proc` and `/sys`.

use serde::{Deserialize, Serialize};

use super::reading::Reading;

/// Upper bound of a CPU number, far above the kernel's maximum (`NR_CPUS` is 8192 on x86-64).
const MAX_CPU: u32 = 65_535;

/// A soft resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// The limit, in the unit of the resource.
    AtMost(u64),
}

/// CPU time of all CPUs since the machine was started, in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTimes {
    /// Total time.
    pub total: u64,
    /// Time that the hypervisor gave to other machines while a CPU of this machine was ready to run.
    pub steal: u64,
}

/// Parses a CPU list, for example `0-3,8,10-11` (Documentation/admin-guide/cputopology.rst). `None` if a number is invalid
/// or the numbers are not in ascending order.
pub(super) fn parse_cpu_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > MAX_CPU || cpus.last().is_some_and(|&before| before >= first) {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// The numbers of the online CPUs: each has a line in `/proc/stat` (`proc_stat(5)`).
pub(super) fn cpus_in_stat(stat: &str) -> Vec<u32> {
    let number = |line: &str| line.strip_prefix("cpu")?.split(' ').next()?.parse().ok().filter(|&cpu| cpu <= MAX_CPU);
    stat.lines().filter_map(number).collect()
}

/// The value of the first line `KEY: value`, as in `/proc/self/status` and `/proc/cpuinfo`. Ignores blanks around the
/// colon.
pub(super) fn find_field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim_end() == key).then_some(value.trim())
    })
}

/// Parses the value of the first line `KEY: value` of a text that was read or is missing.
pub(super) fn parse_field<T>(text: &Reading<String>, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    text.clone().and_then(|text| {
        let Some(value) = find_field(&text, key) else { return Reading::Absent };
        parse(value).map_or_else(|| Reading::garbage(value), Reading::Value)
    })
}

/// Parses a size in KiB, for example `16384 kB` in `/proc/meminfo`. Returns bytes.
pub(super) fn kib_to_bytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// The word in brackets, for example `madvise` in `always [madvise] never`.
pub(super) fn bracketed_word(text: &str) -> Option<String> {
    let chosen = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    chosen.filter(|word| !word.is_empty()).map(str::to_owned)
}

pub(super) fn parse_zero_or_one(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Parses a number with two decimals, as in `/proc/loadavg`, into hundredths: `1.07` is 107.
pub(super) fn parse_hundredths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    let part: u64 = if part.len() == 2 { part.parse().ok()? } else { return None };
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part)
}

/// Parses the line for all CPUs in `/proc/stat`. The total is the sum of the first eight numbers. The ninth and the tenth
/// number, guest time, are already part of the first and the second (`proc_stat(5)`).
pub(super) fn parse_cpu_times(stat: &str) -> Option<CpuTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let steal = *ticks.get(7)?;
    Some(CpuTimes { total: ticks.iter().take(8).fold(0, |sum, next| sum.saturating_add(*next)), steal })
}

/// Whether the last file system mounted on `point` is read-only.
pub(super) fn is_read_only(mounts: &str, point: &str) -> bool {
    let options = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next() == Some(point)).then(|| words.nth(1)).flatten()
    });
    options.is_some_and(|options| options.split(',').any(|option| option == "ro"))
}

/// The soft limit in the line `name` (for example `Max locked memory`) of `/proc/self/limits`. `Ok(None)` if the line is
/// missing. `Err` with the line if it cannot be parsed.
pub(super) fn parse_limit<'a>(limits: &'a str, name: &str) -> Result<Option<Limit>, &'a str> {
    let Some(line) = limits.lines().find(|line| line.starts_with(name)) else { return Ok(None) };
    let soft = line.trim_start_matches(name).split_whitespace().next();
    match soft {
        Some("unlimited") => Ok(Some(Limit::Unlimited)),
        Some(text) => text.parse().map(|limit| Some(Limit::AtMost(limit))).map_err(|_| line),
        None => Err(line),
    }
}

/// The `ID` of `/etc/os-release`, without quotes.
pub(super) fn parse_os_id(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("ID="))?;
    let value = value.trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

/// Whether the first lines of `/proc/kallsyms` show an address that is not 0. `None` if no line has the right format.
///
/// A kernel that hides addresses shows 0 in every line. The first line alone is not enough: up to Linux 6.14, the list of
/// x86-64 starts with per-CPU symbols whose real address is 0.
pub(super) fn shows_kernel_addresses(first_lines: &str) -> Option<bool> {
    let mut has_symbols = false;
    for line in first_lines.lines() {
        let Some(Ok(address)) = line.split(' ').next().map(|word| u64::from_str_radix(word, 16)) else { continue };
        if address != 0 {
            return Some(true);
        }
        has_symbols = true;
    }
    has_symbols.then_some(false)
}

/// The CPU's name from `/proc/cpuinfo`. arm64 has no `model name`, only the numbers of the implementer and the part.
pub(super) fn cpu_model(cpuinfo: &str) -> Option<String> {
    if let Some(name) = find_field(cpuinfo, "model name") {
        return Some(name.to_owned());
    }
    let (implementer, part) = (find_field(cpuinfo, "CPU implementer")?, find_field(cpuinfo, "CPU part")?);
    Some(format!("implementer {implementer} part {part}"))
}

/// CPU features that the GOAMD64 levels v2, v3 and v4 each add to the level before, with the kernel's names
/// (<https://go.dev/wiki/MinimumRequirements#amd64>).
const AMD64_LEVELS: [&[&str]; 3] = [
    &["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"],
    &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"],
    &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
];

/// The highest GOAMD64 level that an x86-64 CPU supports. `None` on other CPUs.
pub(super) fn amd64_level(cpuinfo: &str) -> Option<u32> {
    let flags: Vec<&str> = find_field(cpuinfo, "flags")?.split_whitespace().collect();
    flags.contains(&"lm").then_some(())?;
    let complete = AMD64_LEVELS.iter().take_while(|level| level.iter().all(|feature| flags.contains(feature)));
    u32::try_from(complete.count() + 1).ok()
}

/// Whether a name under `/sys/bus/event_source/devices` is a PMU of CPU cores: `cpu`, `cpu_core` and `cpu_atom` of Intel
/// hybrid CPUs, `armv8_pmuv3_0`, `armv8_neoverse_n1`, `armv9_cortex_a710` of Arm CPUs.
pub(super) fn is_core_pmu(name: &str) -> bool {
    name == "cpu" || ["cpu_", "armv8_", "armv9_"].iter().any(|prefix| name.starts_with(prefix))
}
