//! `<bandwidth>`: rate limits of a network, a port group or a port.

use oxivirt_xml::{Element, Writer};

use crate::error::{Class, ErrorCode, ErrorDomain, Result};
use crate::node::Node as _;
use crate::scalar::Base;

/// Limits of both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// What guests receive.
    pub inbound: Option<Rate>,
    /// What guests send.
    pub outbound: Option<Rate>,
}

/// Limits of one direction (`<inbound>`, `<outbound>`).
///
/// `average`, `peak` and `floor` are kilobytes per second, `burst` is kibibytes; 0 is absent.
/// `floor` exists for the inbound direction of a port only and needs no `average`; `peak` and
/// `burst` do.
///
/// libvirt 11.3.0: `virNetDevBandwidthParseRate`, src/conf/netdev_bandwidth_conf.c
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Rate over time.
    pub average: u64,
    /// Highest rate of a burst.
    pub peak: u64,
    /// Size of a burst.
    pub burst: u64,
    /// Rate guaranteed.
    pub floor: u64,
}

/// Whether a guaranteed rate makes sense where the element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    Allowed,
    Refused,
}

/// What is wrong with a `<bandwidth>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BandwidthError {
    /// `classID` outside of a port.
    #[error("classID attribute not supported on <bandwidth> in this usage context")]
    ClassId,
    /// Neither `average` nor `floor`.
    #[error("Missing mandatory average or floor attributes")]
    NoRate,
    /// `peak` or `burst` alone.
    #[error("'peak' and 'burst' require 'average' attribute")]
    NoAverage,
    /// `floor` where it cannot be honoured.
    #[error("floor attribute is not supported for this config")]
    Floor,
}

impl BandwidthError {
    pub(crate) const fn class(&self) -> Class {
        let code = match self {
            Self::ClassId | Self::NoRate => ErrorCode::XML_DETAIL,
            Self::NoAverage | Self::Floor => ErrorCode::CONFIG_UNSUPPORTED,
        };
        (code, ErrorDomain::NONE)
    }
}

impl Bandwidth {
    /// Reads the element of a network or port group; nothing if it has no direction.
    pub(crate) fn parse(node: &Element<'_>) -> Result<Option<Self>> {
        if node.number::<u32>("classID", Base::Ten)?.is_some() {
            return Err(BandwidthError::ClassId.into());
        }
        Self::parse_rates(node, Floor::Refused)
    }

    pub(crate) fn parse_rates(node: &Element<'_>, floor: Floor) -> Result<Option<Self>> {
        let rate = |name, floor| node.child(name).map(|node| Rate::parse(node, floor)).transpose();
        let inbound = rate("inbound", floor)?;
        let outbound = rate("outbound", Floor::Refused)?;
        Ok((inbound.is_some() || outbound.is_some()).then_some(Self { inbound, outbound }))
    }

    /// Writes the element, with a class id if it is not 0.
    pub(crate) fn format(&self, class_id: u32, out: &mut Writer) {
        out.begin("bandwidth").display_opt("classID", Some(class_id).filter(|&id| id != 0)).open();
        for (name, rate) in [("inbound", self.inbound), ("outbound", self.outbound)] {
            if let Some(rate) = rate.filter(|rate| rate.average != 0 || rate.floor != 0) {
                let given = |value: u64| Some(value).filter(|&value| value != 0);
                out.begin(name)
                    .display_opt("average", given(rate.average))
                    .display_opt("peak", given(rate.peak))
                    .display_opt("floor", given(rate.floor))
                    .display_opt("burst", given(rate.burst))
                    .empty();
            }
        }
        out.end("bandwidth");
    }
}

impl Rate {
    fn parse(node: &Element<'_>, allowed: Floor) -> Result<Self> {
        let average = node.number("average", Base::Ten)?;
        let peak = node.number("peak", Base::Ten)?;
        let burst = node.number("burst", Base::Ten)?;
        let floor = node.number("floor", Base::Ten)?;
        if average.is_none() && floor.is_none() {
            return Err(BandwidthError::NoRate.into());
        }
        if average.is_none() && (peak.is_some() || burst.is_some()) {
            return Err(BandwidthError::NoAverage.into());
        }
        if floor.is_some() && allowed == Floor::Refused {
            return Err(BandwidthError::Floor.into());
        }
        let or_zero = Option::unwrap_or_default;
        Ok(Self {
            average: or_zero(average),
            peak: or_zero(peak),
            burst: or_zero(burst),
            floor: or_zero(floor),
        })
    }
}
