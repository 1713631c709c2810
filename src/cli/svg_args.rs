//! The flags that change how a flame graph is drawn. Their names are the same as in `flamegraph.pl`.

use clap::{Args, ValueEnum};

use crate::render::{Drawing, FramePalette, MinWidth};

#[derive(Debug, Args)]
#[command(next_help_heading = "Flame graph options (format svg)")]
pub(super) struct SvgArgs {
    /// Line below the title, in place of event, samples and quality
    #[arg(long, value_name = "TEXT")]
    subtitle: Option<String>,
    /// Width of the image in pixels; without it, browsers fit the image to their window
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(i64::from(Drawing::WIDTH_LIMITS.0)..=i64::from(Drawing::WIDTH_LIMITS.1)))]
    width: Option<u16>,
    /// Leave out frames that are narrower: in pixels, or in percent of all samples with %; the default is half a pixel
    #[arg(long, value_name = "WIDTH", value_parser = parse_min_width)]
    minwidth: Option<MinWidth>,
    /// Colours of frames: go (by origin: your module, other modules, standard library, runtime, C, kernel), or the shades of
    /// hot, mem, io, red, green, blue, aqua, yellow, purple or orange
    #[arg(long, value_name = "PALETTE", value_parser = parse_palette)]
    colors: Option<FramePalette>,
    /// Draw the root at the top and the leaves at the bottom, as icicles
    #[arg(long)]
    inverted: bool,
    /// Begin stacks at their leaves: which callers a hot function has
    #[arg(long)]
    reverse: bool,
    /// Choose the shade of a frame by its name, so that it is the same in every graph; goflame always does
    #[arg(long)]
    hash: bool,
}

impl SvgArgs {
    /// Returns the first given flag, for an error message.
    pub(super) fn first_given_flag(&self) -> Option<&'static str> {
        let given = [
            ("--subtitle", self.subtitle.is_some()),
            ("--width", self.width.is_some()),
            ("--minwidth", self.minwidth.is_some()),
            ("--colors", self.colors.is_some()),
            ("--inverted", self.inverted),
            ("--reverse", self.reverse),
            ("--hash", self.hash),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    pub(super) fn drawing(&self) -> Drawing {
        Drawing {
            subtitle: self.subtitle.clone(),
            width: self.width,
            min_width: self.minwidth,
            palette: self.colors.unwrap_or_default(),
            is_inverted: self.inverted,
            is_reversed: self.reverse,
        }
    }
}

/// Palettes of `flamegraph.pl` that guess the language from the form of names. goflame refuses them.
const OTHER_LANGUAGES: [&str; 7] = ["java", "js", "perl", "python", "rust", "wakeup", "chain"];

/// Parses the value of `--colors`.
fn parse_palette(text: &str) -> Result<FramePalette, String> {
    FramePalette::from_str(text, false).map_err(|_| {
        if OTHER_LANGUAGES.contains(&text) {
            return "this palette colours the names of other languages; `go` colours frames of Go by their origin"
                .into();
        }
        let names = FramePalette::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
        format!("expected {}", names.join(", "))
    })
}

/// Parses the value of `--minwidth`.
fn parse_min_width(text: &str) -> Result<MinWidth, String> {
    let number = |text: &str, limit: f64| text.parse().ok().filter(|width| (0.0..=limit).contains(width));
    let parsed = match text.strip_suffix('%') {
        Some(percent) => number(percent, 100.0).map(MinWidth::Percent),
        None => number(text, f64::from(Drawing::WIDTH_LIMITS.1)).map(MinWidth::Pixels),
    };
    parsed.ok_or_else(|| "expected pixels or a percentage, such as 0.5 or 1%".to_owned())
}
