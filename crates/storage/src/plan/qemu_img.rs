//! The arguments of `qemu-img`.
//!
//! libvirt 11.3.0: `virStorageBackendCreateQemuImgCmdFromVol`, src/storage/storage_util.c

use oxivirt_conf::storage::StorageVolumeDef;

use super::PlanError;

/// Formats that volumes of a directory can have, by libvirt's words.
const FORMATS: [&str; 17] = [
    "none", "raw", "dir", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "fat", "vhd", "ploop",
    "cow", "qcow", "qcow2", "qed", "vmdk",
];
/// Formats that `qemu-img` creates.
const CREATED: [&str; 6] = ["qcow", "qcow2", "qed", "vmdk", "vdi", "vpc"];
/// The first version of qcow2, which has no features.
const COMPAT_OLD: &str = "0.10";
/// The version of qcow2 unless a document says otherwise.
const COMPAT: &str = "1.1";
const KIB: u64 = 1024;

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A word.
    Word(String),
    /// The path of the image that is made or changed. What is on the command line depends on who runs it.
    Image,
}

/// A run of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuImg {
    /// Its arguments.
    pub arguments: Vec<Argument>,
}

impl QemuImg {
    fn new<const N: usize>(words: [&str; N]) -> Self {
        let mut run = Self { arguments: Vec::new() };
        run.words(words);
        run
    }

    fn words<const N: usize>(&mut self, words: [&str; N]) {
        self.arguments.extend(words.map(|word| Argument::Word(word.to_owned())));
    }

    /// The arguments for an image at `path`.
    #[must_use]
    pub fn at(&self, path: &str) -> Vec<String> {
        let word = |argument: &Argument| match argument {
            Argument::Word(word) => word.clone(),
            Argument::Image => path.to_owned(),
        };
        self.arguments.iter().map(word).collect()
    }

    /// Makes an image for a document.
    ///
    /// # Errors
    /// [`PlanError`] if the format cannot be made, or not with its features.
    pub fn create(def: &StorageVolumeDef, preallocates: bool) -> Result<Self, PlanError> {
        let format = creatable(def)?;
        let mut run = Self::new(["create", "-f", format]);
        let backing = backing(def);
        if let Some((path, _)) = backing {
            run.words(["-b", path]);
        }
        let options = options(def, format, preallocates)?;
        if !options.is_empty() {
            run.words(["-o", &options]);
        }
        run.arguments.push(Argument::Image);
        // an image above another one has the size of that if it has none of its own
        if let Some(size) = def.capacity {
            run.words([&format!("{}K", size.bytes.div_ceil(KIB))]);
        }
        Ok(run)
    }

    /// Makes an image for a document with the data of another one.
    ///
    /// # Errors
    /// [`PlanError`] if the format cannot be made, or not with its features.
    pub fn convert(
        def: &StorageVolumeDef,
        preallocates: bool,
        source_format: &str,
        source: &str,
    ) -> Result<Self, PlanError> {
        let format = match image_format(def)? {
            "raw" => "raw",
            _ => creatable(def)?,
        };
        let mut run = Self::new(["convert", "-f", program_format(source_format), "-O", format]);
        // the data of the source are all in the image, so it has nothing below it
        let alone = StorageVolumeDef { backing_store: None, ..def.clone() };
        let options = options(&alone, format, preallocates)?;
        if !options.is_empty() {
            run.words(["-o", &options]);
        }
        run.words([source]);
        run.arguments.push(Argument::Image);
        Ok(run)
    }

    /// Changes the size of an image.
    #[must_use]
    pub fn resize(format: &str, capacity: u64, shrinks: bool) -> Self {
        let mut run = Self::new(["resize"]);
        if shrinks {
            run.words(["--shrink"]);
        }
        run.words(["-f", format]);
        run.arguments.push(Argument::Image);
        run.words([&format!("{}K", capacity.div_ceil(KIB))]);
        run
    }
}

/// The format of a document's image, raw for formats that are raw data with a meaning.
///
/// # Errors
/// [`PlanError::UnknownFormat`]
pub(crate) fn image_format(def: &StorageVolumeDef) -> Result<&str, PlanError> {
    let format = def.target.as_ref().and_then(|target| target.format.as_ref());
    let format = format.and_then(|format| format.kind.as_deref()).unwrap_or("raw");
    match format {
        "raw" | "iso" | "none" => Ok("raw"),
        known if FORMATS.contains(&known) => Ok(known),
        unknown => Err(PlanError::UnknownFormat(unknown.to_owned())),
    }
}

/// The format of an image as `qemu-img` calls it.
fn program_format(format: &str) -> &str {
    match format {
        "iso" | "none" => "raw",
        other => other,
    }
}

fn creatable(def: &StorageVolumeDef) -> Result<&str, PlanError> {
    let format = image_format(def)?;
    match CREATED.contains(&format) {
        true => Ok(format),
        false => Err(PlanError::CannotCreate(format.to_owned())),
    }
}

/// Path and format of the image below; raw without a format, since a header must not decide it.
pub(crate) fn backing(def: &StorageVolumeDef) -> Option<(&str, &str)> {
    let store = def.backing_store.as_ref()?;
    let format = store.format.as_ref().and_then(|format| format.kind.as_deref());
    Some((store.path.as_deref()?, program_format(format.unwrap_or("raw"))))
}

fn options(def: &StorageVolumeDef, format: &str, preallocates: bool) -> Result<String, PlanError> {
    let mut options: Vec<String> = Vec::new();
    if let Some((_, format)) = backing(def) {
        options.push(format!("backing_fmt={format}"));
    }
    if preallocates {
        options.push(String::from("preallocation=metadata"));
    }
    let Some(target) = &def.target else { return Ok(options.join(",")) };
    if target.encryption.is_some() {
        return Err(PlanError::Encryption);
    }
    if target.nocow {
        options.push(String::from("nocow=on"));
    }
    if format == "qcow2" {
        let compat = target.compat.as_deref().unwrap_or(COMPAT);
        options.push(format!("compat={compat}"));
        if let Some(size) = target.cluster_size.as_ref().and_then(|cluster| cluster.size) {
            options.push(format!("cluster_size={size}"));
        }
        if let Some(features) = &target.features {
            if features.lazy_refcounts {
                if compat == COMPAT_OLD {
                    return Err(PlanError::LazyRefcounts(compat.to_owned()));
                }
                options.push(String::from("lazy_refcounts"));
            }
            if features.extended_l2 {
                options.push(String::from("extended_l2=on"));
            }
        }
    }
    Ok(options.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxivirt_conf::storage::{Capacity, VolumeType};

    fn volume(inside: &str) -> StorageVolumeDef {
        let text = format!("<volume><name>a</name><capacity>1025</capacity>{inside}</volume>");
        StorageVolumeDef::parse(&text, VolumeType::File, Some("raw"), Capacity::Required).unwrap()
    }

    fn line(run: &QemuImg) -> String {
        run.at("IMAGE").join(" ")
    }

    #[test]
    fn options_have_libvirts_order() {
        let def = volume(
            "<target><format type='qcow2'/><compat>1.1</compat><clusterSize unit='KiB'>128</clusterSize>\
             <nocow/><features><lazy_refcounts/><extended_l2/></features></target>\
             <backingStore><path>/b</path><format type='iso'/></backingStore>",
        );
        let options = "backing_fmt=raw,preallocation=metadata,nocow=on,compat=1.1,\
                       cluster_size=131072,lazy_refcounts,extended_l2=on";
        let expect = format!("create -f qcow2 -b /b -o {options} IMAGE 2K");
        assert_eq!(line(&QemuImg::create(&def, true).unwrap()), expect);
    }

    #[test]
    fn a_copy_has_nothing_below_it() {
        let def = volume(
            "<target><format type='qcow2'/></target><backingStore><path>/b</path></backingStore>",
        );
        let run = QemuImg::convert(&def, false, "iso", "/s").unwrap();
        assert_eq!(line(&run), "convert -f raw -O qcow2 -o compat=1.1 /s IMAGE");
        let run = QemuImg::convert(&volume(""), false, "qcow2", "/s").unwrap();
        assert_eq!(line(&run), "convert -f qcow2 -O raw /s IMAGE");
    }

    #[test]
    fn sizes_are_changed_in_the_format_that_is_known() {
        assert_eq!(
            line(&QemuImg::resize("qcow2", 1025, true)),
            "resize --shrink -f qcow2 IMAGE 2K"
        );
    }

    #[test]
    fn formats_that_cannot_be_made() {
        let create = |format: &str| {
            let def = volume(&format!("<target><format type='{format}'/></target>"));
            QemuImg::create(&def, false).unwrap_err().to_string()
        };
        assert_eq!(create("foo"), "unknown volume format type foo");
        assert_eq!(create("bochs"), "format 'bochs' cannot be created");
    }
}
