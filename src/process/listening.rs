//! Finds the TCP sockets on which processes listen (proc(5), `/proc/net/tcp`).

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::process_stat::all_process_ids;

/// The state `TCP_LISTEN` in hexadecimal (`include/net/tcp_states.h`).
const LISTEN_STATE: &str = "0A";

/// Returns the address on which a process of the list listens. The address with the lowest port if there are several.
pub fn listening_address(processes: &[i32]) -> Option<SocketAddr> {
    let own = |pid: &i32| {
        let sockets = listening_sockets(*pid);
        let inodes = if sockets.is_empty() { HashSet::new() } else { open_socket_inodes(*pid) };
        sockets.into_iter().filter(move |(_, inode)| inodes.contains(inode)).map(|(address, _)| address)
    };
    processes.iter().flat_map(own).min_by_key(|address| (address.port(), address.is_ipv6()))
}

/// Returns the id of the process that listens on a port of this machine, if the process is visible.
pub fn process_listening_on(port: u16) -> Option<i32> {
    let sockets = listening_sockets(std::process::id().cast_signed());
    let inodes: HashSet<u64> =
        sockets.into_iter().filter(|(address, _)| address.port() == port).map(|(_, inode)| inode).collect();
    if inodes.is_empty() {
        return None;
    }
    all_process_ids().into_iter().find(|pid| !open_socket_inodes(*pid).is_disjoint(&inodes))
}

/// Returns address and inode of all listening sockets in the network namespace of a process.
fn listening_sockets(pid: i32) -> Vec<(SocketAddr, u64)> {
    let read = |file| fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
    let text = read("tcp") + &read("tcp6");
    text.lines().filter_map(parse_listening_socket).collect()
}

/// Parses a line. `None` for sockets in other states.
fn parse_listening_socket(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (ip, port) = fields.next()?.split_once(':')?;
    if fields.nth(1)? != LISTEN_STATE {
        return None;
    }
    // The kernel writes the address as 32-bit words in the byte order of the machine. The bytes in memory are in
    // network order.
    let words = ip.as_bytes().as_chunks::<8>().0.iter();
    let bytes: Vec<u8> = words
        .map(|word| Some(u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?.to_ne_bytes()))
        .collect::<Option<Vec<_>>>()?
        .concat();
    let ip: IpAddr = match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(bytes) => Ipv4Addr::from(bytes).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..]).ok()?).into(),
    };
    let inode = fields.nth(5)?.parse().ok()?;
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), inode))
}

/// Returns the inodes of a process's open sockets.
fn open_socket_inodes(pid: i32) -> HashSet<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_lines_of_listening_sockets_are_parsed() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100";
        let parsed = |line| parse_listening_socket(line).map(|(address, inode)| (address.to_string(), inode));
        if cfg!(target_endian = "little") {
            assert_eq!(parsed(line), Some(("127.0.0.1:8080".to_owned(), 12345)));
        }
        let line6 = line.replace("0100007F", &"0".repeat(32));
        assert_eq!(parsed(&line6), Some(("[::]:8080".to_owned(), 12345)));
        assert_eq!(parsed(&line.replace(" 0A ", " 01 ")), None);
        for end in 0..line.len() {
            parse_listening_socket(&line[..end]);
        }
    }

    #[test]
    fn the_process_that_listens_on_a_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = std::process::id().cast_signed();
        assert_eq!(process_listening_on(address.port()), Some(own));
        // Other tests in this process can listen too.
        assert!(listening_address(&[own]).is_some());
        assert_eq!(listening_address(&[]), None);
    }
}
