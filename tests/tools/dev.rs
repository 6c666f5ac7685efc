//! The lab that comes with the project, as the tests of this tier use it.

use std::collections::BTreeMap;
use std::fs;

use lab_core::identity::{HostKey, LabId, MachineIdentity};
use lab_core::libvirt_xml::Acceleration;
use lab_core::plan::{Desired, Inputs, PublicKeys, desired};
use lab_core::spec::{ClusterSpec, ImageSpec};
use lab_core::{cluster::check, source::SourceFile};
use lab_tests::checkout::real_root;

/// Its checked cluster file.
pub fn spec() -> ClusterSpec {
    read("inventories/dev/cluster.yaml")
}

/// A checked cluster file of the project.
pub fn read(path: &str) -> ClusterSpec {
    let text = fs::read_to_string(real_root().join(path)).unwrap();
    check(&SourceFile { path: path.to_owned(), text }, None).spec.unwrap()
}

/// An id for a lab of it.
pub fn lab() -> LabId {
    LabId::from_bytes([0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f])
}

/// The desired state of its machines.
pub fn plan(spec: &ClusterSpec, acceleration: Acceleration) -> Desired {
    let images = BTreeMap::from([(ImageSpec::Debian13, "debian13-0123456789abcdef".to_owned())]);
    let keys = PublicKeys { login: "ssh-ed25519 AAAAlogin lab\n".to_owned(), host: BTreeMap::new() };
    desired(&Inputs { spec, lab: &lab(), acceleration, images: &images, keys: &keys })
}

/// The identity that its control plane gets.
pub fn identity() -> MachineIdentity {
    let spec = spec();
    let host_key =
        HostKey { private: "private half\n".to_owned(), public: "ssh-ed25519 AAAAhost\n".to_owned() };
    let numbers = plan(&spec, Acceleration::Tcg).numbers["control-plane"].clone();
    MachineIdentity::new(&spec, &spec.machines[0], numbers, host_key, "ssh-ed25519 AAAAlogin lab\n")
}
