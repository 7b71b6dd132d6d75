//! Reader, writer and dump together: each rule in one or two lines.

use super::*;

#[track_caller]
fn check(text: &str, expect: &str) {
    let root = parse(text, Blanks::Drop).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(dump(&root, 0), expect);
}

#[track_caller]
fn check_error(text: &str, expect: &str) {
    assert_eq!(
        parse(text, Blanks::Drop).map_err(|error| error.to_string()),
        Err(expect.to_owned())
    );
}

#[test]
fn references_and_line_ends() {
    check(
        "<a b='&lt;&#x41;&#10;x\n\ty'>&amp;&#65;\r\n</a>",
        "<a b=\"&lt;A&#10;x  y\">&amp;A\n</a>",
    );
    check(
        "<!DOCTYPE a [<!ENTITY e 'v'><!ENTITY f '&e;&#38;amp;'>]><a b='&e;'>&f;</a>",
        "<a b=\"v\">v&amp;</a>",
    );
    check("<!DOCTYPE a [<!ENTITY e '<i>x</i>y'>]><a>&e;</a>", "<a>xy</a>");
    check("<?xml version='1.0' encoding='UTF-8'?><!-- c --><a/><!-- d -->", "<a/>");
}

#[test]
fn namespaces() {
    let root =
        parse("<p:a xmlns:p='urn:1' p:x='1' q:y='2'><b xmlns='urn:2'/><q:c/></p:a>", Blanks::Drop)
            .unwrap();
    assert_eq!((root.name.as_ref(), root.namespace.as_deref()), ("a", Some("urn:1")));
    assert_eq!((root.attribute("x"), root.property("x")), (None, Some("1")));
    assert_eq!(root.attribute("q:y"), Some("2"));
    let children: Vec<_> =
        root.elements().map(|e| (e.name.as_ref(), e.namespace.as_deref())).collect();
    assert_eq!(children, [("b", Some("urn:2")), ("q:c", None)]);
}

#[test]
fn insignificant_blanks() {
    check("<a> <b> </b> </a>", "<a>\n  <b> </b>\n</a>");
    check("<a>x<b/> <c/></a>", "<a>x<b/> <c/></a>");
    check("<a><b/><![CDATA[x]]> <![CDATA[y]]> <c/></a>", "<a><b/><![CDATA[xy]]><c/></a>");
    check("<a> <b/>x <c/> </a>", "<a><b/>x <c/></a>");
    check(
        "<a><!--c--> <b/><![CDATA[]]]]><![CDATA[>]]></a>",
        "<a><!--c--><b/><![CDATA[]]]]><![CDATA[>]]></a>",
    );
}

#[test]
fn refused_like_libxml2() {
    check_error(
        "<a>\n  <b></c>\n</a>\n",
        "at line 2: Opening and ending tag mismatch: b line 2 and c\n  <b></c>\n---------^",
    );
    check_error("<a>\n<b>\n", "at line 3: Premature end of data in tag b line 2\n<b>\n---^");
    check_error("abc", "at line 1: Start tag expected, '<' not found\nabc\n^");
    check_error(
        "<a b></a>",
        "at line 1: Specification mandates value for attribute b\n<a b></a>\n----^",
    );
    check_error(
        "<a b=\"c\" b=\"d\"/>",
        "at line 1: Attribute b redefined\n<a b=\"c\" b=\"d\"/>\n--------------^",
    );
    check_error("<a b=\"x", "at line 1: AttValue: ' expected\n<a b=\"x\n-------^");
    check_error("<a", "at line 1: Couldn't find end of Start Tag a line 1\n<a\n--^");
    check_error("<a>&foo;</a>", "at line 1: Entity 'foo' not defined\n<a>&foo;</a>\n--------^");
    check_error("<a/><b/>", "at line 1: Extra content at the end of the document\n<a/><b/>\n----^");
    check_error("<a>\u{1}</a>", "at line 1: PCDATA invalid Char value 1\n<a>\u{1}</a>\n---^");
    check_error("<a>]]></a>", "at line 1: Sequence ']]>' not allowed in content\n<a>]]></a>\n---^");
    check_error(
        "<a><?xml version='1.0'?></a>",
        "at line 1: XML declaration allowed only at the start of the document\n<a><?xml version='1.0'?></a>\n--------^",
    );
}

#[test]
fn limits() {
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    assert!(parse(&nested(MAX_DEPTH), Blanks::Drop).is_ok());
    let error = parse(&nested(MAX_DEPTH + 2), Blanks::Drop).unwrap_err();
    assert!(matches!(error.kind(), XmlErrorKind::TooDeep { .. }), "{error}");
    let error = parse(&"x".repeat(MAX_SIZE + 1), Blanks::Drop).unwrap_err();
    assert!(matches!(error.kind(), XmlErrorKind::TooLarge { .. }));
    assert!(error.to_string().len() < 33_000);
}

#[test]
fn entity_expansion_is_bounded() {
    let mut text = String::from("<!DOCTYPE a [<!ENTITY e0 'lollollol'>");
    for level in 1..15 {
        let references = format!("&e{};", level - 1).repeat(10);
        text.push_str(&format!("<!ENTITY e{level} '{references}'>"));
    }
    for body in ["<a>&e14;</a>", "<a b='&e14;'/>"] {
        let text = format!("{text}]>{body}");
        let error = parse(&text, Blanks::Drop).unwrap_err();
        assert_eq!(error.kind(), &XmlErrorKind::Amplification);
    }
    check_error(
        "<!DOCTYPE a [<!ENTITY e '&e;'>]><a>&e;</a>",
        "at line 1: Detected an entity reference loop\n<!DOCTYPE a [<!ENTITY e '&e;'>]><a>&e;</a>\n--------------------------------------^",
    );
}

#[test]
fn writer_layout() {
    let mut out = Writer::new();
    out.begin("a").attr("b", "<'\"&>\u{1}\t").display_opt("n", Some(3)).attr_opt("m", None).open();
    out.text("t", "x & y");
    out.begin("c").empty();
    out.end("a");
    assert_eq!(
        out.finish(),
        "<a b='&lt;&apos;&quot;&amp;&gt;\t' n='3'>\n  <t>x &amp; y</t>\n  <c/>\n</a>\n"
    );
}

/// What libvirt 11.3.0 (libxml2 2.9.14) answers to a declaration before a document with characters
/// outside of ASCII.
#[test]
fn the_declared_encoding_has_no_effect() {
    for name in [
        "UTF-8",
        "utf8",
        "ISO-8859-1",
        "UTF-16",
        "utf-16le",
        "windows-1252",
        "UCS-4",
        "UTF-7",
        "ascii",
        "KOI8-R",
        "latin1",
        "L1",
    ] {
        check(
            &format!("<?xml version='1.0' encoding='{name}'?><a>\u{e9}\u{20ac}</a>"),
            "<a>\u{e9}\u{20ac}</a>",
        );
    }
    check("\u{feff}<?xml version='1.0' encoding='ISO-8859-1'?><a>\u{e9}</a>", "<a>\u{e9}</a>");
    check_error(
        "<?xml version='1.0' encoding='foo'?><a/>",
        "at line 1: Unsupported encoding foo\n<?xml version='1.0' encoding='foo'?><a/>\n----------------------------------^",
    );
    check_error(
        "<?xml version='1.0' encoding='8bit'?><a/>",
        "at line 1: Invalid XML encoding name\n<?xml version='1.0' encoding='8bit'?><a/>\n------------------------------^",
    );
}

#[test]
fn bytes_that_are_not_utf8_are_refused_at_their_place() {
    assert_eq!(decode("<a>\u{e9}</a>".as_bytes()), Ok("<a>\u{e9}</a>"));
    let error = decode(b"<a>\n <b>\xe9</b></a>").unwrap_err().to_string();
    assert_eq!(
        error,
        "at line 2: Input is not proper UTF-8, indicate encoding !\nBytes: 0xE9 0x3C 0x2F 0x62\n <b>\u{fffd}</b></a>\n----^"
    );
    assert!(decode(b"<a>\xe9").unwrap_err().to_string().contains("Bytes: 0xE9\n"));
}

/// What libvirt 11.3.0 accepts before the root, and what it does not.
#[test]
fn prolog() {
    for prolog in [
        "<?xml version='1.1'?>",
        "<?xml version = '1.0'?>",
        "<?xml version='1.0' standalone='no'?>",
        "<!-- c --><?pi x?><!DOCTYPE b SYSTEM 'http://x/y.dtd'>",
        "<!DOCTYPE a PUBLIC '-//x' 'y'>",
        "<!DOCTYPE a [<!ELEMENT a ANY><!ATTLIST a b CDATA 'z'>]>",
        "<!DOCTYPE a [<?pi?><!-- c --><!NOTATION n SYSTEM 'x'>]>",
        "<?xmlfoo version='1.0'?>",
        "<?xml-stylesheet href='x'?>",
        "<?a:b x?>",
    ] {
        check(&format!("{prolog}<a/>"), "<a/>");
    }
    for prolog in [
        "\n<?xml version='1.0'?>",
        "<?xml version='2.0'?>",
        "<?xml version='1'?>",
        "<?xml version='1.x'?>",
        "<?xml version=''?>",
        "<?xml encoding='UTF-8'?>",
        "<?xml standalone='yes'?>",
        "<?xml version='1.0' standalone='maybe'?>",
        "<?xml version='1.0' standalone='yes' encoding='UTF-8'?>",
        "<?xml version='1.0' encoding='UTF-8' foo='1'?>",
        "<?xml version='1.0'encoding='UTF-8'?>",
        "<?xml version='1.0' encoding=''?>",
        "<?xml version='1.0'?><?xml version='1.0'?>",
        "<?XML version='1.0'?>",
        "<!DOCTYPE a PUBLIC 'x'>",
        "<!DOCTYPE a><!DOCTYPE a>",
    ] {
        assert!(parse(&format!("{prolog}<a/>"), Blanks::Drop).is_err(), "{prolog}");
    }
}
