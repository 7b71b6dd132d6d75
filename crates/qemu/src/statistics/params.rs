//! A list of parameters as it is built.

use oxivirt::{TypedParam, TypedValue};

/// Parameters, each added with the type that clients expect.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<TypedParam>);

impl Params {
    fn add(&mut self, field: impl Into<String>, value: TypedValue) {
        self.0.push(TypedParam { field: field.into(), value });
    }

    pub(super) fn int(&mut self, field: impl Into<String>, value: i32) {
        self.add(field, TypedValue::Int(value));
    }

    /// A count; one that is too large is the largest.
    pub(super) fn count(&mut self, field: impl Into<String>, value: usize) {
        self.add(field, TypedValue::UInt(u32::try_from(value).unwrap_or(u32::MAX)));
    }

    pub(super) fn uint(&mut self, field: impl Into<String>, value: u32) {
        self.add(field, TypedValue::UInt(value));
    }

    pub(super) fn long(&mut self, field: impl Into<String>, value: i64) {
        self.add(field, TypedValue::LLong(value));
    }

    pub(super) fn ulong(&mut self, field: impl Into<String>, value: u64) {
        self.add(field, TypedValue::ULLong(value));
    }

    pub(super) fn text(&mut self, field: impl Into<String>, value: impl Into<String>) {
        self.add(field, TypedValue::String(value.into()));
    }

    pub(super) fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(super) fn finish(self) -> Vec<TypedParam> {
        self.0
    }
}
