//! Fetches several profiles of a running program.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::{Client, EarlyEnd};
use super::error::{FetchError, FetchProblem};
use super::location::Endpoint;
use super::profile_kind::ProfileKind;

/// Interval between attempts to connect to a program that does not listen yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum time for a profile after the end of the window.
const MAX_WAIT_PER_PROFILE: Duration = Duration::from_secs(10);

/// Maximum time for all profiles after the end of the window.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// Requested seconds if the length of the window is unknown, and maximum of the requested seconds. The request ends
/// with the window.
const UNKNOWN_WINDOW_SECONDS: u64 = 86_400;

/// Which profiles to fetch, and from where.
#[derive(Debug, Clone)]
pub struct FetcherPlan {
    /// URL of the directory of the program's profiles.
    pub endpoint: Endpoint,
    /// The profiles to fetch.
    pub profiles: Vec<ProfileKind>,
    /// The client that sends the requests.
    pub client: Client,
}

/// A fetched profile, or the reason why it could not be fetched.
#[derive(Debug)]
pub struct FetchedProfile {
    /// Kind of the profile: CPU, heap, and so on.
    pub kind: ProfileKind,
    /// Bytes of the profile, or why it could not be fetched.
    pub bytes: Result<Vec<u8>, FetchError>,
}

/// Fetches profiles in separate threads, so that sampling continues.
///
/// CPU profile and trace cover the window. The other profiles are fetched at the end of the window, while the program
/// still runs.
#[derive(Debug)]
pub struct Fetcher {
    plan: FetcherPlan,
    /// Ends the requests that last as long as the window. After the end of the window, also abandons the requests for
    /// the other profiles.
    window_end: Vec<EarlyEnd>,
    threads: Vec<JoinHandle<Vec<FetchedProfile>>>,
    /// When the window ended.
    ended: Option<Instant>,
}

impl Fetcher {
    /// Starts fetching the profiles that cover the window. `window` is the maximum length of the window, if known.
    pub fn start(plan: FetcherPlan, window: Option<Duration>) -> Self {
        let seconds = window.map_or(UNKNOWN_WINDOW_SECONDS, |window| window.as_secs().saturating_add(1));
        let seconds = seconds.min(UNKNOWN_WINDOW_SECONDS);
        let mut fetcher = Self { plan, window_end: Vec::new(), threads: Vec::new(), ended: None };
        for kind in fetcher.plan.profiles.clone().into_iter().filter(|kind| kind.covers_a_period()) {
            let (client, url) =
                (fetcher.plan.client.clone(), fetcher.plan.endpoint.profile_endpoint(kind, Some(seconds)));
            let end = EarlyEnd::default();
            fetcher.window_end.push(end.clone());
            fetcher.spawn(move || vec![FetchedProfile { kind, bytes: fetch_window(&client, &url, &end) }]);
        }
        fetcher
    }

    /// Ends the window: ends the profiles that cover the window, and starts fetching the others. Returns at once.
    pub fn end_window(&mut self) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(Instant::now());
        for end in &self.window_end {
            end.end();
        }
        let FetcherPlan { endpoint, profiles, client } = self.plan.clone();
        let abandon = EarlyEnd::default();
        self.window_end.push(abandon.clone());
        self.spawn(move || {
            let kinds = profiles.into_iter().filter(|kind| !kind.covers_a_period());
            let fetch = |kind| FetchedProfile {
                kind,
                bytes: client.fetch(&endpoint.profile_endpoint(kind, None), MAX_WAIT_PER_PROFILE, &abandon),
            };
            kinds.take_while(|_| !abandon.has_ended()).map(fetch).collect()
        });
    }

    /// Runs `fetch` in a thread. If the thread cannot start, its profiles count as abandoned.
    fn spawn(&mut self, fetch: impl FnOnce() -> Vec<FetchedProfile> + Send + 'static) {
        self.threads.extend(thread::Builder::new().spawn(fetch));
    }

    /// Whether the window has ended, and all profiles are fetched or [`MAX_WAIT`] has passed.
    pub fn is_done(&self) -> bool {
        self.ended.is_some_and(|ended| ended.elapsed() > MAX_WAIT || self.threads.iter().all(JoinHandle::is_finished))
    }

    /// Ends the window, waits for all profiles, and returns them in the order of the plan. Stops waiting when
    /// `is_interrupted` returns true.
    pub fn finish(mut self, mut is_interrupted: impl FnMut() -> bool) -> Vec<FetchedProfile> {
        self.end_window();
        while !self.is_done() && !is_interrupted() {
            thread::sleep(Duration::from_millis(5));
        }
        for end in &self.window_end {
            end.abandon();
        }
        let mut fetched: Vec<_> =
            self.threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect();
        let FetcherPlan { profiles, endpoint, .. } = &self.plan;
        for kind in profiles {
            if fetched.iter().all(|one| one.kind != *kind) {
                let error = FetchError::new(&endpoint.profile_endpoint(*kind, None), FetchProblem::Abandoned);
                fetched.push(FetchedProfile { kind: *kind, bytes: Err(error) });
            }
        }
        fetched.sort_by_key(|one| profiles.iter().position(|kind| *kind == one.kind));
        fetched
    }
}

/// Fetches a profile that covers the window. Waits for a program that does not listen yet.
fn fetch_window(client: &Client, url: &Endpoint, end: &EarlyEnd) -> Result<Vec<u8>, FetchError> {
    loop {
        match client.fetch(url, MAX_WAIT_PER_PROFILE, end) {
            Err(error) if error.is_unreachable() => {
                thread::sleep(RETRY_INTERVAL);
                if end.has_ended() {
                    return Err(error);
                }
            }
            answer => return answer,
        }
    }
}
