//! Storage: a pool is a directory, a disk is a clone of a base image in it.

use super::xml::{Element, element};
use super::{VolumeFormat, VolumePlan};

/// A directory as a storage pool.
pub fn pool_xml(name: &str, path: &str) -> String {
    element("pool")
        .attribute("type", "dir")
        .child(element("name").text(name))
        .child(element("target").child(element("path").text(path)))
        .to_document()
}

/// A volume, to be made in a pool.
pub fn volume_xml(plan: &VolumePlan) -> String {
    let mut target = element("target").child(format(plan.format));
    if plan.format == VolumeFormat::Qcow2 {
        // libvirt's own choice is 0.10, which cannot give back discarded space.
        target = target.child(element("compat").text("1.1"));
    }
    let volume = element("volume")
        .child(element("name").text(&plan.name))
        .child(element("capacity").attribute("unit", "bytes").text(plan.capacity.0))
        .child(target);
    let Some(backing) = &plan.backing else {
        return volume.to_document();
    };
    volume
        .child(
            element("backingStore").child(element("path").text(&backing.path)).child(format(backing.format)),
        )
        .to_document()
}

fn format(format: VolumeFormat) -> Element {
    element("format").attribute("type", format.name())
}

impl VolumeFormat {
    /// As libvirt spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}
