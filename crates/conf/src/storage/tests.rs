use super::{Capacity, StoragePoolDef, StorageVolumeDef, VolumeType};
use crate::error::Classified as _;

#[test]
fn a_pool_is_completed() {
    let text = "<pool type='dir'><name>a</name><target><path>//var//lib/x/</path>\
        <permissions><mode>711</mode><owner>-1</owner></permissions></target></pool>";
    let pool = StoragePoolDef::parse(text).unwrap();
    assert_eq!(
        pool.format(),
        "<pool type='dir'>\n  <name>a</name>\n  <capacity unit='bytes'>0</capacity>\n  \
         <allocation unit='bytes'>0</allocation>\n  <available unit='bytes'>0</available>\n  \
         <source>\n  </source>\n  <target>\n    <path>//var/lib/x</path>\n    <permissions>\n      \
         <mode>0711</mode>\n    </permissions>\n  </target>\n</pool>\n",
    );
}

#[test]
fn a_volume_is_completed() {
    let text = "<volume><name>a</name><source/><capacity unit='K'>2</capacity><target>\
        <clusterSize unit='KiB'>64</clusterSize><features/></target></volume>";
    let volume =
        StorageVolumeDef::parse(text, VolumeType::File, Some("raw"), Capacity::Required).unwrap();
    assert_eq!(
        volume.format(),
        "<volume type='file'>\n  <name>a</name>\n  <capacity unit='bytes'>2048</capacity>\n  \
         <allocation unit='bytes'>2048</allocation>\n  <target>\n    <format type='raw'/>\n    \
         <compat>1.1</compat>\n    <clusterSize unit='B'>65536</clusterSize>\n    <features/>\n  \
         </target>\n</volume>\n",
    );
}

#[test]
fn refusals() {
    #[track_caller]
    fn pool(text: &str, message: &str) {
        let error = StoragePoolDef::parse(text).unwrap_err();
        assert_eq!((error.code().0, error.domain().0), (27, 18));
        assert_eq!(error.to_string(), message);
    }
    pool("<pool><name>a</name></pool>", "XML error: storage pool missing type attribute");
    pool("<pool type='dir'/>", "XML error: missing pool source name element");
    pool("<pool type='dir'><name>a/b</name></pool>", "XML error: name a/b cannot contain '/'");
    pool("<pool type='dir'><name>a</name></pool>", "XML error: missing storage pool target path");
    let volume = |text| StorageVolumeDef::parse(text, VolumeType::File, None, Capacity::Required);
    let error = volume("<volume><name>a</name></volume>").unwrap_err();
    assert_eq!(error.to_string(), "XML error: missing capacity element");
    assert!(volume("<volume><capacity>1</capacity></volume>").is_err());
}

#[test]
fn a_started_pool_is_framed_by_its_state() {
    let text = "<pool type='dir'><name>a</name><target><path>/x</path></target></pool>";
    let pool = StoragePoolDef::parse(text).unwrap();
    let state = pool.format_state();
    assert!(state.starts_with("<poolstate>\n  <pool type='dir'>\n    <name>a</name>\n"), "{state}");
    assert!(state.ends_with("  </pool>\n</poolstate>\n"), "{state}");
    assert_eq!(StoragePoolDef::parse_state(&state).unwrap(), pool);
    assert!(StoragePoolDef::parse_state("<poolstate/>").is_err());
    assert!(StoragePoolDef::parse_state(text).is_err());
}

#[test]
fn a_volume_may_leave_its_size_to_its_backing_image() {
    let volume = |rest: &str| {
        let text = format!("<volume><name>a</name>{rest}</volume>");
        StorageVolumeDef::parse(&text, VolumeType::File, Some("raw"), Capacity::Required)
    };
    let backed = volume("<backingStore><path>/b</path></backingStore>").unwrap();
    assert_eq!(backed.capacity, None);
    assert!(backed.format().contains("<capacity unit='bytes'>0</capacity>"));
    let compat = |compat: &str| {
        volume(&format!("<capacity>1</capacity><target><compat>{compat}</compat></target>"))
    };
    assert!(compat("0.10").is_ok());
    let error = compat("1").unwrap_err();
    assert_eq!(error.to_string(), "XML error: forbidden characters in 'compat' attribute");
}
