//! Colours of frames: the origin of a function decides the hue, its name the shade.

use inferno::flamegraph::color::Color;

use super::tree::FrameKind;
use crate::profile::Origin;

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
        Origin::Vdso => Color::new(212, 248, 200),
        Origin::Kernel => Color::new(222, 84, 106),
        Origin::Unknown => Color::new(176, 176, 176),
    }
}

/// Colour of groups, such as processes, and of the root frame.
pub(super) const GROUP: Color = Color::new(237, 237, 237);

/// Maximum percentage of white or black that is mixed into a colour, so that neighbours of one origin differ.
const MAX_SHADE: u64 = 9;

/// Returns the colour of a frame.
pub(super) fn frame_colour(text: &str, kind: FrameKind) -> Color {
    match kind {
        FrameKind::Group => GROUP,
        FrameKind::Function(origin) => shade(origin_colour(origin), text),
    }
}

/// Makes a colour a little lighter or darker. The name decides how much, so that neighbours differ.
pub(super) fn shade(colour: Color, text: &str) -> Color {
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
