//! The service on real sockets, asked by a guest: two network namespaces with a veth pair, all in threads.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};

use nix::sched::{CloneFlags, unshare};
use oxivirt_netserv_api::client::Client;
use oxivirt_netserv_api::message::{Reply, Request};
use oxivirt_netserv_api::{
    Dhcp6Spec, DnsSpec, HostNames, NetworkSpec, OwnAddress, RaSpec, Range6, TftpRoot, sockets,
};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::*;
use crate::dns::testing::{question, text};
use crate::wire::dhcp6::{View, Writer, kind, option};

const MAC: Mac = [0x52, 0x54, 0, 0, 0, 1];
const LINK_LOCAL: &str = "fe80::5054:ff:fe00:1";
/// Only for a service that does not answer at all.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

fn run(program: &str, arguments: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "it has to start in the namespace of this thread"
    )]
    let mut command = std::process::Command::new(program);
    let status = command.args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "{program} {arguments}");
}

/// Enters a fresh network namespace without duplicate address detection, which takes seconds; says whether it can.
fn enter() -> bool {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        return false;
    }
    for scope in ["default", "all"] {
        let path = format!("/proc/sys/net/ipv6/conf/{scope}/accept_dad");
        let file = std::fs::File::options().write(true).open(path);
        if !file.is_ok_and(|mut file| file.write_all(b"0").is_ok()) {
            return false;
        }
    }
    run("ip", "link set lo up");
    true
}

fn spec(directory: &Path) -> NetworkSpec {
    let ifindex = nix::net::if_::if_nametoindex("vb0").unwrap();
    let mut spec = NetworkSpec::new(Uuid::from_u128(7), "vb0", ifindex, MAC);
    spec.domain = Some("lan.test".to_owned());
    let v4: IpAddr = [192, 0, 2, 1].into();
    let v6: Ipv6Addr = "fd00::1".parse().unwrap();
    for (address, prefix) in [(v4, 24), (v6.into(), 64)] {
        spec.addresses.push(OwnAddress { address, prefix, local_ptr: false });
    }
    spec.ra = Some(RaSpec { prefixes: vec![(v6, 64)], lease: None, link_local: None });
    let (start, end) = ("fd00::10".parse().unwrap(), "fd00::ff".parse().unwrap());
    let ranges = vec![Range6 { start, end, lease: None }];
    spec.dhcp6 = Some(Dhcp6Spec { address: v6, prefix: 64, ranges, hosts: Vec::new() });
    let hosts = vec![HostNames { address: v4, names: vec!["gw".to_owned()] }];
    spec.dns = Some(DnsSpec { hosts, forwards_plain_names: true, ..DnsSpec::default() });
    spec.tftp.push(TftpRoot { address: v4, path: directory.to_str().unwrap().to_owned() });
    spec
}

/// Starts the service and gives it a network, as the driver does.
fn serve(directory: &Path) -> (std::thread::JoinHandle<()>, OwnedFd, Client) {
    let path = directory.join("socket");
    let listener = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let (stop, hold) = nix::unistd::pipe().unwrap();
    let files =
        Directories { journals: directory.to_path_buf(), lease_files: directory.to_path_buf() };
    let service = Service::new(listener, stop, files, 1).unwrap();
    let thread = std::thread::spawn(|| service.run().unwrap());
    let mut client = Client::connect(&path).unwrap();
    let host = sockets::host().unwrap();
    client.request(&Request::Hello, &[host[0].as_fd(), host[1].as_fd()]).unwrap();
    let servers = vec![[127, 0, 0, 9].into()];
    client.request(&Request::Host(servers, Vec::new()), &[]).unwrap();
    let spec = spec(directory);
    let open =
        |role| sockets::open(&spec, role).unwrap_or_else(|error| panic!("{role:?}: {error}"));
    let fds: Vec<OwnedFd> = sockets::roles(&spec).into_iter().map(open).collect();
    let fds: Vec<_> = fds.iter().map(OwnedFd::as_fd).collect();
    let reply = client.request(&Request::Add(Box::new(spec)), &fds).unwrap();
    assert_eq!(reply, Reply::Ready { generation: 1 });
    (thread, hold, client)
}

/// Another name server, which knows one address for every name.
fn upstream() {
    let socket = UdpSocket::bind("127.0.0.9:53").unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let end = 12 + buffer[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let mut answer = buffer[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc6\x33\x64\x07");
            socket.send_to(&answer, from).unwrap();
        }
    });
}

/// Runs `act` as a guest of the network and of a link that has nothing to do with it.
fn guest(act: impl FnOnce() + Send + 'static) {
    let (ready, is_ready) = channel();
    let (go, may_go): (Sender<()>, _) = channel();
    let guest = std::thread::spawn(move || {
        assert!(enter());
        ready.send(nix::unistd::gettid()).unwrap();
        may_go.recv().unwrap();
        for link in ["eth0", "other0"] {
            run("ip", &format!("link set {link} up"));
        }
        run("ip", "address add 192.0.2.50/24 dev eth0");
        run("ip", "address add fd00::50/64 dev eth0 nodad");
        run("ip", "address add fe80::77/64 dev eth0 nodad");
        run("ip", "address add 198.51.100.2/24 dev other0");
        act();
    });
    let namespace = is_ready.recv().unwrap();
    let peer = format!("peer name eth0 address 52:54:00:00:00:09 netns {namespace}");
    run("ip", &format!("link add v0 type veth {peer}"));
    run("ip", "link set v0 master vb0 up");
    run("ip", &format!("link add o0 type veth peer name other0 netns {namespace}"));
    run("ip", "address add 198.51.100.1/24 dev o0");
    run("ip", "link set o0 up");
    go.send(()).unwrap();
    guest.join().unwrap();
}

/// What a name server says over UDP.
fn ask(server: SocketAddr, name: &str, rtype: &str) -> String {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    socket.connect(server).unwrap();
    socket.send(&question(name, rtype, "+rd")).unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    text(&buffer[..length])
}

/// The same over TCP, twice on one connection.
fn ask_tcp(server: SocketAddr, name: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(PATIENCE).unwrap();
    let bytes = question(name, "A", "+rd");
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let framed = [&length[..], &bytes].concat();
    stream.write_all(&[&framed[..], &framed].concat()).unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        answers.push(text(&answer));
    }
    assert_eq!(answers[0], answers[1]);
    answers.remove(0)
}

fn link_local(port: u16) -> SocketAddr {
    let scope = nix::net::if_::if_nametoindex("eth0").unwrap();
    SocketAddrV6::new(LINK_LOCAL.parse().unwrap(), port, 0, scope).into()
}

fn names() {
    let expected = "NOERROR aa rd ra; gw.lan.test 0 A 192.0.2.1;;";
    let servers = ["192.0.2.1:53", "[fd00::1]:53"].map(|server| server.parse().unwrap());
    for server in servers.into_iter().chain([link_local(53)]) {
        assert_eq!(ask(server, "gw.lan.test", "A"), expected, "{server}");
        assert_eq!(ask_tcp(server, "gw.lan.test"), expected, "{server}");
    }
    let forwarded = "NOERROR rd ra; www.example.test 60 A 198.51.100.7;;";
    assert_eq!(ask(servers[0], "www.example.test", "A"), forwarded);
}

/// A question that comes by another link is not answered, one that comes by the bridge is.
fn foreign_link() {
    let server: SocketAddr = "192.0.2.1:53".parse().unwrap();
    let foreign = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    foreign.bind_device(Some(b"other0")).unwrap();
    let foreign = UdpSocket::from(foreign);
    foreign.send_to(&question("gw", "A", ""), server).unwrap();
    ask(server, "gw", "A");
    foreign.set_nonblocking(true).unwrap();
    assert!(foreign.recv(&mut [0; 512]).is_err());
}

fn router() {
    let raw = socket2::Type::RAW;
    let socket =
        socket2::Socket::new(socket2::Domain::IPV6, raw, Some(socket2::Protocol::ICMPV6)).unwrap();
    let scope = nix::net::if_::if_nametoindex("eth0").unwrap();
    socket.set_multicast_hops_v6(255).unwrap();
    socket.set_multicast_if_v6(scope).unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    let routers = SocketAddrV6::new("ff02::2".parse().unwrap(), 0, 0, scope);
    socket.send_to(&[133, 0, 0, 0, 0, 0, 0, 0], &routers.into()).unwrap();
    let mut socket = socket;
    let mut buffer = [0; 1500];
    let advertisement = loop {
        let length = socket.read(&mut buffer).unwrap();
        if buffer[0] == 134 {
            break &buffer[..length];
        }
    };
    // Managed, prefix without A, MAC and name server of the bridge.
    assert_eq!((advertisement[5], advertisement[18], advertisement[19]), (0xc0, 64, 0x80));
    let resolver: Ipv6Addr = LINK_LOCAL.parse().unwrap();
    assert_eq!(advertisement[advertisement.len() - 16..], resolver.octets());
    assert_eq!(advertisement[advertisement.len() - 30..][..6], MAC);
}

/// A lease in two messages; its name is there at once. Neither address nor DUID say the Ethernet address.
fn lease() {
    let scope = nix::net::if_::if_nametoindex("eth0").unwrap();
    let own = SocketAddrV6::new("fe80::77".parse().unwrap(), 546, 0, scope);
    let socket = UdpSocket::bind(own).unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    let servers = SocketAddrV6::new("ff02::1:2".parse().unwrap(), 547, 0, scope);
    let mut solicit = Writer::new(kind::SOLICIT, [1, 2, 3]);
    solicit.option(option::CLIENT_ID, |value| value.put(b"\0\x04uuid"));
    solicit.option(option::RAPID_COMMIT, |_| ());
    solicit.option(option::FQDN, |value| value.put(b"\x01\x05alpha\0"));
    solicit.option(option::IA_NA, |value| value.put(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
    socket.send_to(&solicit.finish(), servers).unwrap();
    let mut buffer = [0; 1500];
    let (length, server) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(server, link_local(547));
    let reply = View::new(&buffer[..length]).unwrap();
    assert_eq!((reply.kind, reply.transaction), (kind::REPLY, [1, 2, 3]));
    let given = reply.options.ias().next().unwrap().options.addresses().next().unwrap();
    assert!((0x10..=0xff).contains(&given.segments()[7]), "{given}");
    let expected = format!("NOERROR aa rd ra; alpha 0 AAAA {given};;");
    assert_eq!(ask("[fd00::1]:53".parse().unwrap(), "alpha", "AAAA"), expected);
}

/// Waits until the service knows the Ethernet address of the only lease.
fn find_mac(mut client: Client) {
    let request = Request::Leases { uuid: Uuid::from_u128(7), mac: None, skip: 0 };
    for _ in 0..3000 {
        let reply = client.request(&request, &[]).unwrap();
        let Reply::Leases { leases, .. } = reply else { panic!("{reply:?}") };
        if leases[0].mac == Some([0x52, 0x54, 0, 0, 0, 9]) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the Ethernet address is not found");
}

/// Reads a file, whose blocks come from a port of their own.
fn download(contents: &[u8]) {
    let socket = UdpSocket::bind("192.0.2.50:0").unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    socket
        .send_to(b"\0\x01/boot\0octet\0blksize\x001000\0windowsize\x004\0", "192.0.2.1:69")
        .unwrap();
    let (mut file, mut buffer, mut expected) = (Vec::<u8>::new(), [0; 1500], 1_u16);
    loop {
        let (length, server) = socket.recv_from(&mut buffer).unwrap();
        assert!(server.ip() == IpAddr::from([192, 0, 2, 1]) && server.port() != 69, "{server}");
        let block = u16::from_be_bytes([buffer[2], buffer[3]]);
        match buffer[1] {
            6 => drop(socket.send_to(&[0, 4, 0, 0], server).unwrap()),
            3 if block == expected => {
                file.extend(&buffer[4..length]);
                expected += 1;
                if block % 4 == 0 || length < 1004 {
                    socket.send_to(&[0, 4, buffer[2], buffer[3]], server).unwrap();
                }
                if length < 1004 {
                    break;
                }
            }
            other => panic!("packet {other} with block {block}"),
        }
    }
    assert!(file == contents);
}

#[test]
fn a_guest_is_served_over_both_versions_of_ip() {
    let host = std::thread::spawn(|| {
        if !enter() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let contents: Vec<u8> = (0..50_123_u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
        let boot = directory.path().join("boot");
        oxivirt_sys::file::replace(
            &boot,
            &contents,
            0o644,
            oxivirt_sys::file::Durability::Regenerated,
        )
        .unwrap();
        run("ip", "link add vb0 address 52:54:00:00:00:01 type bridge");
        run("ip", "link set vb0 up");
        run("ip", "address add 192.0.2.1/24 dev vb0");
        run("ip", "address add fd00::1/64 dev vb0 nodad");
        upstream();
        let (service, stop, client) = serve(directory.path());
        guest(move || {
            names();
            foreign_link();
            router();
            lease();
            download(&contents);
        });
        // The host reaches the addresses by its loop-back link.
        let of_host = "NOERROR aa rd ra; gw 0 A 192.0.2.1;;";
        for server in ["192.0.2.1:53", "[fd00::1]:53"].map(|server| server.parse().unwrap()) {
            assert_eq!(ask(server, "gw", "A"), of_host);
            assert_eq!(ask_tcp(server, "gw"), of_host);
        }
        find_mac(client);
        rustix::io::write(&stop, b"x").unwrap();
        service.join().unwrap();
        let leases = std::fs::read_to_string(directory.path().join("vb0.status")).unwrap();
        assert!(
            leases.contains("\"hostname\": \"alpha\"") && leases.contains("server-duid"),
            "{leases}"
        );
    });
    host.join().unwrap();
}
