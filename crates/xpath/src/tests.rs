use super::*;

const XML: &str = "<network connections='1'><name>lab</name><forward mode='nat'><interface dev='eth0'/></forward>\
    <ip address='10.0.0.1' netmask='255.0.0.0'><dhcp><range start='10.0.0.2' end='10.0.0.9'/>\
    <host mac='52:54:00:00:00:01' name='a' ip='10.0.0.3'/><host mac='52:54:00:00:00:02' ip='10.0.0.4'/></dhcp></ip>\
    <metadata><x:row xmlns:x='urn:x' n='4'>B</x:row></metadata></network>";

fn select_lines(expression: &str) -> String {
    match select(XML, expression, Form::Lines).unwrap() {
        Ok(lines) => lines,
        Err(error) => format!("{error:?}"),
    }
}

#[track_caller]
fn check(expression: &str, expect: &str) {
    assert_eq!(select_lines(expression), expect, "{expression}");
}

/// Evaluates to a text, by selecting the name where it equals the expected one.
#[track_caller]
fn check_value(expression: &str, expect: &str) {
    let found = select_lines(&format!("self::node()[string({expression}) = '{expect}']/name"));
    assert_eq!(found, "<name>lab</name>\n", "{expression}");
}

#[test]
fn paths() {
    check("name", "<name>lab</name>\n");
    check("/network/name", "<name>lab</name>\n");
    check("//range", "<range start=\"10.0.0.2\" end=\"10.0.0.9\"/>\n");
    check("//ip/@*", " address=\"10.0.0.1\"\n netmask=\"255.0.0.0\"\n");
    check("//host[2]", "<host mac=\"52:54:00:00:00:02\" ip=\"10.0.0.4\"/>\n");
    check("//host[last()]/@ip | name", "<name>lab</name>\n ip=\"10.0.0.4\"\n");
    check("//host[@name]/@mac", " mac=\"52:54:00:00:00:01\"\n");
    check("//host[@name='a' and not(@ip='x')]/@ip", " ip=\"10.0.0.3\"\n");
    check("name/text()", "lab\n");
    check("//zone", "");
    check("//host[@mac='52:54:00:00:00:02']/preceding-sibling::host/@ip", " ip=\"10.0.0.3\"\n");
    check("//range/following::host[1]/@ip", " ip=\"10.0.0.3\"\n");
    check("//range/ancestor::*[1]/../@address", " address=\"10.0.0.1\"\n");
    check("(//host)[1]/@ip", " ip=\"10.0.0.3\"\n");
    check("//*[local-name() = 'row']/@n", " n=\"4\"\n");
    check("//row", "");
    check("self::node()[@connections > 0]/name", "<name>lab</name>\n");
    check("descendant::interface", "<interface dev=\"eth0\"/>\n");
}

#[test]
fn values() {
    check_value("count(//host)", "2");
    check_value("1 + 2 * 3 - 4 div 2", "5");
    check_value("7 mod 4", "3");
    check_value("-(-3)", "3");
    check_value("concat(name, '-', //ip/@address)", "lab-10.0.0.1");
    check_value("substring('12345', 1.5, 2.6)", "234");
    check_value("substring('12345', 0 div 0, 3)", "");
    check_value("substring-before('a/b', '/')", "a");
    check_value("substring-after('a/b', '/')", "b");
    check_value("translate('bar', 'abc', 'AB')", "BAr");
    check_value("normalize-space('  a   b ')", "a b");
    check_value("string-length('äö')", "2");
    check_value("round(-0.5) = 0", "true");
    check_value("floor(1.9) + ceiling(1.1)", "3");
    check_value("number('x')", "NaN");
    check_value("1 div 0", "Infinity");
    check_value("//host/@ip = '10.0.0.4'", "true");
    check_value("//host/@ip != '10.0.0.4'", "true");
    check_value("contains(name, 'a') or foo", "true");
    check_value("name(//*[@n])", "x:row");
    check_value("namespace-uri(//*[@n])", "urn:x");
}

#[test]
fn what_is_no_selection() {
    check("count(//ip)", "NotNodes");
    check("'a'", "NotNodes");
    check("//ip[", "Syntax { what: \"invalid expression\", at: 5 }");
    check("//ip]", "Syntax { what: \"invalid expression\", at: 4 }");
    check("'a", "Syntax { what: \"unfinished literal\", at: 0 }");
    check("x:y", "Unknown { what: \"prefix\", name: \"x\" }");
    check("$a", "Unknown { what: \"variable\", name: \"a\" }");
    check("foo()", "Unknown { what: \"function\", name: \"foo\" }");
    check("count()", "Arguments { function: \"count\" }");
    check(&"(".repeat(100_000), "TooDeep");
    check(&format!("1{}", " + 1".repeat(100_000)), "TooDeep");
    check("", "Syntax { what: \"invalid expression\", at: 0 }");
    check("é§", "Syntax { what: \"invalid expression\", at: 1 }");
}

#[test]
fn wrapped() {
    let wrap = |expression| select(XML, expression, Form::Wrapped).unwrap().unwrap();
    assert_eq!(wrap("//zone"), "<nodes/>\n");
    assert_eq!(
        wrap("name|//range/@start"),
        "<nodes start=\"10.0.0.2\">\n  <name>lab</name>\n</nodes>\n"
    );
    assert_eq!(wrap("//host/@mac"), "<nodes mac=\"52:54:00:00:00:02\"/>\n");
    assert_eq!(wrap("name/text()"), "<nodes>lab</nodes>\n");
}

#[test]
fn the_root_is_the_whole_document() {
    let all = select("<a><b/></a>", "/", Form::Lines).unwrap().unwrap();
    assert_eq!(all, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a>\n  <b/>\n</a>\n\n");
}
