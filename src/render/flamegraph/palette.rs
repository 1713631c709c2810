//! Colours of frames: the origin of a function decides the hue, its name the shade.
//!
//! inferno looks up a frame's colour by its text. When it shows a text, it removes a suffix `_[k]`, `_[w]`, `_[i]` or
//! `_[j]`. So frames with the same text but different kinds get different suffixes: each kind has its own key in inferno's
//! palette map, and all are shown alike.

use std::collections::BTreeMap;

use inferno::flamegraph::color::{Color, PaletteMap};

use super::tree::{DrawnTree, FrameKind, OTHERS};
use crate::profile::Origin;
use crate::views::LabelId;

/// No suffix, and the suffixes that inferno does not show.
const SUFFIXES: [&str; 5] = ["", "_[k]", "_[w]", "_[i]", "_[j]"];

/// Returns the colour of an origin.
///
/// The contrast to black text is at least 4.7 to 1, also in the darkest shade. Any two colours differ by at least 15 in CIE
/// Lab, mostly in lightness, also for people who cannot see red, green or blue (simulated after Machado et al. 2009).
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

/// Colour of groups, such as processes, and of the root frame.
const GROUP: Color = Color::new(237, 237, 237);

/// Maximum percentage of white or black that is mixed into a colour, so that neighbours of one origin differ.
const MAX_SHADE: u64 = 9;

/// Keys of frames in inferno's palette map, indexed by frame text.
pub(super) struct Palette {
    keys: BTreeMap<usize, String>,
}

impl Palette {
    pub(super) fn new(tree: &DrawnTree) -> Self {
        let mut kinds: BTreeMap<&str, Vec<(FrameKind, LabelId)>> = BTreeMap::new();
        for (id, text, kind) in tree.labels() {
            kinds.entry(text).or_default().push((kind, id));
        }
        let mut keys = BTreeMap::new();
        for (text, mut ids) in kinds {
            ids.sort_by_key(|(kind, _)| *kind);
            let first = usize::from(is_special_to_inferno(text));
            for (at, (_, id)) in ids.into_iter().enumerate() {
                // A sixth kind with the same text gets the colour of the fifth.
                let suffix = SUFFIXES[(first + at).min(SUFFIXES.len() - 1)];
                keys.insert(id.index(), format!("{}{suffix}", escape_trailing_number(text)));
            }
        }
        Self { keys }
    }

    /// Returns the text of a frame for inferno.
    pub(super) fn key(&self, id: LabelId) -> &str {
        self.keys.get(&id.index()).map_or("", String::as_str)
    }

    /// Returns the colour of every key.
    pub(super) fn colours(&self, tree: &DrawnTree) -> PaletteMap {
        let mut map = PaletteMap::default();
        map.insert("", GROUP);
        map.insert(OTHERS, GROUP);
        for (id, text, kind) in tree.labels() {
            let colour = match kind {
                FrameKind::Group => GROUP,
                FrameKind::Function(origin) => shade(origin_colour(origin), text),
            };
            map.insert(self.key(id), colour);
        }
        map
    }
}

/// Returns whether inferno would shorten a text, or draw it in grey (`-` and `--`).
fn is_special_to_inferno(text: &str) -> bool {
    matches!(text, "-" | "--") || SUFFIXES.iter().skip(1).any(|suffix| text.ends_with(suffix))
}

/// Replaces the last space before a number (`worker 3`) by a no-break space, because inferno would read the number as a
/// count.
fn escape_trailing_number(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((head, tail)) if tail.chars().all(|c| c.is_ascii_digit() || c == '.') => format!("{head}\u{a0}{tail}"),
        _ => text.to_owned(),
    }
}

/// Makes a colour a little lighter or darker. The name decides how much, so that neighbours differ.
fn shade(colour: Color, text: &str) -> Color {
    // FNV-1a gives the same hash on every machine and in every version of goflame.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The hashes of names that differ in the last letter differ in few bits. The finalizer of murmur3 spreads them.
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let step = (hash >> 33) % (2 * MAX_SHADE + 1);
    let (target, percent) = if step < MAX_SHADE { (0, MAX_SHADE - step) } else { (255, step - MAX_SHADE) };
    let percent = u16::try_from(percent).unwrap_or(0);
    let mix = |channel: u8| {
        let mixed = (u16::from(channel) * (100 - percent) + target * percent) / 100;
        u8::try_from(mixed).unwrap_or(u8::MAX)
    };
    Color::new(mix(colour.r), mix(colour.g), mix(colour.b))
}
