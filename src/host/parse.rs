//! The small text formats of `/proc` and `/sys`, as pure functions.

use super::facts::Limit;
use super::reading::Reading;
use super::steadiness::CpuTimes;

/// The kernel's largest possible CPU number lies far below (x86-64: `NR_CPUS` 8192).
const MAX_CPU: u32 = 65_535;

/// A CPU list such as `0-3,8,10-11` (Documentation/admin-guide/cputopology.rst); `None` unless every part is sound.
pub(super) fn cpu_list(text: &str) -> Option<Vec<u32>> {
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

/// The value of the first line `KEY: value` (any blanks around the colon), as in `/proc/self/status` and
/// `/proc/cpuinfo`.
pub(super) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim_end() == key).then_some(value.trim())
    })
}

/// The same of a text that may be missing, taken apart further.
pub(super) fn in_text<T>(text: &Reading<String>, key: &str, parse: impl FnOnce(&str) -> Option<T>) -> Reading<T> {
    text.clone().and_then(|text| {
        let Some(value) = field(&text, key) else { return Reading::Absent };
        parse(value).map_or_else(|| Reading::garbage(value), Reading::Value)
    })
}

/// `16384 kB`, as in `/proc/meminfo`, in bytes.
pub(super) fn kib(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

/// The choice in force of a list such as `always [madvise] never`.
pub(super) fn bracketed(text: &str) -> Option<String> {
    let chosen = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    chosen.filter(|word| !word.is_empty()).map(str::to_owned)
}

/// `0` or `1`.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// `1.07` as 107: a number with two decimals, as in `/proc/loadavg`.
pub(super) fn hundredths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    let part: u64 = if part.len() == 2 { part.parse().ok()? } else { return None };
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part)
}

/// The line of all CPUs in `/proc/stat`. Guests' time stands in it twice (`proc_stat(5)`: the ninth and the tenth number
/// are part of the first and the second), so eight numbers make the sum.
pub(super) fn cpu_times(stat: &str) -> Option<CpuTimes> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let steal = *ticks.get(7)?;
    Some(CpuTimes { total: ticks.iter().take(8).fold(0, |sum, next| sum.saturating_add(*next)), steal })
}

/// Whether the last file system that was mounted on `point` is read-only.
pub(super) fn is_read_only(mounts: &str, point: &str) -> bool {
    let options = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next() == Some(point)).then(|| words.nth(1)).flatten()
    });
    options.is_some_and(|options| options.split(',').any(|option| option == "ro"))
}

/// The soft limit of a line such as `Max locked memory` in `/proc/self/limits`; `Ok(None)` without such a line.
pub(super) fn limit<'a>(limits: &'a str, name: &str) -> Result<Option<Limit>, &'a str> {
    let Some(line) = limits.lines().find(|line| line.starts_with(name)) else { return Ok(None) };
    let soft = line.trim_start_matches(name).split_whitespace().next();
    match soft {
        Some("unlimited") => Ok(Some(Limit::Unlimited)),
        Some(text) => text.parse().map(|most| Some(Limit::AtMost(most))).map_err(|_| line),
        None => Err(line),
    }
}

/// `ID` of `/etc/os-release`, without quotes.
pub(super) fn os_id(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("ID="))?;
    let value = value.trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

/// Whether the beginning of `/proc/kallsyms` shows an address; `None` when it has no line in kallsyms' form.
///
/// Not the first line alone: up to Linux 6.14 x86-64 begins with per-CPU symbols whose true address is 0.
/// A kernel that hides addresses shows zeros in every line.
pub(super) fn kallsyms_shown(beginning: &str) -> Option<bool> {
    let mut any = false;
    for line in beginning.lines() {
        let Some(Ok(address)) = line.split(' ').next().map(|word| u64::from_str_radix(word, 16)) else { continue };
        if address != 0 {
            return Some(true);
        }
        any = true;
    }
    any.then_some(false)
}

/// The CPU's name from `/proc/cpuinfo`: x86 and others print `model name`, arm64 only the numbers of maker and part.
pub(super) fn cpu_model(cpuinfo: &str) -> Option<String> {
    if let Some(name) = field(cpuinfo, "model name") {
        return Some(name.to_owned());
    }
    let (implementer, part) = (field(cpuinfo, "CPU implementer")?, field(cpuinfo, "CPU part")?);
    Some(format!("implementer {implementer} part {part}"))
}

/// Whether a name under `/sys/bus/event_source/devices` is a PMU of the CPU cores: `cpu`, Intel hybrid's
/// `cpu_core` and `cpu_atom`, Arm's `armv8_pmuv3_0`, `armv8_neoverse_n1`, `armv9_cortex_a710`.
pub(super) fn is_core_pmu(name: &str) -> bool {
    name == "cpu" || ["cpu_", "armv8_", "armv9_"].iter().any(|prefix| name.starts_with(prefix))
}
