use super::*;
use proptest::prelude::*;

fn lease(ip: &str) -> Lease {
    Lease {
        iaid: None,
        ip: ip.to_owned(),
        mac: "52:54:00:00:00:01".to_owned(),
        hostname: None,
        client_id: None,
        expiry: 7,
    }
}

#[track_caller]
fn parse(text: &str) -> Database {
    Database::parse(text.as_bytes(), None).unwrap()
}

/// What `text` becomes when it is read and written without a change.
#[track_caller]
fn check_rewrite(text: &str, expect: &str) {
    assert_eq!(parse(text).to_json(), expect, "{text}");
}

#[track_caller]
fn check_init(text: &str, expect: &str) {
    assert_eq!(parse(text).to_dnsmasq(), expect, "{text}");
}

#[test]
fn new_leases_have_the_keys_in_libvirts_order() {
    let mut database = Database::default();
    database.store(
        Lease {
            hostname: Some("h\u{f6}\"st/\\\tx\u{7}".to_owned()),
            client_id: Some("01:aa".to_owned()),
            expiry: 2_000_000_000,
            ..lease("10.0.0.2")
        },
        None,
    );
    database.store(
        Lease { iaid: Some("123".to_owned()), ..lease("fd00::5") },
        Some("00:01".to_owned()),
    );
    let expect = r#"[
  {
    "ip-address": "10.0.0.2",
    "mac-address": "52:54:00:00:00:01",
    "hostname": "hö\"st/\\\tx\u0007",
    "client-id": "01:aa",
    "expiry-time": 2000000000
  },
  {
    "iaid": "123",
    "ip-address": "fd00::5",
    "mac-address": "52:54:00:00:00:01",
    "server-duid": "00:01",
    "expiry-time": 7
  }
]
"#;
    assert_eq!(database.to_json(), expect);
}

#[test]
fn one_address_has_one_lease_and_the_newest_is_last() {
    let mut database = Database::default();
    for ip in ["10.0.0.2", "10.0.0.3", "10.0.0.2"] {
        database.store(lease(ip), None);
    }
    let order: Vec<&str> = database.entries.iter().map(|entry| entry.ip.as_str()).collect();
    assert_eq!(order, ["10.0.0.3", "10.0.0.2"]);
    database.remove("10.0.0.3");
    database.remove("10.0.0.2");
    assert_eq!(database.to_json(), "[\n]\n");
}

#[test]
fn foreign_keys_keep_their_place() {
    check_rewrite(
        r#"[{"x":[1,{"y":null}],"expiry-time":3,"ip-address":"1.1.1.1","s":"\u00e9/"}]"#,
        r#"[
  {
    "x": [
      1,
      {
        "y": null
      }
    ],
    "expiry-time": 3,
    "ip-address": "1.1.1.1",
    "s": "é/"
  }
]
"#,
    );
}

#[test]
fn invalid_json_counts_as_empty() {
    for text in ["", " ", "junk", "[", "null", "3", "[] trailing", "[{\"a\":1,}]", "\u{0}"] {
        check_rewrite(text, "[\n]\n");
    }
    let deep = "[".repeat(1_000_000);
    check_rewrite(&deep, "[\n]\n");
    assert_eq!(Database::parse(b"[\"\xff\"]", None).unwrap(), Database::default());
}

#[test]
fn json_of_another_shape_is_an_error() {
    #[track_caller]
    fn check(text: &str, expect: LeaseError) {
        assert_eq!(Database::parse(text.as_bytes(), None), Err(expect), "{text}");
    }
    check("{}", LeaseError::NotAnArray);
    check("[3]", LeaseError::Incomplete(0));
    check(r#"[{"ip-address":"1.1.1.1"}]"#, LeaseError::Incomplete(0));
    let text = r#"[{"ip-address":"1.1.1.1","expiry-time":3},{"expiry-time":3}]"#;
    check(text, LeaseError::Incomplete(1));
    check(r#"[{"ip-address":1,"expiry-time":3}]"#, LeaseError::Incomplete(0));
    check(r#"[{"ip-address":"1.1.1.1","expiry-time":"3"}]"#, LeaseError::Incomplete(0));
    check(r#"[{"ip-address":"1.1.1.1","expiry-time":3.5}]"#, LeaseError::Incomplete(0));
}

#[test]
fn the_server_identity_is_completed() {
    let text = r#"[{"ip-address":"fe::1","iaid":"1","expiry-time":3},
        {"ip-address":"1.1.1.1","expiry-time":3},
        {"ip-address":"fe::2","iaid":"2","expiry-time":3,"server-duid":"k"}]"#;
    let database = parse(text);
    assert_eq!(database.entries[0].text(SERVER_DUID), Some("k"));
    assert_eq!(database.entries[1].text(SERVER_DUID), None);
    check_init(text, "duid k\n3 1 fe::1 * *\n3 2 fe::2 * *\n");

    let completed = Database::parse(text.as_bytes(), Some("z".to_owned())).unwrap();
    assert_eq!(completed.entries[0].text(SERVER_DUID), Some("z"));
    assert_eq!(completed.entries[2].text(SERVER_DUID), Some("k"));

    // an unknown identity is not invented, and dnsmasq gets no IPv6 leases
    check_init(r#"[{"ip-address":"fe::1","iaid":"1","expiry-time":3}]"#, "");
}

#[test]
fn dnsmasq_gets_its_own_lines_back() {
    check_init(
        r#"[{"iaid":"9","ip-address":"fd00::5","mac-address":"m6","hostname":"six",
             "client-id":"00:03","server-duid":"00:01","expiry-time":12},
            {"ip-address":"10.0.0.2","mac-address":"m4","hostname":"h","client-id":"01:aa",
             "expiry-time":2000000000},
            {"ip-address":"10.0.0.3","mac-address":"m5","expiry-time":0}]"#,
        "2000000000 m4 10.0.0.2 h 01:aa\n0 m5 10.0.0.3 * *\nduid 00:01\n12 9 fd00::5 six 00:03\n",
    );
}

#[test]
fn a_lease_cannot_write_lines_of_its_own() {
    check_init(r#"[{"ip-address":"1.1.1.1","expiry-time":3}]"#, "");
    let text = r#"[{"ip-address":"1.1.1.1","mac-address":"m","hostname":"a\n0 m 2.2.2.2 * *",
        "client-id":"","expiry-time":3}]"#;
    check_init(text, "3 m 1.1.1.1 * *\n");
    check_init(r#"[{"ip-address":"1.1.1.1 x","mac-address":"m","expiry-time":3}]"#, "");
    check_init(r#"[{"ip-address":"1.1.1.1","mac-address":"m\tx","expiry-time":3}]"#, "");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        if let Ok(database) = Database::parse(&bytes, None) {
            let _text = database.to_dnsmasq();
            prop_assert_eq!(parse(&database.to_json()), database);
        }
    }

    #[test]
    fn what_is_written_is_read_again(
        ips in prop::collection::vec("[a-f0-9:.]{1,6}", 0..6),
        name in prop::option::of(".*"),
        expiry: i64,
        duid in prop::option::of("[0-9a-f:]{1,8}"),
    ) {
        let mut database = Database { entries: Vec::new(), server_duid: duid.clone() };
        for ip in &ips {
            let lease = Lease { hostname: name.clone(), expiry, ..lease(ip) };
            database.store(lease, duid.clone());
        }
        let again = Database::parse(database.to_json().as_bytes(), duid).unwrap();
        prop_assert_eq!(again.to_json(), database.to_json());
        prop_assert_eq!(again.to_dnsmasq(), database.to_dnsmasq());
    }
}

#[test]
fn leases_of_a_service() {
    let ipv4 = LeaseInfo {
        address: "10.0.0.2".parse().unwrap(),
        mac: Some([0x52, 0x54, 0, 0, 0, 1]),
        client_id: Some(vec![1, 0xaa]),
        iaid: None,
        hostname: Some("h".to_owned()),
        resolves: true,
        expiry: Some(7),
    };
    let ipv6 = LeaseInfo {
        address: "fd00::5".parse().unwrap(),
        iaid: Some(123),
        expiry: None,
        ..ipv4.clone()
    };
    let without = LeaseInfo { mac: None, ..ipv6.clone() };
    let database = Database::of([&ipv4, &ipv6, &without], Some(&[0, 1]));
    let read = Database::parse(database.to_json().as_bytes(), None).unwrap();
    assert_eq!(read.leases().collect::<Vec<_>>(), [ipv4, ipv6]);
    assert_eq!(read.server_duid(), Some(vec![0, 1]));
    assert!(read.to_dnsmasq().contains("7 52:54:00:00:00:01 10.0.0.2 h 01:aa\n"));
}

#[test]
fn strange_entries_are_no_leases() {
    for (mac, address) in [("x", "10.0.0.2"), ("52:54:00:00:00:01:02", "10.0.0.2")] {
        let text =
            format!(r#"[{{"ip-address":"{address}","mac-address":"{mac}","expiry-time":-1}}]"#);
        let lease = parse(&text).leases().next().unwrap();
        assert_eq!((lease.mac, lease.expiry), (None, None));
    }
    let text = r#"[{"ip-address":"10.0.0","mac-address":"52:54:00:00:00:01","expiry-time":1}]"#;
    assert_eq!(parse(text).leases().count(), 0);
}
