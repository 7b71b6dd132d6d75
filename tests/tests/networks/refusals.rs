//! What is refused, with number, domain and words: a transcript of libvirt's answers.
//!
//! `tests/data/refusals.txt` holds calls and answers, two lines each. With `OXIVIRT_BLESS=1` the
//! answers of the subject are written there; they are libvirt's, so that is done with
//! `OXIVIRT_SUBJECT=libvirt` only.

use oxivirt_tests::{apply, scenario};
use std::path::Path;

use oxivirt_tests::error::{Error, Result};
use oxivirt_tests::packets::name_of;
use oxivirt_tests::require::workspace;

use super::lab::Lab;

const NETWORKS: &[&str] = &[
    "<network><name>net</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
     <forward mode='nat'/><bridge name='virbr0' stp='off'/><mac address='52:54:00:6b:00:01'/>
     <dns><txt name='t' value='v'/><srv service='s' protocol='tcp' domain='d'/>
     <host ip='192.168.122.1'><hostname>same</hostname></host>
     <host ip='192.168.122.2'><hostname>same</hostname></host></dns>
     <ip address='192.168.122.1' prefix='24'><dhcp>
     <range start='192.168.122.100' end='192.168.122.199'/>
     <host mac='52:54:00:00:00:01' name='one' ip='192.168.122.50'/></dhcp></ip>
     <portgroup name='pg' default='yes'/></network>",
    "<network><name>nodev</name><forward mode='private'/></network>",
    "<network><name>pool</name><forward mode='passthrough'><interface dev='a0'/></forward></network>",
    "<network><name>lan</name><forward mode='bridge'/><bridge name='lan'/></network>",
    "<network><name>qbg</name><forward mode='vepa' dev='a0'/><virtualport type='802.1Qbg'>
     <parameters managerid='11' typeid='1' typeidversion='2'/></virtualport></network>",
];

const IDLE: &str = "<network><name>idle</name><bridge name='virbr7'/></network>";
const BRIEF: &str = "<network><name>brief</name><bridge name='virbr8'/></network>";

fn answer(lab: &mut Lab, call: &str) -> String {
    let mut words = call.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (verb, network, argument) = (word(), word(), word());
    match lab.session.ask(verb, network, argument) {
        Ok(_) => {
            // What was not refused shall not stand in the way of the next.
            if verb == "define" {
                lab.session.call("undefine", name_of(argument).unwrap(), "").unwrap();
            }
            "done".to_owned()
        }
        Err(Error::Refused { number, domain, message }) => format!("{number} {domain} {message}"),
        Err(other) => panic!("{call}: {other}"),
    }
}

fn read(path: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases = Vec::new();
    while let (Some(call), Some(answer)) = (lines.next(), lines.next()) {
        cases.push((call.to_owned(), answer.to_owned()));
    }
    Ok(cases)
}

#[apply(scenario)]
fn refusals_are_libvirts() {
    let mut lab = Lab::new(NETWORKS);
    lab.session.call("define", "-", IDLE).unwrap();
    lab.session.call("create-xml", "-", BRIEF).unwrap();
    let path = workspace().join("tests/data/refusals.txt");
    let cases = read(&path).unwrap();
    assert!(cases.len() > 100, "only {} cases", cases.len());
    let found: Vec<String> = cases.iter().map(|(call, _)| answer(&mut lab, call)).collect();
    if std::env::var_os("OXIVIRT_BLESS").is_some() {
        bless(&path, &cases, &found);
    }
    let differ = cases.iter().zip(&found).filter(|((_, expect), found)| expect != *found);
    let differ: Vec<String> = differ
        .map(|((call, expect), found)| format!("{call}\n  expected {expect}\n  found    {found}\n"))
        .collect();
    assert!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), cases.len(), differ.concat());
}

#[expect(clippy::disallowed_methods, reason = "a file of the project, on the developer's request")]
fn bless(path: &Path, cases: &[(String, String)], found: &[String]) {
    let text = std::fs::read_to_string(path).unwrap();
    let head: String = text
        .lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    let body: String =
        cases.iter().zip(found).map(|((call, _), found)| format!("\n{call}\n{found}\n")).collect();
    std::fs::write(path, head + &body).unwrap();
}
