//! to be written
pub mod nftables;
