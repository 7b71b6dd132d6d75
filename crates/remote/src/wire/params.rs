//! Typed parameters: a union whose arms libvirt numbers from 1.

use std::fmt;

use oxivirt::TypedValue as ApiValue;
use oxivirt_rpc::xdr::Text;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A parameter (`remote_typed_param`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypedParam {
    /// Its name.
    pub field: Text,
    /// Its value.
    pub value: TypedValue,
}

impl TypedParam {
    /// A parameter.
    pub fn new(field: &str, value: TypedValue) -> Self {
        Self { field: field.into(), value }
    }
}

/// The value of a parameter (`remote_typed_param_value`).
#[derive(Debug, Clone, PartialEq)]
pub enum TypedValue {
    /// 1
    Int(i32),
    /// 2
    UInt(u32),
    /// 3
    LLong(i64),
    /// 4
    ULLong(u64),
    /// 5
    Double(f64),
    /// 6
    Boolean(i32),
    /// 7
    String(Text),
}

impl Serialize for TypedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(value) => (1, value).serialize(serializer),
            Self::UInt(value) => (2, value).serialize(serializer),
            Self::LLong(value) => (3, value).serialize(serializer),
            Self::ULLong(value) => (4, value).serialize(serializer),
            Self::Double(value) => (5, value).serialize(serializer),
            Self::Boolean(value) => (6, value).serialize(serializer),
            Self::String(value) => (7, value).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TypedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Arms;
        impl<'de> Visitor<'de> for Arms {
            type Value = TypedValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value of one of seven types")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TypedValue, A::Error> {
                fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
                    seq: &mut A,
                ) -> Result<T, A::Error> {
                    seq.next_element()?.ok_or_else(|| de::Error::custom("no value"))
                }
                Ok(match next::<i32, A>(&mut seq)? {
                    1 => TypedValue::Int(next(&mut seq)?),
                    2 => TypedValue::UInt(next(&mut seq)?),
                    3 => TypedValue::LLong(next(&mut seq)?),
                    4 => TypedValue::ULLong(next(&mut seq)?),
                    5 => TypedValue::Double(next(&mut seq)?),
                    6 => TypedValue::Boolean(next(&mut seq)?),
                    7 => TypedValue::String(next(&mut seq)?),
                    other => return Err(de::Error::custom(format_args!("no type {other}"))),
                })
            }
        }
        deserializer.deserialize_tuple(2, Arms)
    }
}

impl From<&oxivirt::TypedParam> for TypedParam {
    fn from(param: &oxivirt::TypedParam) -> Self {
        let value = match &param.value {
            ApiValue::Int(value) => TypedValue::Int(*value),
            ApiValue::UInt(value) => TypedValue::UInt(*value),
            ApiValue::LLong(value) => TypedValue::LLong(*value),
            ApiValue::ULLong(value) => TypedValue::ULLong(*value),
            ApiValue::Double(value) => TypedValue::Double(*value),
            ApiValue::Boolean(value) => TypedValue::Boolean(i32::from(*value)),
            ApiValue::String(value) => TypedValue::String(value.as_str().into()),
        };
        Self { field: param.field.as_str().into(), value }
    }
}

impl From<&TypedParam> for oxivirt::TypedParam {
    fn from(param: &TypedParam) -> Self {
        let value = match &param.value {
            TypedValue::Int(value) => ApiValue::Int(*value),
            TypedValue::UInt(value) => ApiValue::UInt(*value),
            TypedValue::LLong(value) => ApiValue::LLong(*value),
            TypedValue::ULLong(value) => ApiValue::ULLong(*value),
            TypedValue::Double(value) => ApiValue::Double(*value),
            TypedValue::Boolean(value) => ApiValue::Boolean(*value != 0),
            TypedValue::String(value) => ApiValue::String(value.to_text()),
        };
        Self { field: param.field.to_text(), value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxivirt_rpc::xdr;

    #[test]
    fn every_type_comes_back() {
        for value in [
            ApiValue::Int(-1),
            ApiValue::UInt(2),
            ApiValue::LLong(-3),
            ApiValue::ULLong(4),
            ApiValue::Double(0.5),
            ApiValue::Boolean(true),
            ApiValue::String("text".to_owned()),
        ] {
            let param = oxivirt::TypedParam { field: "name".to_owned(), value };
            let mut bytes = Vec::new();
            xdr::append(&mut bytes, &TypedParam::from(&param)).unwrap();
            let read: TypedParam = xdr::from_bytes_exact(&bytes).unwrap();
            assert_eq!(oxivirt::TypedParam::from(&read), param);
        }
    }

    #[test]
    fn other_types_are_refused() {
        for number in [0, 8] {
            let bytes = [0, 0, 0, number, 0, 0, 0, 0];
            assert!(xdr::from_bytes::<TypedValue>(&bytes).is_err());
        }
    }
}
