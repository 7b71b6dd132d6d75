//! What is read, what is refused and where, what is written.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expect: &Value) {
    let file = KeyFile::parse("f", text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(file.value("a"), Some(expect), "{text:?}");
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[track_caller]
fn check_error(text: &str, line: u32, reason: &'static str) {
    let expect = KeyFileError::Syntax { file: String::from("f"), line, reason };
    assert_eq!(KeyFile::parse("f", text), Err(expect), "{text:?}");
}

#[test]
fn values() {
    check("a=1", &Value::Integer(1));
    check("a = -5 ;# c\nb=2", &Value::Integer(-5));
    check("# c\n\n\ta = +7\r\nb = 2\r\n", &Value::Integer(7));
    check("a = 'x\"y' # c", &string("x\"y"));
    check("a = \"\"\"x\ny\"z\"\"\"", &string("x\ny\"z"));
    check("a = \"é\"\na = 2", &string("é"));
    check(
        "a = [ 1,\n[\"x\"], ]",
        &Value::List(vec![Value::Integer(1), Value::List(vec![string("x")])]),
    );
    check("a = []", &Value::List(Vec::new()));
    assert_eq!(KeyFile::parse("f", "").map(|file| file.lines().len()), Ok(0));
}

#[test]
fn refusals() {
    check_error(" ", 1, "expecting a name");
    check_error("\n\n", 3, "expecting a name");
    check_error("1a = 2", 1, "expecting a name");
    check_error("_a = 2", 1, "expecting a name");
    check_error("a-b = 2", 1, "expecting an assignment");
    check_error("a = 1\nb", 2, "expecting an assignment");
    check_error("a = \n1", 1, "expecting a value");
    check_error("a = [,]", 1, "expecting a value");
    check_error("a = [1,", 1, "expecting a value");
    check_error("a = [1", 1, "list is not closed with ]");
    check_error("a = [1,\n2\n3]", 3, "expecting a separator in list");
    check_error("a = 1 b = 2", 1, "expecting a separator");
    check_error("a = \"\"\"x", 1, "expecting a separator");
    check_error("a = 'x\ny'", 1, "unterminated string");
    check_error("a = -", 1, "unterminated number");
    check_error("a = 0x10", 1, "expecting a separator");
    check_error(&format!("a = {}", "[".repeat(100_000)), 1, "lists are nested too deeply");
    let overflow = KeyFile::parse("f", "\na = 9223372036854775808").unwrap_err();
    assert_eq!(
        (overflow.code(), overflow.to_string().as_str()),
        (82, "f:2: numeric overflow in conf value")
    );
}

#[test]
fn types() {
    let text = "n = 1\ns = 'x'\nl = ['x', 'y']\ni = -2147483648\nu = 4294967295\nz = +0";
    let file = KeyFile::parse("f", text).unwrap();
    assert_eq!(file.uint("n"), Ok(Some(1)));
    assert_eq!(file.boolean("n"), Ok(Some(true)));
    assert_eq!(file.boolean("z"), Ok(Some(false)));
    assert_eq!(file.int("i"), Ok(Some(i32::MIN)));
    assert_eq!(file.uint("u"), Ok(Some(u32::MAX)));
    assert_eq!(file.string("s"), Ok(Some("x")));
    assert_eq!(file.string_list("l"), Ok(Some(vec!["x", "y"])));
    assert_eq!(file.string("absent"), Ok(None));
    assert_eq!(file.check("absent", Type::Bool), Ok(()));
}

#[track_caller]
fn check_type(value: &str, expected: Type, code: i32, text: &str) {
    let file = KeyFile::parse("f", &format!("a = {value}")).unwrap();
    let error = file.check("a", expected).expect_err(value);
    assert_eq!((error.code(), error.to_string().as_str()), (code, text), "{value}");
}

/// As `libvirtd -f FILE` of libvirt 11.3.0 words them.
#[test]
fn wrong_types_and_ranges() {
    check_type("1", Type::String, 1, "f: expected a string for 'a' parameter");
    check_type("'x'", Type::Bool, 1, "f: expected a bool for 'a' parameter");
    check_type("-1", Type::Bool, 1, "f: expected a bool for 'a' parameter");
    check_type("2", Type::Bool, 1, "f: value for 'a' parameter must be 0 or 1");
    check_type("-1", Type::Uint, 1, "f: expected an unsigned integer for 'a' parameter");
    check_type("'5'", Type::Uint, 1, "f: expected an unsigned integer for 'a' parameter");
    let range = "f: value for 'a' parameter must be in range 0:4294967295";
    check_type("4294967296", Type::Uint, 1, range);
    check_type("'5'", Type::Int, 1, "f: expected a signed integer for 'a' parameter");
    let range = "f: value for 'a' parameter must be in range -2147483648:2147483647";
    check_type("2147483648", Type::Int, 1, range);
    check_type("-2147483649", Type::Int, 1, range);
    check_type("'x'", Type::StringList, 1, "f: expected a string list for 'a' parameter");
    check_type("[1]", Type::StringList, 33, "f: expected a string list for 'a' parameter");
}

#[test]
fn writing_keeps_what_it_does_not_change() {
    let text = "# head\na = 'x\"' # why\nb = [ 1, \"y\" ]\n";
    let mut file = KeyFile::parse("f", text).unwrap();
    assert_eq!(file.format().as_deref(), Some(text));
    file.set("a", string("z"));
    assert_eq!(file.format().as_deref(), Some("# head\na = \"z\" # why\nb = [ 1, \"y\" ]\n"));
    file.set("a", string("'\"\"\"\n"));
    assert_eq!(file.format(), None);
}

fn values_of_any_kind() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-i64::MAX..=i64::MAX).prop_map(Value::Integer),
        "[ -~é\n]{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(Value::List)
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(value in values_of_any_kind(), comment in "[ -~]{0,8}") {
        let mut file = KeyFile { name: String::from("f"), lines: vec![Line::Comment(comment)] };
        file.set("a", value);
        if let Some(text) = file.format() {
            prop_assert_eq!(KeyFile::parse("f", &text), Ok(file));
        }
    }

    #[test]
    fn anything_is_read_or_refused(text in "\\PC{0,40}|[a=\\[\\]\"', #;\n1]{0,40}") {
        drop(KeyFile::parse("f", &text));
    }
}
