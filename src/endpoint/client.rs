//! An HTTP client that sends one request at a time.

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use super::error::{FetchError, FetchProblem, HeaderError};
use super::location::Endpoint;

/// Environment variable with the headers of every request, one header per line.
pub const HEADERS_VARIABLE: &str = "GOFLAME_PPROF_HEADERS";
/// Environment variable with the value of the header `Authorization`.
pub const AUTHORIZATION_VARIABLE: &str = "GOFLAME_PPROF_AUTHORIZATION";

/// Maximum time to connect to an address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum bytes of an answer. The reader of pprof profiles has the same limit for unpacked profiles.
const MAX_BODY_BYTES: usize = 256 << 20;

/// Maximum bytes of the answer of a program that refuses a request.
const MAX_REFUSAL_BYTES: usize = 16 << 10;

/// Maximum characters that are shown of the answer to a refused request.
const MAX_SHOWN_CHARACTERS: usize = 200;

/// Maximum number of redirects that a request follows.
const MAX_REDIRECTS: usize = 5;

/// Interval of the checks whether a request should end early.
const TICK: Duration = Duration::from_millis(50);

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Vec<u8>,
}

/// Fetches profiles. Sends the user's headers with each request.
#[derive(Clone, Default)]
pub struct Client {
    headers: HeaderMap,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} headers)", self.headers.len())
    }
}

impl Client {
    /// Creates a client with the headers from the environment.
    pub fn from_env() -> Result<Self, HeaderError> {
        let variable = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self::with_headers(variable(HEADERS_VARIABLE).as_deref(), variable(AUTHORIZATION_VARIABLE).as_deref())
    }

    pub(super) fn with_headers(lines: Option<&str>, authorization: Option<&str>) -> Result<Self, HeaderError> {
        let mut headers = HeaderMap::new();
        for (at, line) in lines.unwrap_or_default().lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let header = line.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                Some((name, secret_header_value(value)?))
            });
            let (name, value) = header.ok_or(HeaderError { variable: HEADERS_VARIABLE, line: at + 1 })?;
            headers.append(name, value);
        }
        if let Some(value) = authorization.filter(|value| !value.trim().is_empty()) {
            let value = secret_header_value(value).ok_or(HeaderError { variable: AUTHORIZATION_VARIABLE, line: 1 })?;
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { headers })
    }

    /// Fetches a profile. `margin` is the maximum time in addition to the time that the profile covers. Follows
    /// redirects to the same host only.
    pub fn fetch(&self, endpoint: &Endpoint, margin: Duration, early_end: &EarlyEnd) -> Result<Vec<u8>, FetchError> {
        let limit = endpoint.profile_duration() + margin;
        let answer = block_on(async {
            let exchange = self.fetch_following_redirects(endpoint, early_end);
            tokio::time::timeout(limit, exchange).await.unwrap_or(Err(FetchProblem::TimedOut(limit)))
        });
        answer.map_err(|problem| FetchError::new(endpoint, problem))
    }

    async fn fetch_following_redirects(
        &self,
        endpoint: &Endpoint,
        early_end: &EarlyEnd,
    ) -> Result<Vec<u8>, FetchProblem> {
        let mut endpoint = endpoint.clone();
        for _ in 0..=MAX_REDIRECTS {
            let Answer { status, location, body } = self.exchange(&endpoint, early_end).await?;
            if let Some(location) = location.filter(|_| status.is_redirection()) {
                endpoint = endpoint.resolve_redirect(&location).map_err(FetchProblem::OtherHost)?;
                continue;
            }
            if status.is_success() {
                return Ok(body);
            }
            let text = String::from_utf8_lossy(&body);
            let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
            // The text of an HTML error page is not shown, because it says no more than the status.
            let shown = if line.starts_with('<') { "" } else { line };
            return Err(FetchProblem::Refused { status, text: shown.chars().take(MAX_SHOWN_CHARACTERS).collect() });
        }
        Err(FetchProblem::EndlessRedirects)
    }

    /// Sends a request and receives its answer.
    async fn exchange(&self, endpoint: &Endpoint, early_end: &EarlyEnd) -> Result<Answer, FetchProblem> {
        let stream = connect_to(endpoint).map_err(FetchProblem::Connect)?;
        let half = stream.try_clone().map_err(FetchProblem::Connect)?;
        let answer = async {
            let response = self.request(endpoint, stream).await?;
            let status = response.status();
            let location = response.headers().get(LOCATION).and_then(|value| Some(value.to_str().ok()?.to_owned()));
            let body =
                match receive(response, if status.is_success() { MAX_BODY_BYTES } else { MAX_REFUSAL_BYTES }).await {
                    Err(_) if !status.is_success() => Vec::new(),
                    body => body?,
                };
            Ok(Answer { status, location, body })
        };
        let mut answer = pin!(answer);
        // `select` polls the answer first, so the request is sent before the first tick.
        loop {
            match select(answer.as_mut(), pin!(tokio::time::sleep(TICK))).await {
                Either::Left((answer, _)) => return answer,
                Either::Right(_) if early_end.is_abandoned() => return Err(FetchProblem::Abandoned),
                Either::Right(_) if early_end.has_ended() => {
                    let _ = half.shutdown(Shutdown::Write);
                }
                Either::Right(_) => {}
            }
        }
    }

    async fn request(&self, endpoint: &Endpoint, stream: TcpStream) -> Result<Response<Incoming>, FetchProblem> {
        let url = endpoint.url();
        let stream = tokio::net::TcpStream::from_std(stream).map_err(FetchProblem::Connect)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken_answer)?;
        tokio::spawn(connection);
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = target.parse::<Uri>().map_err(broken_answer)?;
        let headers = request.headers_mut();
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        headers.insert(HOST, HeaderValue::from_str(host).map_err(broken_answer)?);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("goflame/", env!("CARGO_PKG_VERSION"))));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        for name in self.headers.keys() {
            headers.remove(name);
            for value in self.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        if let Some(value) = endpoint.authorization().and_then(secret_header_value) {
            headers.insert(AUTHORIZATION, value);
        }
        sender.send_request(request).await.map_err(broken_answer)
    }
}

fn secret_header_value(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn broken_answer(error: impl std::error::Error) -> FetchProblem {
    FetchProblem::Broken(crate::process::describe_with_causes(&error))
}

/// Runs a task to its end on this thread.
fn block_on<T>(task: impl Future<Output = Result<T, FetchProblem>>) -> Result<T, FetchProblem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(FetchProblem::Connect)?.block_on(task)
}

fn connect_to(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let url = endpoint.url();
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let stream = connect((host, url.port_or_known_default().unwrap_or(80)), CONNECT_TIMEOUT)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Connects to the first address of a host that accepts. `limit` is the timeout for each address.
pub fn connect(host: impl ToSocketAddrs, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name of the host has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn receive(response: Response<Incoming>, largest: usize) -> Result<Vec<u8>, FetchProblem> {
    if response.body().size_hint().lower() > largest as u64 {
        return Err(FetchProblem::TooLarge(largest));
    }
    match Limited::new(response.into_body(), largest).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchProblem::TooLarge(largest)),
        Err(error) => Err(FetchProblem::Broken(error.to_string())),
    }
}

/// Ends a request early. The answer then contains the part of the profile that the program has collected.
///
/// A Go server notices that the client has closed its half of the connection, and cancels the request's context. The
/// handlers of `net/http/pprof` then end the profile and send it through the other half, which is still open.
#[derive(Debug, Clone, Default)]
pub struct EarlyEnd(Arc<AtomicU8>);

/// Values of [`EarlyEnd`]. Its first value is 0.
const ENDED: u8 = 1;
const ABANDONED: u8 = 2;

impl EarlyEnd {
    /// Asks the program to end the profile and send it.
    pub fn end(&self) {
        self.0.fetch_max(ENDED, Ordering::Relaxed);
    }

    /// Ends the request without waiting for its answer.
    pub fn abandon(&self) {
        self.0.fetch_max(ABANDONED, Ordering::Relaxed);
    }

    /// Whether an end was requested.
    pub fn has_ended(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= ENDED
    }

    fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ABANDONED
    }
}
