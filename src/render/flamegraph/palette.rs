//! The Go palette: whose code a frame is, told by its colour.
//!
//! inferno colours a frame by its text, and drops a `_[k]`, `_[w]`, `_[i]` or `_[j]` from the end of a text
//! when it shows it. A text gets as many of these endings as it has classes, so that each of them
//! has a key of its own in inferno's palette map, and all of them are shown alike.

use std::collections::BTreeMap;

use inferno::flamegraph::color::{Color, PaletteMap};

use super::tree::{Class, OTHERS, Tree};
use crate::profile::Origin;
use crate::views::LabelId;

/// The endings that inferno does not show, after the ending that is none.
const ENDINGS: [&str; 5] = ["", "_[k]", "_[w]", "_[i]", "_[j]"];

/// The colour of an origin.
///
/// Chosen for black text on it (contrast of at least 4.7 to 1, also in the darkest shade) and so that any
/// two differ by at least 15 in CIE Lab, also to eyes that do not see red, green or blue (simulated after
/// Machado et al. 2009), of which most is lightness.
pub(super) fn origin_colour(origin: Origin) -> Color {
    match origin {
        Origin::Main => Color::new(243, 146, 103),
        Origin::Module => Color::new(221, 213, 96),
        Origin::Std => Color::new(137, 202, 243),
        Origin::Runtime => Color::new(156, 129, 196),
        Origin::Native => Color::new(42, 158, 124),
        Origin::Kernel => Color::new(222, 84, 106),
        Origin::Unknown => Color::new(176, 176, 176),
    }
}

/// The colour of processes and of the frame that stands for all: there, but not in the way.
const PROCESS: Color = Color::new(237, 237, 237);

/// Frames of one colour are told apart by up to so many percent of white or black.
const SHADES: u64 = 9;

/// The keys that frames have in inferno's palette map.
pub(super) struct Palette {
    keys: BTreeMap<usize, String>,
}

impl Palette {
    pub(super) fn new(tree: &Tree) -> Self {
        let mut classes: BTreeMap<&str, Vec<(Class, LabelId)>> = BTreeMap::new();
        for (id, text, class) in tree.labels() {
            classes.entry(text).or_default().push((class, id));
        }
        let mut keys = BTreeMap::new();
        for (text, mut ids) in classes {
            ids.sort_by_key(|(class, _)| *class);
            let first = usize::from(means_something(text));
            for (at, (_, id)) in ids.into_iter().enumerate() {
                // A sixth class of one text has the colour of the fifth; its text is still right.
                let ending = ENDINGS[(first + at).min(ENDINGS.len() - 1)];
                keys.insert(id.index(), format!("{}{ending}", without_count(text)));
            }
        }
        Self { keys }
    }

    /// The text of a frame as inferno gets it.
    pub(super) fn key(&self, id: LabelId) -> &str {
        self.keys.get(&id.index()).map_or("", String::as_str)
    }

    /// The colour of every key.
    pub(super) fn colours(&self, tree: &Tree) -> PaletteMap {
        let mut map = PaletteMap::default();
        map.insert("", PROCESS);
        map.insert(OTHERS, PROCESS);
        for (id, text, class) in tree.labels() {
            let colour = match class {
                Class::Process => PROCESS,
                Class::Function(origin) => shade(origin_colour(origin), text),
            };
            map.insert(self.key(id), colour);
        }
        map
    }
}

/// Texts that inferno would shorten, or draw in a grey of its own.
fn means_something(text: &str) -> bool {
    matches!(text, "-" | "--") || ENDINGS.iter().skip(1).any(|ending| text.ends_with(ending))
}

/// A text that does not end like a line with a count (`worker 3`): its last space becomes one that
/// looks the same and does not separate.
fn without_count(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((head, tail)) if tail.chars().all(|c| c.is_ascii_digit() || c == '.') => format!("{head}\u{a0}{tail}"),
        _ => text.to_owned(),
    }
}

/// A colour made a little lighter or darker by the name, so that neighbours can be told apart.
fn shade(colour: Color, text: &str) -> Color {
    // FNV-1a: the same on every machine and in every version of goflame.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // Names that differ in their last letter differ in few bits so far: murmur3's finish spreads them.
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let step = (hash >> 33) % (2 * SHADES + 1);
    let (target, percent) = if step < SHADES { (0, SHADES - step) } else { (255, step - SHADES) };
    let percent = u16::try_from(percent).unwrap_or(0);
    let mix = |channel: u8| {
        let mixed = (u16::from(channel) * (100 - percent) + target * percent) / 100;
        u8::try_from(mixed).unwrap_or(u8::MAX)
    };
    Color::new(mix(colour.r), mix(colour.g), mix(colour.b))
}
