use super::*;

fn log() -> Log {
    Log::new(Priority::WARNING)
}

#[track_caller]
fn check_filters(list: &str, expect: Result<&str, &str>) {
    let log = log();
    let found = log.set_filters(list).map(|()| log.filters()).map_err(|error| error.to_string());
    assert_eq!(found.as_deref().map_err(String::as_str), expect, "{list}");
}

#[track_caller]
fn check_outputs(list: &str, expect: Result<&str, &str>) {
    let log = log();
    let found = log.set_outputs(list).map(|()| log.outputs()).map_err(|error| error.to_string());
    assert_eq!(found.as_deref().map_err(String::as_str), expect, "{list}");
}

#[test]
fn filters_are_formatted_as_libvirt_formats_them() {
    check_filters("", Ok(""));
    check_filters("  3:util   4:object ", Ok("3:*util* 4:*object* "));
    check_filters("01:+util", Ok("1:*util* "));
    check_filters("1:u*l:more", Ok("1:*u*l* "));
    check_filters("util", Err("Malformed format for filter 'util'"));
    check_filters("9:util", Err("Invalid priority '9' for filter '9:util'"));
    check_filters("1:+", Err("Invalid match string '+'"));
}

#[test]
fn outputs_are_formatted_as_libvirt_formats_them() {
    check_outputs("", Ok("3:stderr"));
    check_outputs("1:stderr 2:file:/dev/null 4:stderr", Ok("2:file:/dev/null 4:stderr"));
    check_outputs("1:syslog:", Ok("1:syslog:"));
    check_outputs("stderr", Err("Malformed format for log output 'stderr'"));
    check_outputs("5:stderr", Err("Invalid log priority '5' for log output '5:stderr'"));
    check_outputs("1:null", Err("Invalid log destination 'null' for log output '1:null'"));
    let requirements = "does not meet the format requirements for destination type";
    for (output, destination) in
        [("1:stderr:x", "stderr"), ("1:file", "file"), ("1:syslog", "syslog")]
    {
        let expect = format!("Log output '{output}' {requirements} '{destination}'");
        check_outputs(output, Err(&expect));
    }
    check_outputs("1:file:/nonexistent/log", Err("failed to open /nonexistent/log"));
}

#[test]
fn a_wrong_list_changes_nothing() {
    let log = log();
    log.set_filters("3:util").unwrap();
    log.set_outputs("4:stderr").unwrap();
    assert!(log.set_filters("1:x 9:y").is_err());
    assert!(log.set_outputs("1:stderr bogus").is_err());
    assert_eq!((log.filters().as_str(), log.outputs().as_str()), ("3:*util* ", "4:stderr"));
}

#[test]
fn events_above_the_threshold_reach_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = log();
    log.set_outputs(&format!("1:file:{}", path.display())).unwrap();
    let subscriber =
        tracing_subscriber::layer::SubscriberExt::with(tracing_subscriber::registry(), log.clone());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("below the threshold");
        tracing::warn!(number = 7, "two\nlines");
        log.set_filters("1:log").unwrap();
        tracing::debug!("above the threshold of the filter");
    });
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].ends_with(": two lines number=7"), "{text}");
    assert!(lines[0].contains(": warning : "), "{text}");
    assert!(lines[1].ends_with(": above the threshold of the filter"), "{text}");
}
