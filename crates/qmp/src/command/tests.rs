//! What commands look like on the wire, and that replies recorded from QEMU are read.

use serde_json::{Map, json};

use super::*;
use crate::encode::arguments;

#[track_caller]
fn check<C: Command>(command: &C, name: &str, expected: &str) {
    assert_eq!((C::NAME, arguments(command).unwrap().as_str()), (name, expected));
}

#[test]
fn arguments_have_qemus_names() {
    check(&QueryStatus {}, "query-status", "");
    check(
        &QomGet { path: "/machine".into(), property: "type".into() },
        "qom-get",
        r#"{"path":"/machine","property":"type"}"#,
    );
    check(
        &HumanMonitorCommand { command_line: "info status".into(), cpu_index: None },
        "human-monitor-command",
        r#"{"command-line":"info status"}"#,
    );
    check(&AddFd { fdset_id: Some(2), opaque: None }, "add-fd", r#"{"fdset-id":2}"#);
    check(
        &SendKey { keys: vec![Key::Number(30), Key::Qcode("ret".into())], hold_time: Some(5) },
        "send-key",
        r#"{"keys":[{"type":"number","data":30},{"type":"qcode","data":"ret"}],"hold-time":5}"#,
    );
    check(
        &QueryBlockstats { query_nodes: Some(true) },
        "query-blockstats",
        r#"{"query-nodes":true}"#,
    );
    check(&Capabilities { enable: Vec::new() }, "qmp_capabilities", "");
    check(
        &Capabilities { enable: vec!["oob".into()] },
        "qmp_capabilities",
        r#"{"enable":["oob"]}"#,
    );
}

#[test]
fn objects_keep_the_callers_order() {
    let mut device = Map::new();
    device.insert("driver".into(), json!("virtio-net-pci"));
    device.insert("bus".into(), json!("pci.1"));
    device.insert("addr".into(), json!("0x0"));
    let expected = r#"{"driver":"virtio-net-pci","bus":"pci.1","addr":"0x0"}"#;
    check(&DeviceAdd(device), "device_add", expected);
}

#[test]
fn passwords_are_not_printed() {
    let password = Secret(String::from("s3cret"));
    let command = SetPassword { protocol: "vnc".into(), password, connected: None };
    assert!(!format!("{command:?}").contains("s3cret"));
    check(&command, "set_password", r#"{"protocol":"vnc","password":"s3cret"}"#);
}

#[test]
fn unknown_members_and_words_of_replies_are_accepted() {
    let text = r#"{"running": false, "singlestep": false, "status": "dreaming"}"#;
    let status: Status = serde_json::from_str(text).unwrap();
    assert_eq!(status.status, RunState::Other("dreaming".into()));
    let cpus = r#"[{"cpu-index": 0, "qom-path": "/machine/unattached/device[0]", "thread-id": 77,
        "target": "x86_64", "props": {"core-id": 0, "socket-id": 0, "thread-id": 0}}]"#;
    let cpus: Vec<CpuInfo> = serde_json::from_str(cpus).unwrap();
    assert_eq!(cpus[0].props.unwrap().thread_id, Some(0));
}
