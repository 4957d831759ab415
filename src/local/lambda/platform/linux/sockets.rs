//! Asks the kernel about one TCP socket, with `sock_diag(7)`. This takes microseconds, while the table in `/proc/net`
//! takes longer the more connections the machine has.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
    netlink::{SOCK_DIAG, SocketAddrNetlink},
    recv, sendto, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};

/// How long the kernel may take to answer. Normally it answers immediately.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// The user that owns it.
    pub(crate) user: u32,
    /// Identifies it among a process's open files.
    pub(crate) inode: u64,
}

/// The client's end, if the client is on this machine and has not hung up.
pub(crate) fn client(client: SocketAddr, server: SocketAddr) -> Option<Socket> {
    let (client, server) = (v4(client)?, v4(server)?);
    match ask(client, server) {
        Ok(found) => found,
        // The kernel does not support it, or a container does not allow it.
        Err(_) => in_tables(client, server),
    }
}

/// Sockets for both versions of IP show IPv4 addresses in another form.
fn v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, address.port())),
        IpAddr::V6(_) => None,
    }
}

/// Asks for the socket with the local address `own` and the remote address `peer`.
fn ask(own: SocketAddrV4, peer: SocketAddrV4) -> io::Result<Option<Socket>> {
    let kernel = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    set_socket_timeout(&kernel, Timeout::Recv, Some(PATIENCE))?;
    sendto(&kernel, &request(own, peer), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 1024];
    let (count, _) = recv(&kernel, &mut answer, RecvFlags::empty())?;
    read(answer.get(..count).unwrap_or(&answer), own, peer)
}

/// A `struct nlmsghdr` and a `struct inet_diag_req_v2`.
fn request(own: SocketAddrV4, peer: SocketAddrV4) -> [u8; 72] {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const AF_INET: u8 = 2;
    const IPPROTO_TCP: u8 = 6;
    let mut request = [0; 72];
    request[0..4].copy_from_slice(&72_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    request[16..18].copy_from_slice(&[AF_INET, IPPROTO_TCP]);
    // In any state.
    request[20..24].fill(0xff);
    request[24..26].copy_from_slice(&own.port().to_be_bytes());
    request[26..28].copy_from_slice(&peer.port().to_be_bytes());
    request[28..32].copy_from_slice(&own.ip().octets());
    request[44..48].copy_from_slice(&peer.ip().octets());
    // With any cookie.
    request[64..72].fill(0xff);
    request
}

/// Parses a `struct nlmsghdr` and a `struct inet_diag_msg`, or an error.
fn read(answer: &[u8], own: SocketAddrV4, peer: SocketAddrV4) -> io::Result<Option<Socket>> {
    const NLMSG_ERROR: u16 = 2;
    let number = |at: usize| answer.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let kind = answer.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes).ok_or_else(short)?;
    if kind == NLMSG_ERROR {
        let error = io::Error::from_raw_os_error(-number(16).ok_or_else(short)?.cast_signed());
        return if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) };
    }
    // If there is no such connection, the kernel may return a listener on that port.
    let ports = [own.port().to_be_bytes(), peer.port().to_be_bytes()].concat();
    if answer.get(20..24).ok_or_else(short)? != ports {
        return Ok(None);
    }
    let (user, inode) = (number(80).ok_or_else(short)?, number(84).ok_or_else(short)?);
    // A closed socket has no file any more.
    Ok((inode != 0).then_some(Socket { user, inode: u64::from(inode) }))
}

/// The kernel hands out its tables in pieces, and an entry can slip from one to the other while other sockets come and go.
/// So a socket counts as absent only if several readings miss it.
fn in_tables(own: SocketAddrV4, peer: SocketAddrV4) -> Option<Socket> {
    const READINGS: usize = 4;
    (0..READINGS).find_map(|_| read_tables(own, peer))
}

fn read_tables(own: SocketAddrV4, peer: SocketAddrV4) -> Option<Socket> {
    let ends = |shown: fn(Ipv4Addr) -> String| {
        let end = |end: SocketAddrV4| format!("{}:{:04X}", shown(*end.ip()), end.port());
        (end(own), end(peer))
    };
    // Sockets for both versions of IP are in the second table, with longer addresses.
    find(&fs::read_to_string("/proc/net/tcp").ok()?, &ends(in_table))
        .or_else(|| find(&fs::read_to_string("/proc/net/tcp6").ok()?, &ends(in_table_of_both)))
}

fn find(table: &str, (own, peer): &(String, String)) -> Option<Socket> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1) == Some(&own.as_str()) && fields.get(2) == Some(&peer.as_str());
        is_it.then(|| Some(Socket { user: fields.get(7)?.parse().ok()?, inode: fields.get(9)?.parse().ok()? }))?
    })
}

/// The kernel prints the four bytes as one number in this machine's byte order.
fn in_table(ip: Ipv4Addr) -> String {
    format!("{:08X}", u32::from_ne_bytes(ip.octets()))
}

fn in_table_of_both(ip: Ipv4Addr) -> String {
    let prefix = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    format!("{:08X}{:08X}{prefix:08X}{}", 0, 0, in_table(ip))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn both_ways_find_the_same_socket_and_no_closed_one() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = v4(listener.local_addr().unwrap()).unwrap();
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), server.port());
        for to in [SocketAddr::V4(server), mapped] {
            let stream = TcpStream::connect(to).unwrap();
            let own = v4(stream.local_addr().unwrap()).unwrap();
            let asked = ask(own, server).unwrap().unwrap();
            assert_eq!(Some(asked), in_tables(own, server), "{to}");
            assert_eq!(asked.user, nix::unistd::geteuid().as_raw());
            drop(stream);
            assert_eq!(ask(own, server).unwrap(), None, "{to}");
        }
        // A listener is not a client.
        let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        assert_eq!(ask(server, nobody).unwrap(), None);
    }
}
