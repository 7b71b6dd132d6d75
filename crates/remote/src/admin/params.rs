//! Parameters of administration: names, and what setting them takes.

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};

use crate::wire::{TypedParam, TypedValue};

pub(super) fn uint(name: &str, value: usize) -> TypedParam {
    TypedParam::new(name, TypedValue::UInt(u32::try_from(value).unwrap_or(u32::MAX)))
}

/// A name and a value, to be set.
pub(super) fn number<'a>(param: &TypedParam, known: &[&'a str]) -> Result<(&'a str, u32)> {
    let field = param.field.to_text();
    let Some(name) = known.iter().find(|name| **name == field) else {
        let detail = format!("parameter '{field}' not supported");
        return Err(Error::new(ErrorCode::ARGUMENT_UNSUPPORTED, ErrorDomain::NONE, detail));
    };
    match param.value {
        TypedValue::UInt(value) => Ok((name, value)),
        _ => Err(invalid(format!("invalid type for parameter '{field}', expected 'uint'"))),
    }
}

pub(super) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail)
}
