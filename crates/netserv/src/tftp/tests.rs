use proptest::prelude::*;
use uuid::Uuid;

use super::*;

/// A file in memory.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl File for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        let offset = usize::try_from(offset).unwrap().min(self.0.len());
        // Short reads are allowed.
        let n = buffer.len().min(self.0.len() - offset).min(1000);
        buffer[..n].copy_from_slice(&self.0[offset..offset + n]);
        Ok(n)
    }
}

#[derive(Debug, Default)]
struct Directory(BTreeMap<(String, String), Vec<u8>>);

impl Files for Directory {
    fn open(&mut self, root: &str, path: &str) -> Result<Box<dyn File>, OpenError> {
        if path == "secret" {
            return Err(OpenError::Denied);
        }
        let found = self.0.get(&(root.to_owned(), path.to_owned())).cloned();
        found.map(|bytes| Box::new(Bytes(bytes)) as Box<dyn File>).ok_or(OpenError::NotFound)
    }
}

struct Bench {
    tftp: Tftp,
    files: Directory,
}

/// The number of the first transfer.
const TOKEN: u64 = 7 << 32;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn bench(contents: &[u8]) -> Bench {
    let mut spec = NetworkSpec::new(Uuid::nil(), "virbr0", 7, [0; 6]);
    for (address, path) in [(LOCAL, "/srv/tftp"), ([198, 51, 100, 1].into(), "/srv/other")] {
        spec.tftp.push(TftpRoot { address, path: path.to_owned() });
    }
    let mut files = Directory::default();
    for path in ["boot", "efi/grub.efi"] {
        files.0.insert(("/srv/tftp".to_owned(), path.to_owned()), contents.to_vec());
    }
    files.0.insert(("/srv/other".to_owned(), "boot".to_owned()), b"other".to_vec());
    Bench { tftp: Tftp::new(&spec).unwrap(), files }
}

fn client(last: u8, port: u16) -> SocketAddr {
    ([192, 0, 2, last], port).into()
}

fn at(seconds: u64) -> Now {
    Now::new(Duration::from_secs(seconds), 0)
}

impl Bench {
    fn packet(&mut self, seconds: u64, socket: Socket, source: SocketAddr, bytes: &[u8]) -> Out {
        let destination = Some(LOCAL);
        let packet = Packet { socket, source, destination, ifindex: 7, hop_limit: None, bytes };
        let mut out = Out::default();
        self.tftp.handle(at(seconds), &packet, &mut self.files, &mut out);
        out
    }

    fn read_from(&mut self, source: SocketAddr, request: &str) -> Out {
        let bytes = [b"\0\x01", request.as_bytes()].concat();
        self.packet(0, Socket::Tftp(LOCAL), source, &bytes)
    }

    fn read(&mut self, request: &str) -> Out {
        self.read_from(client(9, 1000), request)
    }

    fn ack(&mut self, block: u16) -> Out {
        let bytes = [&[0, 4], &block.to_be_bytes()[..]].concat();
        self.packet(0, Socket::TftpTransfer(TOKEN), client(9, 1000), &bytes)
    }

    fn tick(&mut self, seconds: u64) -> Out {
        let mut out = Out::default();
        self.tftp.tick(at(seconds), &mut out);
        out
    }
}

/// The packets of `out`: their opcode, number and length behind both.
fn sent(out: &Out) -> Vec<(u8, u16, usize)> {
    let number = |bytes: &[u8]| u16::from_be_bytes([bytes[2], bytes[3]]);
    out.datagrams.iter().map(|d| (d.bytes[1], number(&d.bytes), d.bytes.len() - 4)).collect()
}

/// The only packet of `out`, as text.
#[track_caller]
fn text(out: &Out) -> String {
    let [datagram] = &out.datagrams[..] else { panic!("{out:?}") };
    datagram.bytes.escape_ascii().to_string()
}

/// Reads a whole file as a client does, missing some packets, and counts the packets.
fn download(bench: &mut Bench, request: &str, lost: impl Fn(usize) -> bool) -> (Vec<u8>, usize) {
    let mut out = bench.read(request);
    let (mut file, mut expected, mut n_packets, mut seconds) = (Vec::new(), 1_u16, 0, 0);
    let window = request.split('\0').skip_while(|text| *text != "windowsize").nth(1);
    let window: u16 = window.map_or(1, |text| text.parse().unwrap());
    let mut since_ack = 0;
    loop {
        let mut answer = None;
        for datagram in &out.datagrams {
            n_packets += 1;
            assert!(n_packets < 100_000);
            assert_eq!(
                (datagram.socket, datagram.source),
                (Socket::TftpTransfer(TOKEN), Some(LOCAL))
            );
            if lost(n_packets) {
                continue;
            }
            match datagram.bytes[..4] {
                [0, 6, ..] => answer = Some(0),
                [0, 3, high, low] if u16::from_be_bytes([high, low]) == expected => {
                    file.extend(&datagram.bytes[4..]);
                    since_ack += 1;
                    let is_last =
                        datagram.bytes.len() < 4 + bench.tftp.transfers[&TOKEN].block_size;
                    if since_ack == window || is_last {
                        (answer, since_ack) = (Some(expected), 0);
                    }
                    expected = expected.wrapping_add(1);
                    if is_last {
                        bench.ack(expected.wrapping_sub(1));
                        return (file, n_packets);
                    }
                }
                [0, 3, ..] => (answer, since_ack) = (Some(expected.wrapping_sub(1)), 0),
                _ => panic!("{datagram:?}"),
            }
        }
        out = match answer {
            Some(block) => bench.ack(block),
            None => Out::default(),
        };
        if out.datagrams.is_empty() {
            seconds += 1000;
            out = bench.tick(seconds);
            assert!(!out.datagrams.is_empty(), "the transfer ended");
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect()
}

#[test]
fn a_file_comes_block_by_block() {
    let mut bench = bench(&pattern(1100));
    assert_eq!(sent(&bench.read("boot\0octet\0")), [(3, 1, 512)]);
    assert_eq!(sent(&bench.ack(1)), [(3, 2, 512)]);
    assert_eq!(sent(&bench.ack(2)), [(3, 3, 76)]);
    let out = bench.ack(3);
    assert_eq!((sent(&out), out.closed), (vec![], vec![Socket::TftpTransfer(TOKEN)]));
    assert!(bench.tftp.transfers.is_empty() && bench.tftp.deadlines.is_empty());
}

#[test]
fn a_whole_number_of_blocks_ends_with_an_empty_one() {
    let mut bench = bench(&pattern(1024));
    bench.read("boot\0octet\0");
    bench.ack(1);
    assert_eq!(sent(&bench.ack(2)), [(3, 3, 0)]);
    assert_eq!(bench.ack(3).closed.len(), 1);
    let mut empty = self::bench(b"");
    assert_eq!(sent(&empty.read("boot\0octet\0")), [(3, 1, 0)]);
}

#[test]
fn options_are_agreed() {
    let agreed = |request: &str| text(&bench(&pattern(5)).read(&format!("boot\0{request}")));
    assert_eq!(agreed("octet\0blksize\x001000\0"), r"\x00\x06blksize\x001000\x00");
    // Not longer than the link allows.
    assert_eq!(agreed("octet\0blksize\x0065464\0"), r"\x00\x06blksize\x001468\x00");
    assert_eq!(
        agreed("octet\0tsize\x000\0timeout\x003\0"),
        r"\x00\x06tsize\x005\x00timeout\x003\x00"
    );
    assert_eq!(agreed("octet\0windowsize\x00999\0"), r"\x00\x06windowsize\x0064\x00");
    for refused in ["blksize\x007", "timeout\x000", "timeout\x00256", "windowsize\x000", "x\x001"] {
        assert!(
            agreed(&format!("octet\0{refused}\0")).starts_with(r"\x00\x03\x00\x01"),
            "{refused}"
        );
    }
    assert!(agreed("netascii\0tsize\x000\0").starts_with(r"\x00\x03\x00\x01"));
}

#[test]
fn a_window_is_sent_at_once_and_again_from_where_it_broke() {
    let mut bench = bench(&pattern(10_000));
    bench.read("boot\0octet\0windowsize\x004\0");
    assert_eq!(sent(&bench.ack(0)), [(3, 1, 512), (3, 2, 512), (3, 3, 512), (3, 4, 512)]);
    // The client has one and two.
    assert_eq!(sent(&bench.ack(2))[..2], [(3, 3, 512), (3, 4, 512)]);
    // It misses the first block of the window: once more, but only once.
    assert_eq!(sent(&bench.ack(2)).len(), 4);
    assert_eq!(sent(&bench.ack(2)), []);
    assert_eq!(sent(&bench.ack(6))[0], (3, 7, 512));
}

#[test]
fn repeated_acks_double_nothing() {
    let mut bench = bench(&pattern(5000));
    bench.read("boot\0octet\0");
    assert_eq!(sent(&bench.ack(1)).len(), 1);
    for block in [1, 0, 3, 65_535] {
        assert_eq!(sent(&bench.ack(block)), [], "{block}");
    }
    assert_eq!(sent(&bench.ack(2)), [(3, 3, 512)]);
}

#[test]
fn what_is_lost_is_sent_again_less_and_less_often() {
    let mut bench = bench(&pattern(5000));
    bench.read("boot\0octet\0");
    let mut pauses = Vec::new();
    let mut last = 0;
    while let Some(deadline) = bench.tftp.deadline() {
        let now = deadline.as_secs();
        pauses.push(now - last);
        last = now;
        assert!(bench.tick(now - 1).is_empty());
        let out = bench.tick(now);
        if out.closed.is_empty() {
            assert_eq!(sent(&out), [(3, 1, 512)]);
        }
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
    assert!(bench.tftp.by_client.is_empty());
    let mut quick = self::bench(&pattern(5000));
    quick.read("boot\0octet\0timeout\x001\0");
    assert_eq!(quick.tftp.deadline(), Some(at(1).boot));
}

#[test]
fn refusals() {
    let mut bench = bench(b"x");
    let error = |code: u16, text: &str| format!(r"\x00\x05\x00\x{code:02x}{text}\x00");
    for (request, expected) in [
        ("nothing\0octet\0", error(1, "file not found")),
        ("secret\0octet\0", error(2, "access violation")),
        ("../boot\0octet\0", error(2, "access violation")),
        ("efi\\..\\boot\0octet\0", error(2, "access violation")),
        ("/\0octet\0", error(2, "access violation")),
        ("boot\0mail\0", error(4, "malformed request")),
    ] {
        let out = bench.read(request);
        assert_eq!(text(&out), expected, "{request}");
        assert_eq!(out.datagrams[0].socket, Socket::Tftp(LOCAL));
    }
    let write = bench.packet(0, Socket::Tftp(LOCAL), client(9, 1), b"\0\x02boot\0octet\0");
    assert_eq!(text(&write), error(2, "access violation"));
    let stray = bench.packet(0, Socket::Tftp(LOCAL), client(9, 1), &[0, 4, 0, 1]);
    assert!(stray.datagrams.is_empty());
    assert!(bench.tftp.transfers.is_empty());
}

#[test]
fn names_may_be_absolute_or_of_firmware() {
    for request in ["/boot", "//boot", "/srv/tftp/boot", "efi/grub.efi", "\\efi\\grub.efi"] {
        let out = bench(b"x").read(&format!("{request}\0octet\0"));
        assert_eq!(sent(&out), [(3, 1, 1)], "{request}");
    }
    let other = Socket::Tftp([198, 51, 100, 1].into());
    let out = bench(b"x").packet(0, other, client(9, 1), b"\0\x01boot\0octet\0");
    assert_eq!(sent(&out), [(3, 1, 5)]);
}

#[test]
fn one_client_and_one_network_have_limits() {
    let mut bench = bench(b"x");
    for port in 0..4 {
        assert_eq!(sent(&bench.read_from(client(9, port), "boot\0octet\0")), [(3, 1, 1)]);
    }
    let busy = r"\x00\x05\x00\x00busy\x00";
    assert_eq!(text(&bench.read_from(client(9, 4), "boot\0octet\0")), busy);
    // The same request again is the same transfer.
    assert_eq!(sent(&bench.read_from(client(9, 3), "boot\0octet\0")), [(3, 1, 1)]);
    for last in 10..56 {
        assert_eq!(sent(&bench.read_from(client(last, 1), "boot\0octet\0")), [(3, 1, 1)]);
    }
    assert_eq!(text(&bench.read_from(client(99, 1), "boot\0octet\0")), busy);
    assert_eq!(bench.tftp.transfers.len(), 50);
}

#[test]
fn strangers_do_not_disturb_a_transfer() {
    let mut bench = bench(&pattern(5000));
    bench.read("boot\0octet\0");
    let out = bench.packet(0, Socket::TftpTransfer(TOKEN), client(66, 1000), &[0, 5, 0, 0]);
    assert_eq!(text(&out), r"\x00\x05\x00\x05unknown transfer\x00");
    assert_eq!(out.datagrams[0].to, To::Ip(client(66, 1000)));
    assert_eq!(sent(&bench.ack(1)), [(3, 2, 512)]);
    let out = bench.packet(0, Socket::TftpTransfer(TOKEN), client(9, 1000), &[0, 5, 0, 0]);
    assert_eq!(out.closed, [Socket::TftpTransfer(TOKEN)]);
}

#[test]
fn block_numbers_start_over() {
    let contents = pattern(66_000 * 8 + 3);
    let (file, _) =
        download(&mut bench(&contents), "boot\0octet\0blksize\x008\0windowsize\x0064\0", |_| false);
    assert_eq!(file.len(), contents.len());
    assert!(file == contents);
}

#[test]
fn netascii_has_its_own_ends_of_lines() {
    let contents = b"a\nb\rc\r\n".repeat(200);
    let expected = b"a\r\nb\r\0c\r\0\r\n".repeat(200);
    for size in [8, 9, 512] {
        let request = format!("boot\0netascii\0blksize\0{size}\0windowsize\x003\0");
        let (file, _) = download(&mut bench(&contents), &request, |n| n % 5 == 0);
        assert!(file == expected, "{size}");
    }
}

proptest! {
    #[test]
    fn a_file_arrives_whole_over_a_bad_link(
        len in 0_usize..9000,
        window in 1_u16..20,
        block_size in 8_u16..1500,
        netascii in any::<bool>(),
        lost in prop::collection::btree_set(1_usize..200, 0..40),
    ) {
        let contents = pattern(len);
        let mode = if netascii { "netascii" } else { "octet" };
        let request = format!("boot\0{mode}\0blksize\0{block_size}\0windowsize\0{window}\0");
        let mut bench = bench(&contents);
        // Never so many in a row that the server gives up.
        let (file, _) = download(&mut bench, &request, |n| lost.contains(&n) && n % 4 != 0);
        if netascii {
            let text: Vec<u8> = contents.iter().flat_map(|byte| match byte {
                b'\n' => b"\r\n".to_vec(),
                b'\r' => b"\r\0".to_vec(),
                other => vec![*other],
            }).collect();
            prop_assert!(file == text);
        } else {
            prop_assert!(file == contents);
        }
        prop_assert!(bench.tftp.transfers.is_empty());
    }

    #[test]
    fn no_packet_panics(
        packets in prop::collection::vec(
            (any::<bool>(), 0_u8..8, prop::collection::vec(any::<u8>(), 0..40)), 1..20),
    ) {
        let mut bench = bench(&pattern(5000));
        bench.read("boot\0octet\0windowsize\x004\0");
        for (of_transfer, kind, bytes) in packets {
            let socket = if of_transfer { Socket::TftpTransfer(TOKEN) } else { Socket::Tftp(LOCAL) };
            let out = bench.packet(0, socket, client(9, 1000), &[&[0, kind], &bytes[..]].concat());
            prop_assert!(out.datagrams.len() <= 4);
        }
    }
}
