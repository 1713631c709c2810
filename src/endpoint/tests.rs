use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::client::EarlyEnd;
use super::*;

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap()
}

#[test]
fn a_url_of_a_directory_or_a_host_means_the_cpu_profile() {
    for (text, expected) in [
        ("http://app:6060", "http://app:6060/debug/pprof/profile"),
        ("http://app:6060/?seconds=5", "http://app:6060/debug/pprof/profile?seconds=5"),
        ("http://app/debug/pprof/", "http://app/debug/pprof/profile"),
        ("HTTP://app/admin/debug/pprof", "http://app/admin/debug/pprof/profile"),
        ("http://app/debug/pprof/heap?gc=1#top", "http://app/debug/pprof/heap?gc=1"),
    ] {
        assert_eq!(endpoint(text).report_endpoint(None).unwrap().to_string(), expected);
    }
    let leaks = endpoint("http://app").report_endpoint(Some(ProfileKind::Goroutineleak)).unwrap();
    assert_eq!(leaks.to_string(), "http://app/debug/pprof/goroutineleak");
    assert_eq!(endpoint("http://app/debug/pprof/heap").report_endpoint(Some(ProfileKind::Cpu)), None);
}

#[test]
fn the_duration_of_a_profile_comes_from_its_url() {
    for (text, seconds) in [
        ("http://a/debug/pprof/profile?seconds=10", 10.0),
        ("http://a/debug/pprof/profile", 30.0),
        ("http://a/debug/pprof/trace", 1.0),
        ("http://a/debug/pprof/trace?seconds=0.5", 0.5),
        ("http://a/debug/pprof/heap", 0.0),
        ("http://a/debug/pprof/heap?seconds=7", 7.0),
        ("http://a/debug/pprof/profile?seconds=nan", 30.0),
        ("http://a/debug/pprof/profile?seconds=1e300", 86_400.0),
    ] {
        assert_eq!(endpoint(text).profile_duration(), Duration::from_secs_f64(seconds), "{text}");
    }
}

#[test]
fn credentials_of_a_url_become_a_header_and_are_never_shown() {
    let endpoint = endpoint("http://me:p%40ss@app/debug/pprof/heap?token=hidden1");
    assert_eq!(endpoint.authorization(), Some("Basic bWU6cEBzcw=="));
    for shown in [endpoint.to_string(), format!("{endpoint:?}")] {
        assert!(shown.contains("http://app/debug/pprof/heap?token=***"), "{shown}");
    }
}

#[test]
fn other_schemes_are_refused() {
    assert_eq!(Endpoint::parse("https://app/debug/pprof"), Err(EndpointError::Tls));
    assert_eq!(Endpoint::parse("ftp://app/"), Err(EndpointError::NotHttp));
    assert!(matches!(Endpoint::parse("http://"), Err(EndpointError::Malformed(_))));
    assert!(Endpoint::is_url("HTTPS://app") && !Endpoint::is_url("latest") && !Endpoint::is_url("./http:"));
}

#[test]
fn headers_are_lines_of_name_and_value() {
    let client = Client::with_headers(Some("X-Tenant: acme\n\nX-Key:  k \n"), Some("Bearer t0ken"));
    assert_eq!(format!("{:?}", client.unwrap()), "Client(3 headers)");
    let error = Client::with_headers(Some("X-Tenant: acme\nsecret value"), None).unwrap_err();
    assert_eq!(error.to_string(), "line 2 of the variable GOFLAME_PPROF_HEADERS is not a header");
    assert!(Client::with_headers(None, Some("Bearer \u{7}")).is_err());
}

/// Serves these answers, one per connection. Returns the port, and the requests when the thread is joined.
fn serve(answers: Vec<Vec<u8>>) -> (u16, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let answer = |answer: Vec<u8>| {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
            while !request.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0, "the request is cut off");
                request.extend_from_slice(&buffer[..count]);
            }
            // The client can close the connection before it has read everything.
            let _ = stream.write_all(&answer);
            String::from_utf8(request).unwrap()
        };
        answers.into_iter().map(answer).collect()
    });
    (port, server)
}

fn fetch(client: &Client, url: &str) -> Result<Vec<u8>, String> {
    let fetched = client.fetch(&endpoint(url), Duration::from_secs(60), &EarlyEnd::default());
    fetched.map_err(|error| crate::process::describe_with_causes(&error))
}

#[test]
fn a_request_has_the_headers_of_the_user_and_follows_redirects_to_its_host() {
    let moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /debug/pprof/heap\r\nContent-Length: 0\r\n\r\n".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec();
    let (port, server) = serve(vec![moved, chunked]);
    let client = Client::with_headers(Some("X-Tenant: acme"), Some("Bearer t0ken")).unwrap();
    assert_eq!(fetch(&client, &format!("http://127.0.0.1:{port}/heap")), Ok(b"abcde".to_vec()));
    let requests = server.join().unwrap();
    for (request, path) in requests.iter().zip(["/heap", "/debug/pprof/heap"]) {
        assert!(request.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{request}");
        assert!(
            request.contains("authorization: Bearer t0ken\r\n") && request.contains("x-tenant: acme\r\n"),
            "{request}"
        );
        assert!(request.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{request}");
    }
}

#[test]
fn hostile_answers_are_errors() {
    let client = Client::default();
    let answer = |answer: &[u8]| {
        let (port, server) = serve(vec![answer.to_vec()]);
        let error = fetch(&client, &format!("http://127.0.0.1:{port}/heap")).unwrap_err();
        server.join().unwrap();
        error.split_once("/heap: ").unwrap().1.to_owned()
    };
    let other = answer(b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/?token=abc1\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        other,
        "the program redirects to another host, which goflame does not follow: http://evil.example/?token=***"
    );
    // Another port is another program.
    let other = answer(b"HTTP/1.1 302 Found\r\nLocation: //127.0.0.1:1/heap\r\nContent-Length: 0\r\n\r\n");
    assert!(other.starts_with("the program redirects to another host"), "{other}");
    assert_eq!(
        answer(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 9\r\n\r\nin use\nxx"),
        "the program answered 500 Internal Server Error: in use"
    );
    assert_eq!(
        answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>"),
        "the program answered 404 Not Found"
    );
    let huge = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nx");
    assert_eq!(huge, "the answer is larger than 256 MiB");
    for broken in [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b""] {
        let error = answer(broken);
        assert!(error.starts_with("no complete answer: "), "{error}");
    }
}

#[test]
fn a_program_that_redirects_without_end_is_an_error() {
    let moved = b"HTTP/1.1 301 Moved\r\nLocation: /heap\r\nContent-Length: 0\r\n\r\n".to_vec();
    let (port, server) = serve(vec![moved; 6]);
    let error = fetch(&Client::default(), &format!("http://127.0.0.1:{port}/heap")).unwrap_err();
    assert!(error.ends_with("from URL to URL without an end"), "{error}");
    server.join().unwrap();
}

#[test]
fn a_program_that_never_answers_is_an_error_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/heap", listener.local_addr().unwrap());
    let error = Client::default().fetch(&endpoint(&url), Duration::from_millis(50), &EarlyEnd::default()).unwrap_err();
    assert!(matches!(error.problem(), FetchProblem::TimedOut(_)), "{error:?}");
}
