//! [`Document`]: the content that all formats write.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::drawing::Drawing;
use super::source::AnnotatedFunction;
use crate::findings::ProfileFinding;
use crate::gotrace::RuntimeTrace;
use crate::loadtool::LoadFigures;
use crate::pprof::SourceDirs;
use crate::profile::{OffCpuTime, Phase, Quality, describe_phases, format_total_count};
use crate::views::{CrossCheck, View};

/// The content of an output.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The profile, filtered and grouped.
    pub view: &'a View,
    /// The quality of the profile.
    pub quality: &'a Quality,
    /// The headline, such as the name of the app and its variant.
    pub title: &'a str,
    /// Directories of the program's source files.
    pub sources: &'a SourceDirs,
    /// The facts of the run: names and values.
    pub facts: &'a [(&'static str, String)],
    /// The comparison with the CPU profile of Go's runtime. `None` if that profile was not fetched.
    pub cross_check: Option<&'a CrossCheck>,
    /// Thread time off the CPU in the run. `None` if it was not recorded.
    pub off_cpu: Option<&'a OffCpuTime>,
    /// Notes that were printed for the user.
    pub notes: &'a [String],
    /// The source of hot functions. Empty: the output holds no source.
    pub annotated: &'a [AnnotatedFunction],
    /// How a flame graph is drawn.
    pub drawing: &'a Drawing,
    /// Findings about the profile, those with the largest effect first.
    pub findings: &'a [ProfileFinding],
    /// The phases of a server's run, and its load.
    pub server: ServerRun<'a>,
    /// Events that the Go runtime reported while the run was recorded.
    pub runtime: Option<&'a RuntimeTrace>,
    /// The shown range of time in nanoseconds, on the clock of the samples. `None` for all of the time.
    pub time: Option<&'a Range<u64>>,
}

/// The phases of a server's run, and its load.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ServerRun<'a> {
    /// The phases, with times on the clock of the samples. Only the samples of the window are in the profile.
    pub phases: &'a [Phase],
    /// The figures that the load tool printed.
    pub load: Option<&'a LoadFigures>,
    /// How long the load ran. The load began when the server was ready.
    #[serde(skip)]
    pub load_time: Option<Duration>,
}

impl ServerRun<'_> {
    /// Describes the window and the load. `None` if the samples of the whole run count.
    pub fn describe(&self) -> Option<String> {
        let window = describe_phases(self.phases)?;
        Some(self.load.map_or(window.clone(), |load| format!("{window}; {load}")))
    }
}

impl<'a> Document<'a> {
    /// Returns a document of a profile without facts, notes and findings.
    pub fn new(
        view: &'a View,
        quality: &'a Quality,
        title: &'a str,
        sources: &'a SourceDirs,
        drawing: &'a Drawing,
    ) -> Self {
        let server = ServerRun::default();
        Self {
            view,
            quality,
            title,
            sources,
            facts: &[],
            notes: &[],
            drawing,
            annotated: &[],
            findings: &[],
            cross_check: None,
            off_cpu: None,
            server,
            runtime: None,
            time: None,
        }
    }
}

impl Document<'_> {
    /// Returns the line below the title: the event, the number of samples, the quality, and gaps of the recording.
    pub(super) fn subtitle(&self) -> String {
        let profile = self.view.profile();
        let mut parts = vec![profile.event.name.clone()];
        if profile.event.frequency > 0 {
            parts.push(format!("{} Hz", profile.event.frequency));
        }
        parts.extend(format_total_count(profile));
        parts.push(format!("quality {}", self.quality.assess().grade));
        parts.extend(self.quality.unseen_cpu());
        parts.extend(self.quality.size_bound.map(|bound| bound.to_string()));
        parts.join(", ")
    }
}
