use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    name: Text,
    uuid: Uuid16,
    alias: Option<Text>,
    letters: List<i8, 4>,
    large: u64,
}

fn sample() -> Sample {
    Sample {
        name: "abcde".into(),
        uuid: core::array::from_fn(|i| u8::try_from(i).unwrap()).into(),
        alias: Some("".into()),
        letters: vec![-1, 7].into(),
        large: 0x0102_0304_0506_0708,
    }
}

#[test]
fn a_struct_is_its_fields_one_after_another() {
    let mut bytes = Vec::new();
    append(&mut bytes, &sample()).unwrap();
    let expect = "00000005616263646500000000010203\
                  0405060708090a0b0c0d0e0f00000001\
                  0000000000000002ffffffff000000070102030405060708";
    assert_eq!(hex(&bytes), expect);
    assert_eq!(from_bytes_exact::<Sample>(&bytes), Ok(sample()));
}

#[track_caller]
fn check<T: for<'de> Deserialize<'de> + fmt::Debug + PartialEq>(
    bytes: &[u8],
    expect: impl Into<Result<T, XdrError>>,
) {
    assert_eq!(from_bytes::<T>(bytes), expect.into(), "{}", hex(bytes));
}

#[test]
fn reading_is_generous_where_libvirt_is() {
    check::<Option<u32>>(&[1, 0, 0, 0, 0, 0, 0, 7], Ok(Some(7)));
    check::<Text>(b"\0\0\0\x03a\0bX", Ok("a".into()));
    check::<Text>(b"\0\0\0\x01aXXX and more", Ok("a".into()));
    check::<Text>(&[0, 0, 0, 1, 0xff, 0, 0, 0], Ok(vec![0xff].into()));
}

#[test]
fn lengths_are_checked_before_anything_is_allocated() {
    check::<Text>(&[0xff; 8], Err(XdrError::TooLong { len: u32::MAX as usize, max: STRING_MAX }));
    check::<Text>(&[0, 0, 0, 2, b'a', b'b'], Err(XdrError::Short));
    check::<List<u32, 9>>(&[0, 0, 0, 2, 0, 0, 0, 1], Err(XdrError::Short));
    check::<List<u32, 9>>(&[0xff; 64], Err(XdrError::Short));
    let many = [0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let error = XdrError::Custom(XdrError::TooLong { len: 2, max: 1 }.to_string());
    check::<List<u32, 1>>(&many, Err(error));
    check::<List<u32, 2>>(&many, Ok(vec![1, 2].into()));
    check::<Result<(), ()>>(
        &[0, 0, 0, 2],
        Err(XdrError::Custom("invalid value: integer `2`, expected `Ok` or `Err`".to_owned())),
    );
    check::<u64>(&[0; 7], Err(XdrError::Short));
}

proptest! {
    #[test]
    fn what_is_written_is_read(text in proptest::collection::vec(1_u8.., 0..40), words: Vec<u32>, large: i64) {
        let value = (Text::from(text), List::<u32, 1000>(words), large, Some(1.5_f64), true);
        let mut bytes = Vec::new();
        append(&mut bytes, &value).unwrap();
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(from_bytes_exact(&bytes), Ok(value));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        drop(from_bytes::<Sample>(&bytes));
    }
}
