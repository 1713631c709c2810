//! Colours of frames: the origin of a function decides the hue, its name the shade.

use inferno::flamegraph::color::Color;

use super::tree::FrameKind;
use crate::profile::Origin;
use crate::render::drawing::FramePalette;

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
pub(super) const GROUP_COLOUR: Color = Color::new(237, 237, 237);

/// Maximum percentage of white or black that is mixed into a colour, so that neighbours of one origin differ.
const MAX_SHADE: u64 = 9;

/// Returns the colour of a frame.
pub(super) fn frame_colour(text: &str, kind: FrameKind, palette: FramePalette) -> Color {
    match (kind, palette_ends(palette)) {
        (FrameKind::Group, _) => GROUP_COLOUR,
        (FrameKind::Function(origin), None) => shade(origin_colour(origin), text),
        (FrameKind::Function(_), Some([one, other])) => mix(one, other, hash(text) % 101),
    }
}

/// Returns the two end colours of a palette. Frames have mixtures of both. `None` for colours by origin. The contrast to
/// black text is at least 5.5 to 1.
fn palette_ends(palette: FramePalette) -> Option<[Color; 2]> {
    let ends = match palette {
        FramePalette::Go => return None,
        FramePalette::Hot => [(255, 225, 80), (240, 110, 80)],
        FramePalette::Mem => [(120, 235, 130), (60, 200, 170)],
        FramePalette::Io => [(170, 180, 255), (125, 140, 245)],
        FramePalette::Red => [(255, 180, 180), (245, 115, 115)],
        FramePalette::Green => [(180, 240, 170), (95, 200, 95)],
        FramePalette::Blue => [(180, 205, 255), (110, 160, 245)],
        FramePalette::Aqua => [(170, 240, 240), (80, 195, 205)],
        FramePalette::Yellow => [(245, 240, 140), (220, 200, 70)],
        FramePalette::Purple => [(230, 190, 250), (200, 130, 235)],
        FramePalette::Orange => [(255, 205, 140), (245, 150, 70)],
    };
    Some(ends.map(|(red, green, blue)| Color::new(red, green, blue)))
}

/// Mixes a percentage of another colour into a colour.
fn mix(colour: Color, other: Color, percent: u64) -> Color {
    let percent = u16::try_from(percent.min(100)).unwrap_or(0);
    let mix = |one: u8, other: u8| {
        let mixed = (u16::from(one) * (100 - percent) + u16::from(other) * percent) / 100;
        u8::try_from(mixed).unwrap_or(u8::MAX)
    };
    Color::new(mix(colour.r, other.r), mix(colour.g, other.g), mix(colour.b, other.b))
}

/// Returns a hash of a name. It is the same on every machine and in every version of goflame.
fn hash(text: &str) -> u64 {
    // FNV-1a.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // The hashes of names that differ in the last letter differ in few bits. The finalizer of murmur3 spreads them.
    (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 33
}

/// Makes a colour a little lighter or darker. The text of the frame decides how much, so that neighbours differ.
pub(super) fn shade(colour: Color, text: &str) -> Color {
    let step = hash(text) % (2 * MAX_SHADE + 1);
    let (target, percent) = if step < MAX_SHADE { (0, MAX_SHADE - step) } else { (255, step - MAX_SHADE) };
    mix(colour, Color::new(target, target, target), percent)
}

#[cfg(test)]
mod tests {
    use super::{GROUP_COLOUR, origin_colour};
    use crate::profile::Origin;
    use crate::render::page::STYLE;

    #[test]
    fn report_html_has_the_same_colours() {
        let origins = [
            ("main", Origin::Main),
            ("module", Origin::Module),
            ("std", Origin::Std),
            ("runtime", Origin::Runtime),
            ("native", Origin::Native),
            ("vdso", Origin::Vdso),
            ("kernel", Origin::Kernel),
            ("unknown", Origin::Unknown),
        ];
        let colours = origins.map(|(name, origin)| (name, origin_colour(origin)));
        for (name, colour) in colours.into_iter().chain([("group", GROUP_COLOUR)]) {
            let variable = format!("--{name}: #{:02x}{:02x}{:02x};", colour.r, colour.g, colour.b);
            assert_eq!(STYLE.matches(&variable).count(), 1, "{variable}");
            assert_eq!(STYLE.matches(&format!("--{name}: ")).count(), 1, "{name}");
        }
    }
}
