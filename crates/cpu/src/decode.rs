//! From bits to a model and the features that differ from it.

use std::collections::BTreeMap;

use crate::data::CpuData;
use crate::map::{CpuMap, Model};

/// What a model is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To give a guest: features of the model may be disabled.
    #[default]
    Guest,
    /// To describe a host: only models all of whose features it has. What the map marks as added to a model
    /// later is not part of the model.
    Host,
}

/// How a CPU is decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decode {
    /// What the result is for.
    pub purpose: Purpose,
    /// The models that QEMU knows, by name; `None` allows all.
    pub models: Option<BTreeMap<String, KnownModel>>,
    /// Whether features that forbid migration are left out.
    pub migratable: bool,
}

/// What QEMU says of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownModel {
    /// Features that it has in QEMU and this host lacks, named as by the map.
    pub blockers: Vec<String>,
}

/// A CPU as a guest's definition describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestCpu {
    /// The model.
    pub model: String,
    /// Name of its vendor, if the processor has a known one.
    pub vendor: Option<String>,
    /// What differs from the model: required features, then disabled ones, each in the order of the map.
    pub features: Vec<PolicyFeature>,
}

/// A feature of a guest CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFeature {
    /// Its name.
    pub name: String,
    /// Whether the guest has it.
    pub policy: Policy,
}

/// Whether a guest has a feature (`policy` of `<feature>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The guest has it although the model has not.
    Require,
    /// The guest lacks it although the model has it.
    Disable,
}

impl CpuMap {
    /// The model that describes `data` best: one of the processor's own family if there is one, then the
    /// one that leaves the fewest differences, the newest first. `None` if no model fits.
    ///
    /// libvirt: `x86Decode`, src/cpu/cpu_x86.c
    #[must_use]
    pub fn decode(&self, data: &CpuData, how: &Decode) -> Option<GuestCpu> {
        let vendor = self.vendor_of(data);
        let data = self.without_broken_features(data, vendor);
        let mut best: Option<(&Model, GuestCpu)> = None;
        for model in self.models.iter().rev() {
            let known = match &how.models {
                None => None,
                Some(models) => match models.get(&model.name) {
                    Some(known) => Some(known),
                    None => continue,
                },
            };
            let is_decoded = match how.purpose {
                Purpose::Guest => model.decodes_guest,
                Purpose::Host => model.decodes_host,
            };
            let is_of_vendor = match (vendor, &model.vendor) {
                (Some(vendor), Some(of_model)) => vendor == of_model,
                _ => true,
            };
            if !is_decoded || !is_of_vendor {
                continue;
            }
            let Some(candidate) = self.describe(&data, vendor, model, known, how.purpose) else {
                continue;
            };
            let is_better = best
                .as_ref()
                .is_none_or(|(current, cpu)| is_better((current, cpu), (model, &candidate), &data));
            if is_better {
                best = Some((model, candidate));
            }
        }
        let (_, mut cpu) = best?;
        if how.migratable {
            cpu.features.retain(|feature| {
                self.feature(&feature.name).is_none_or(|known| known.is_migratable)
            });
        }
        Some(cpu)
    }

    /// The processor as a model with differences; `None` if a host lacks a feature of the model.
    fn describe(
        &self,
        data: &CpuData,
        vendor: Option<&str>,
        model: &Model,
        known: Option<&KnownModel>,
        purpose: Purpose,
    ) -> Option<GuestCpu> {
        let mut of_model = model.data.clone();
        if purpose == Purpose::Host {
            // Most of these are of VMX, in registers that the description of a host leaves out.
            of_model.subtract(&model.added);
        }
        // QEMU's version of the model may have more features; those that are missing must be disabled.
        for blocker in known.iter().flat_map(|known| &known.blockers) {
            if let Some(feature) = self.feature(blocker)
                && !data.contains(&feature.data)
            {
                of_model.add(&feature.data);
            }
        }
        let mut additional = data.clone();
        additional.subtract(&of_model);
        let mut missing = of_model;
        missing.subtract(data);
        if purpose == Purpose::Guest {
            for removed in &model.removed {
                if let Some(feature) = self.feature(removed) {
                    missing.subtract(&feature.data);
                }
            }
        }
        let mut features = self.take_features(&mut additional, Policy::Require);
        let disabled = self.take_features(&mut missing, Policy::Disable);
        if purpose == Purpose::Host && !disabled.is_empty() {
            return None;
        }
        features.extend(disabled);
        let vendor = vendor.map(str::to_owned);
        Some(GuestCpu { model: model.name.clone(), vendor, features })
    }

    /// Names the bits and clears them; bits without a name stay.
    fn take_features(&self, data: &mut CpuData, policy: Policy) -> Vec<PolicyFeature> {
        let mut taken = Vec::new();
        for feature in &self.features {
            if !feature.data.is_empty() && data.contains(&feature.data) {
                data.subtract(&feature.data);
                taken.push(PolicyFeature { name: feature.name.clone(), policy });
            }
        }
        taken
    }

    /// The data without transactional memory where the processor's is broken (Intel erratum HSD136;
    /// libvirt: `x86DataFilterTSX`).
    fn without_broken_features(&self, data: &CpuData, vendor: Option<&str>) -> CpuData {
        let mut data = data.clone();
        let signature = data.signature;
        let is_broken = vendor == Some("Intel")
            && signature.family == 6
            && match signature.model {
                60 | 69 | 70 => true,
                63 => signature.stepping < 4,
                _ => false,
            };
        if is_broken {
            for name in ["hle", "rtm"] {
                if let Some(feature) = self.feature(name) {
                    data.subtract(&feature.data);
                }
            }
        }
        data
    }
}

/// Whether a candidate describes the processor better than the current choice.
fn is_better(
    (current_model, current): (&Model, &GuestCpu),
    (candidate_model, candidate): (&Model, &GuestCpu),
    data: &CpuData,
) -> bool {
    match (
        current_model.has_signature(data.signature),
        candidate_model.has_signature(data.signature),
    ) {
        (true, false) => false,
        (false, true) => true,
        _ => cost(candidate) < cost(current),
    }
}

/// How far a CPU is from its model. A required feature costs 1. Disabled features cost 1, three at a time 1
/// more: programs that know a model rely on its features, so an older model with additions is preferred to a
/// newer one without many of its own. The weights are those that agree with libvirt 11.3.0's choices for the
/// recorded hosts; between them the choice is the same for many weights.
fn cost(cpu: &GuestCpu) -> usize {
    let disabled = cpu.features.iter().filter(|feature| feature.policy == Policy::Disable).count();
    let required = cpu.features.len() - disabled;
    required + (0..disabled).map(|index| 1 + index / 3).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Signature;

    const INDEX: &str = "<cpus><arch name='x86'><include filename='base.xml'/>\
        <group name='models'><include filename='models.xml'/></group></arch></cpus>";
    const BASE: &str = "<cpus>\
        <vendor name='Intel' string='GenuineIntel'/><vendor name='AMD' string='AuthenticAMD'/>\
        <feature name='a'><cpuid eax_in='0x1' ecx='0x1'/></feature>\
        <feature name='b'><alias name='q-b' source='qemu'/><cpuid eax_in='0x1' ecx='0x2'/></feature>\
        <feature name='c' migratable='no'><msr index='0x10a' eax='0x4'/></feature>\
        <feature name='rtm'><cpuid eax_in='0x7' ebx='0x800'/></feature>\
        <feature name='d'><msr index='0x48c' eax='0x1'/></feature>\
        <feature name='e'><cpuid eax_in='0x1' ecx='0x4'/></feature></cpus>";
    const MODELS: &str = "<cpus>\
        <model name='old'><decode host='on' guest='on'/><signature family='6' model='1'/>\
        <vendor name='Intel'/><feature name='a'/></model>\
        <model name='new'><decode host='on' guest='on'/><signature family='6' model='2' stepping='3-4'/>\
        <model name='old'/><feature name='b'/></model>\
        <model name='extended'><decode host='on' guest='on'/><vendor name='Intel'/>\
        <feature name='a'/><feature name='e'/><feature name='d' added='yes'/></model>\
        <model name='extended-v2'><decode host='on' guest='off'/><model name='extended'/></model>\
        <model name='other'><decode host='on' guest='off'/><vendor name='AMD'/><feature name='b'/></model>\
        </cpus>";

    fn map() -> CpuMap {
        CpuMap::load(|name| {
            Ok(match name {
                "index.xml" => INDEX,
                "base.xml" => BASE,
                _ => MODELS,
            }
            .to_owned())
        })
        .unwrap()
    }

    fn data(features: &[&str]) -> CpuData {
        let mut data = CpuData::default();
        data.vendor = Some("GenuineIntel".to_owned());
        for feature in features {
            assert!(map().add_feature(&mut data, feature), "{feature}");
        }
        data
    }

    #[track_caller]
    fn check(data: &CpuData, how: &Decode, model: &str, required: &[&str], disabled: &[&str]) {
        let cpu = map().decode(data, how).unwrap();
        let names = |policy| {
            let of_policy = cpu.features.iter().filter(move |feature| feature.policy == policy);
            of_policy.map(|feature| feature.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((cpu.model.as_str(), cpu.vendor.as_deref()), (model, Some("Intel")));
        assert_eq!(names(Policy::Require), required);
        assert_eq!(names(Policy::Disable), disabled);
    }

    #[test]
    fn the_model_with_the_fewest_differences_is_chosen() {
        check(&data(&["a", "q-b", "c"]), &Decode::default(), "new", &["c"], &[]);
        check(&data(&["a", "c"]), &Decode::default(), "old", &["c"], &[]);
    }

    #[test]
    fn a_matching_signature_outweighs_differences() {
        let mut data = data(&["a"]);
        data.signature = Signature { family: 6, model: 2, stepping: 3 };
        check(&data, &Decode::default(), "new", &[], &["b"]);
        data.signature.stepping = 5;
        check(&data, &Decode::default(), "old", &[], &[]);
    }

    #[test]
    fn a_host_has_all_features_of_its_model() {
        let mut data = data(&["a"]);
        data.signature = Signature { family: 6, model: 2, stepping: 3 };
        let how = Decode { purpose: Purpose::Host, ..Decode::default() };
        check(&data, &how, "old", &[], &[]);
    }

    #[test]
    fn a_host_may_lack_what_was_added_to_its_model() {
        let host = Decode { purpose: Purpose::Host, ..Decode::default() };
        let data = |features: &[&str]| {
            let mut data = data(features);
            data.signature = Signature { family: 6, model: 207, stepping: 2 };
            data
        };
        check(&data(&["a", "e", "c"]), &host, "extended-v2", &["c"], &[]);
        check(&data(&["a", "e", "d"]), &host, "extended-v2", &["d"], &[]);
        check(&data(&["a", "d"]), &host, "old", &["d"], &[]);
        // a guest is given what its model has
        check(&data(&["a", "e"]), &Decode::default(), "extended", &[], &["d"]);
    }

    #[test]
    fn blockers_of_qemu_are_disabled() {
        let known = KnownModel { blockers: vec!["b".to_owned()] };
        let models = [("old".to_owned(), known)].into();
        let how = Decode { models: Some(models), ..Decode::default() };
        check(&data(&["a"]), &how, "old", &[], &["b"]);
    }

    #[test]
    fn features_that_forbid_migration_are_left_out_when_asked() {
        let how = Decode { migratable: true, ..Decode::default() };
        check(&data(&["a", "c"]), &how, "old", &[], &[]);
    }

    #[test]
    fn broken_transactional_memory_is_ignored() {
        let mut data = data(&["a", "rtm"]);
        check(&data, &Decode::default(), "old", &["rtm"], &[]);
        data.signature = Signature { family: 6, model: 63, stepping: 2 };
        check(&data, &Decode::default(), "old", &[], &[]);
    }

    #[test]
    fn comparison_and_baseline_use_common_features() {
        use crate::compare::Comparison;
        let map = map();
        let (large, small) = (data(&["a", "b", "c"]), data(&["a", "c"]));
        let baseline = map.baseline(&[large.clone(), small.clone()], &Decode::default()).unwrap();
        assert_eq!(baseline.model, "old");
        assert_eq!(map.compare(&large, &baseline), Comparison::Superset);
        assert_eq!(map.compare(&small, &baseline), Comparison::Identical);
        let newer = map.decode(&large, &Decode::default()).unwrap();
        assert_eq!(map.compare(&small, &newer), Comparison::Incompatible);
        let foreign = GuestCpu { vendor: Some("AMD".to_owned()), ..baseline };
        assert_eq!(map.compare(&large, &foreign), Comparison::Incompatible);
        assert_eq!(map.baseline(&[], &Decode::default()), None);
    }

    #[test]
    fn unknown_references_are_errors() {
        let load = |models: &str| {
            CpuMap::load(|name| {
                Ok(match name {
                    "index.xml" => INDEX,
                    "base.xml" => BASE,
                    _ => models,
                }
                .to_owned())
            })
        };
        for models in [
            "<cpus><model name='x'><feature name='nope'/></model></cpus>",
            "<cpus><model name='x'><vendor name='nope'/></model></cpus>",
            "<cpus><model name='x'><model name='nope'/></model></cpus>",
            "<cpus><model name='x'><signature family='six' model='1'/></model></cpus>",
            "<cpus></cpus>",
            "<cpus>",
        ] {
            assert!(load(models).is_err(), "{models}");
        }
    }
}
