use oxivirt::{ErrorCode, ErrorDomain};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn exchange(command: &str, answer: Value) -> Exchange {
    Exchange { call: Call::new(command), answer: Ok(answer) }
}

/// The answers of a small emulator.
fn session() -> Session {
    let mut session = Session::new();
    let version = json!({"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": "Debian"});
    session.push(exchange("query-version", version));
    session.push(exchange("query-target", json!({"arch": "x86_64"})));
    let schema = json!([{"name": "query-stats", "meta-type": "command"}]);
    session.push(exchange("query-qmp-schema", schema));
    session.push(exchange("query-kvm", json!({"enabled": true, "present": true})));
    session.push(exchange("qom-list-types", json!([{"name": "VGA"}, {"name": "qxl"}])));
    let machines = json!([
        {"name": "none", "cpu-max": 1},
        {"name": "pc-q35-10.0", "alias": "q35", "cpu-max": 4096, "acpi": true},
        {"name": "pc-i440fx-10.0", "alias": "pc", "is-default": true, "cpu-max": 255},
    ]);
    session.push(exchange("query-machines", machines));
    session
}

#[test]
fn questions_follow_answers() {
    let known = session();
    let mut session = Session::new();
    let first = next(&session, Run::Best);
    assert!(first.contains(&Call::new("query-qmp-schema")));
    for call in first {
        let answer = known.answer(&call).cloned().ok_or_else(String::new);
        session.push(Exchange { call, answer });
    }
    let second = next(&session, Run::Best);
    let properties = Call::with("device-list-properties", json!({"typename": "qxl"}));
    assert!(second.contains(&properties), "{second:?}");
    assert!(!second.contains(&Call::new("query-sev-capabilities")), "QEMU does not have it");
    for call in second {
        session.push(Exchange { call, answer: Err(String::from("no")) });
    }
    assert_eq!(next(&session, Run::Best), []);
}

#[test]
fn answers_become_a_document() {
    let mut tcg = Session::new();
    tcg.push(exchange("query-machines", json!([{"name": "isapc", "cpu-max": 1}])));
    let found = evaluate("/usr/bin/qemu", &session(), Some(&tcg)).unwrap();
    assert_eq!(
        found.format(),
        "<qemuCaps>
  <emulator>/usr/bin/qemu</emulator>
  <qemuctime>0</qemuctime>
  <selfctime>0</selfctime>
  <selfvers>0</selfvers>
  <flag name='kvm'/>
  <flag name='qxl'/>
  <flag name='VGA'/>
  <flag name='query-stats'/>
  <version>10000002</version>
  <microcodeVersion>0</microcodeVersion>
  <package>Debian</package>
  <arch>x86_64</arch>
  <machine type='kvm' name='pc-i440fx-10.0' alias='pc' maxCpus='255' default='yes'/>
  <machine type='kvm' name='pc-q35-10.0' alias='q35' maxCpus='4096' acpi='yes'/>
  <machine type='tcg' name='isapc' maxCpus='1'/>
</qemuCaps>
"
    );
}

#[test]
fn what_is_needed_is_missed() {
    for missing in
        ["query-version", "query-target", "query-qmp-schema", "qom-list-types", "query-machines"]
    {
        for answer in [Err(String::from("no")), Ok(json!(7)), Ok(json!({"qemu": {"major": -1}}))] {
            let mut broken = Session::new();
            for exchange in session().exchanges() {
                let mut exchange = exchange.clone();
                if exchange.call.command == missing {
                    exchange.answer = answer.clone();
                }
                broken.push(exchange);
            }
            let error = evaluate("qemu", &broken, None).unwrap_err();
            assert!(matches!(error, ProbeError::Answer { command } if command == missing));
        }
    }
}

#[test]
fn an_old_emulator_is_refused() {
    let mut old = Session::new();
    old.push(exchange("query-version", json!({"qemu": {"major": 6, "minor": 1, "micro": 0}})));
    assert!(matches!(evaluate("qemu", &old, None), Err(ProbeError::TooOld { .. })));
}

#[test]
fn a_document_has_the_hash_of_its_emulator_as_name() {
    let capabilities = Capabilities::new(Options::system(Path::new("/")));
    // sha256sum of the path, which is where libvirt looks too.
    let path = capabilities.document_path(Path::new("/usr/bin/qemu-system-x86_64"));
    assert_eq!(
        path,
        Path::new(
            "/var/cache/libvirt/qemu/capabilities/\
             926803a9278e445ec919c2b6cbd8c1c449c75b26dcb1686b774314180376c725.xml"
        )
    );
}

#[test]
fn errors_have_numbers_of_libvirt() {
    let missing = std::io::Error::from_raw_os_error(2);
    let error = ProbeError::Binary { path: "/x/qemu".into(), source: missing }.for_api();
    assert_eq!((error.code(), error.domain()), (ErrorCode::SYSTEM_ERROR, ErrorDomain::QEMU));
    assert_eq!(error.message(), "Cannot check QEMU binary /x/qemu: No such file or directory");
    let error = ProbeError::TooOld { emulator: String::from("/x/qemu") }.for_api();
    assert_eq!(error.code(), ErrorCode::CONFIG_UNSUPPORTED);
    let error = ProbeError::Exited { output: String::from("no such machine") }.for_api();
    assert_eq!(error.code(), ErrorCode::INTERNAL_ERROR);
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(WORDS), inner), 0..6).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

/// Names that the answers of an emulator have meaning by.
const WORDS: &[&str] = &[
    "name",
    "arch",
    "x86_64",
    "qemu",
    "major",
    "minor",
    "micro",
    "enabled",
    "present",
    "alias",
    "cpu-max",
    "meta-type",
    "command",
    "array",
    "element-type",
    "arg-type",
    "ret-type",
    "variants",
    "case",
    "type",
    "members",
    "virt",
    "typename",
    "unavailable-features",
    "model",
    "props",
    "deprecated-props",
    "option",
    "parameters",
    "scsi",
    "default-value",
    "version",
    "sections",
    "size",
    "section-size",
    "cbitpos",
    "add",
    "0",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// An emulator may answer whatever it likes.
    #[test]
    fn no_answer_panics(answers in prop::collection::vec(anything(), 16)) {
        let mut found = session();
        for round in 0..4 {
            let calls = next(&found, Run::Best);
            for (at, call) in calls.into_iter().enumerate() {
                let answer = answers.get((at + round) % 16).cloned().ok_or_else(String::new);
                found.push(Exchange { call, answer });
            }
        }
        let mut wild = Session::new();
        for (exchange, answer) in found.exchanges().iter().zip(&answers) {
            wild.push(Exchange { call: exchange.call.clone(), answer: Ok(answer.clone()) });
        }
        let _ignored = next(&wild, Run::Best);
        let _ignored = next(&wild, Run::Tcg(&wild));
        let _ignored = evaluate("qemu", &wild, Some(&found));
        if let Ok(capabilities) = evaluate("qemu", &found, Some(&wild)) {
            EmulatorCapabilities::parse(&capabilities.format()).unwrap();
        }
    }
}
