//! How a flame graph is drawn: the options that users of `flamegraph.pl` know.

use clap::ValueEnum;

/// Default width of the image in pixels. Browsers fit the image to their window.
const DEFAULT_WIDTH: usize = 1200;

/// Space at the left and at the right of the frames, in pixels.
pub(super) const SIDE_MARGIN: usize = 10;

/// How a flame graph is drawn. The default is goflame's own drawing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawing {
    /// The line below the title. `None`: the event, the number of samples, the quality, and what is missing.
    pub subtitle: Option<String>,
    /// Width of the image in pixels. `None`: 1200, and browsers fit it to their window.
    pub width: Option<u16>,
    /// Narrower frames are not drawn. `None`: 1/2000 of all samples.
    pub min_width: Option<MinWidth>,
    /// Colours of the frames.
    pub palette: FramePalette,
    /// Whether the root is at the top.
    pub is_inverted: bool,
    /// Whether stacks begin at their leaves.
    pub is_reversed: bool,
}

/// The minimum width of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinWidth {
    /// In pixels.
    Pixels(f64),
    /// In percent of all samples.
    Percent(f64),
}

/// The colours of frames. The name of a frame decides its shade.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FramePalette {
    /// By origin: your module, other modules, standard library, runtime, C, kernel
    #[default]
    Go,
    /// Yellow to red, for CPU time
    Hot,
    /// Greens, for memory
    Mem,
    /// Blues, for input and output
    Io,
    /// Shades of red
    Red,
    /// Shades of green
    Green,
    /// Shades of blue
    Blue,
    /// Shades of aqua
    Aqua,
    /// Shades of yellow
    Yellow,
    /// Shades of purple
    Purple,
    /// Shades of orange
    Orange,
}

impl Drawing {
    /// Smallest and largest width of an image in pixels.
    pub const WIDTH_LIMITS: (u16, u16) = (200, 20_000);

    /// Returns the width of the image in pixels.
    pub(super) fn image_width(&self) -> usize {
        self.width.map_or(DEFAULT_WIDTH, usize::from)
    }

    /// Returns the width of the root frame in pixels.
    pub(super) fn frames_width(&self) -> usize {
        self.image_width().saturating_sub(2 * SIDE_MARGIN).max(1)
    }

    /// Returns the smallest weight that is drawn. By default, it is `1 / default_share_divisor` of the total.
    pub(super) fn min_weight(&self, total: u64, default_share_divisor: u64) -> u64 {
        let share = match self.min_width {
            None => return total.div_ceil(default_share_divisor).max(1),
            Some(MinWidth::Pixels(pixels)) => pixels / self.frames_width() as f64,
            Some(MinWidth::Percent(percent)) => percent / 100.0,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the total, or above it")]
        let weight = (total as f64 * share).ceil() as u64;
        weight.max(1)
    }
}
