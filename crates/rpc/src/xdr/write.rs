//! Values to bytes.

use serde::ser::{self, Serialize};

use super::{STRING_MAX, XdrError};

/// Appends values to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    #[must_use]
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    fn count(&mut self, len: usize) -> Result<(), XdrError> {
        let count = u32::try_from(len);
        let count = count.map_err(|_| XdrError::TooLong { len, max: u32::MAX as usize })?;
        self.out.extend_from_slice(&count.to_be_bytes());
        Ok(())
    }
}

type Written = Result<(), XdrError>;

impl ser::Serializer for &mut Writer<'_> {
    type Ok = ();
    type Error = XdrError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = ser::Impossible<(), XdrError>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_bool(self, value: bool) -> Written {
        self.serialize_u32(u32::from(value))
    }

    fn serialize_i8(self, value: i8) -> Written {
        self.serialize_i32(value.into())
    }

    fn serialize_i16(self, value: i16) -> Written {
        self.serialize_i32(value.into())
    }

    fn serialize_i32(self, value: i32) -> Written {
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Written {
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Written {
        self.serialize_u32(value.into())
    }

    fn serialize_u16(self, value: u16) -> Written {
        self.serialize_u32(value.into())
    }

    fn serialize_u32(self, value: u32) -> Written {
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Written {
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Written {
        Err(XdrError::Unsupported { what: "f32" })
    }

    fn serialize_f64(self, value: f64) -> Written {
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, _: char) -> Written {
        Err(XdrError::Unsupported { what: "char" })
    }

    fn serialize_str(self, text: &str) -> Written {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        if bytes.len() > STRING_MAX {
            return Err(XdrError::TooLong { len: bytes.len(), max: STRING_MAX });
        }
        self.count(bytes.len())?;
        self.out.extend_from_slice(bytes);
        let padding = bytes.len().next_multiple_of(4) - bytes.len();
        self.out.extend_from_slice([0; 3].get(..padding).unwrap_or_default());
        Ok(())
    }

    fn serialize_none(self) -> Written {
        self.serialize_u32(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        self.serialize_u32(1)?;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Written {
        self.serialize_u32(index)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Written {
        self.serialize_u32(index)?;
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self, XdrError> {
        self.count(len.ok_or(XdrError::Unsupported { what: "a list of unknown length" })?)?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, XdrError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, XdrError> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, XdrError> {
        self.serialize_u32(index)?;
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, XdrError> {
        Err(XdrError::Unsupported { what: "a map" })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, XdrError> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, XdrError> {
        self.serialize_u32(index)?;
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! one_after_another {
    ($($compound:ident $method:ident)*) => {$(
        impl ser::$compound for &mut Writer<'_> {
            type Ok = ();
            type Error = XdrError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                value.serialize(&mut **self)
            }

            fn end(self) -> Written {
                Ok(())
            }
        }
    )*};
}

one_after_another! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! field_after_field {
    ($($compound:ident)*) => {$(
        impl ser::$compound for &mut Writer<'_> {
            type Ok = ();
            type Error = XdrError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Written {
                value.serialize(&mut **self)
            }

            fn end(self) -> Written {
                Ok(())
            }
        }
    )*};
}

field_after_field! { SerializeStruct SerializeStructVariant }
