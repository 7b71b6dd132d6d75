//! Typed parameters of administration calls.

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};

use crate::wire::{TypedParam, TypedValue};

pub(super) fn uint(name: &str, value: u32) -> TypedParam {
    TypedParam::new(name, TypedValue::UInt(value))
}

/// The parameters of a call that sets numbers, checked as libvirt checks them: in the order of their
/// names, each known, given once and an unsigned integer.
///
/// libvirt 11.3.0: `virTypedParamsValidate`, src/util/virtypedparam.c
///
/// # Errors
/// [`ErrorCode::ARGUMENT_UNSUPPORTED`] for an unknown name, [`ErrorCode::INVALID_ARG`] for a name given
/// twice or a value of another type.
pub(super) fn numbers<'a>(params: &[TypedParam], known: &[&'a str]) -> Result<Vec<(&'a str, u32)>> {
    let mut sorted: Vec<_> = params.iter().map(|param| (param.field.to_text(), param)).collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut numbers: Vec<(&str, u32)> = Vec::new();
    for (field, param) in sorted {
        let Some(name) = known.iter().find(|name| **name == field) else {
            let detail = format!("parameter '{field}' not supported");
            return Err(Error::new(ErrorCode::ARGUMENT_UNSUPPORTED, ErrorDomain::NONE, detail));
        };
        if numbers.last().is_some_and(|(last, _)| last == name) {
            return Err(invalid(format!("parameter '{field}' occurs multiple times")));
        }
        let TypedValue::UInt(value) = param.value else {
            let found = type_name(&param.value);
            let detail = format!("invalid type '{found}' for parameter '{field}', expected 'uint'");
            return Err(invalid(detail));
        };
        numbers.push((name, value));
    }
    Ok(numbers)
}

fn type_name(value: &TypedValue) -> &'static str {
    match value {
        TypedValue::Int(_) => "int",
        TypedValue::UInt(_) => "uint",
        TypedValue::LLong(_) => "llong",
        TypedValue::ULLong(_) => "ullong",
        TypedValue::Double(_) => "double",
        TypedValue::Boolean(_) => "boolean",
        TypedValue::String(_) => "string",
    }
}

pub(super) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail)
}
