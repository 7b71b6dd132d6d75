//! Bytes to values.

use serde::de::value::U32Deserializer;
use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer as _, SeqAccess, VariantAccess, Visitor,
};

use super::{STRING_MAX, XdrError, element};

/// Reads values from a byte string, one after another.
#[derive(Debug, Clone)]
pub struct Reader<'de> {
    rest: &'de [u8],
}

impl<'de> Reader<'de> {
    /// A reader at the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'de [u8] {
        self.rest
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], XdrError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(XdrError::Short)?;
        self.rest = rest;
        Ok(*array)
    }

    fn word(&mut self) -> Result<u32, XdrError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Result<&'de [u8], XdrError> {
        let len = self.word()? as usize;
        if len > STRING_MAX {
            return Err(XdrError::TooLong { len, max: STRING_MAX });
        }
        let (padded, rest) =
            self.rest.split_at_checked(len.next_multiple_of(4)).ok_or(XdrError::Short)?;
        self.rest = rest;
        padded.get(..len).ok_or(XdrError::Short)
    }
}

macro_rules! narrow {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
            // libvirt keeps the low byte of a char, however the encoder extended it
            #[expect(clippy::cast_possible_truncation, reason = "meant")]
            visitor.$visit(self.word()? as $type)
        }
    )*};
}

macro_rules! wide {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
            visitor.$visit(<$type>::from_be_bytes(self.array()?))
        }
    )*};
}

macro_rules! unsupported {
    ($($method:ident $what:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, XdrError> {
            Err(XdrError::Unsupported { what: $what })
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = XdrError;

    narrow! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
    }

    wide! {
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_f64 visit_f64 f64
    }

    unsupported! {
        deserialize_any "a value of unknown type"
        deserialize_f32 "f32"
        deserialize_char "char"
        deserialize_map "a map"
        deserialize_identifier "a name"
        deserialize_ignored_any "a value of unknown type"
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        visitor.visit_bool(self.word()? != 0)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        let text = std::str::from_utf8(self.bytes()?);
        visitor.visit_borrowed_str(text.map_err(|_| XdrError::Custom("not UTF-8".to_owned()))?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        match self.word()? {
            0 => visitor.visit_none(),
            // one client of libvirt sends the word the wrong way round
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        let count = self.word()? as usize;
        // no element of libvirt's lists takes less than a word
        if count > self.rest.len() / 4 {
            return Err(XdrError::Short);
        }
        visitor.visit_seq(Elements { reader: self, left: count })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        visitor.visit_seq(Elements { reader: self, left: len })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        visitor.visit_enum(Variant { reader: self })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// So many values, one after another.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = XdrError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, XdrError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        element(seed, self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// An index and what it stands for.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = XdrError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), XdrError> {
        let index: U32Deserializer<XdrError> = self.reader.word()?.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = XdrError;

    fn unit_variant(self) -> Result<(), XdrError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, XdrError> {
        element(seed, self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, XdrError> {
        visitor.visit_seq(Elements { reader: self.reader, left: len })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        self.tuple_variant(fields.len(), visitor)
    }
}

/// Reads an enum whose index is known and not among the bytes.
///
/// With a status, the content of the variant is a `Result` whose discriminant is known too.
#[derive(Debug)]
pub struct Indexed<'de> {
    index: u32,
    status: Option<u32>,
    reader: Reader<'de>,
}

impl<'de> Indexed<'de> {
    /// The variant `index`, whose content is `bytes`.
    #[must_use]
    pub fn new(index: u32, bytes: &'de [u8]) -> Self {
        Self { index, status: None, reader: Reader::new(bytes) }
    }

    /// The variant `index`, whose content is a result: `status` 0 for success and `bytes`.
    #[must_use]
    pub fn with_status(index: u32, status: u32, bytes: &'de [u8]) -> Self {
        Self { index, status: Some(status), reader: Reader::new(bytes) }
    }
}

impl<'de> de::Deserializer<'de> for Indexed<'de> {
    type Error = XdrError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, XdrError> {
        visitor.visit_enum(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Indexed<'de> {
    type Error = XdrError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), XdrError> {
        let index: U32Deserializer<XdrError> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Indexed<'de> {
    type Error = XdrError;

    fn unit_variant(self) -> Result<(), XdrError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        mut self,
        seed: T,
    ) -> Result<T::Value, XdrError> {
        match self.status {
            Some(index) => seed.deserialize(Self { index, status: None, reader: self.reader }),
            None => element(seed, &mut self.reader),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(
        mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        visitor.visit_seq(Elements { reader: &mut self.reader, left: len })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, XdrError> {
        self.tuple_variant(fields.len(), visitor)
    }
}
