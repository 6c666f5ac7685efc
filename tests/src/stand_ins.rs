//! Stand-ins for everything outside of the `lab` program: a provider that runs nothing, an image of a few bytes, and scripts
//! in the place of ssh and Ansible. A checkout with them needs no network, no libvirt daemon and no root.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::json;

use crate::Checkout;
use crate::checkout::sha256;

/// Where stand-ins for programs lie in a checkout that has them, as a folder for PATH.
pub const PROGRAMS: &str = "stand-ins/bin";
/// Where the provider keeps what labs share.
pub const PROVIDER: &str = "provider";

/// Where files lie that `lab` takes for the programs of the GPU stand-in, and the variable that tells it so.
pub const GPU: (&str, &str) = ("LAB_TEST_GPU_STAND_IN", "stand-ins/gpu");

/// `ssh`: a machine that the fake runs answers with its name and the command; `exit N` ends with N. Any other refuses.
const SSH: &str = r#"#!/bin/sh
config=
while [ $# -gt 0 ]; do
    case $1 in
        -F) config=$2; shift 2 ;;
        -O) exit 0 ;;
        -o) shift 2 ;;
        *) break ;;
    esac
done
machine=$1
shift
[ "$1" = -- ] && shift
folder=$(dirname "$config")
state=$folder/host/fake.json
[ -e "$state" ] || state=$LAB_TEST_PROVIDER/fake.json
if ! grep -A 2 -- "\"$(basename "$folder")-$machine\": {" "$state" | grep -q '"run": [0-9]'; then
    echo "ssh: connect to host $machine port 22: Connection refused" >&2
    exit 255
fi
case $* in
    true) ;;
    "exit "*) words=$*; exit "${words#exit }" ;;
    *) echo "$machine: $*" ;;
esac
"#;

/// `ansible`: every machine that it is limited to answers the ping.
const ANSIBLE: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    [ "$1" = --limit ] && machines=$2
    shift
done
for machine in $(echo "$machines" | tr , ' '); do
    echo "$machine | SUCCESS => {\"changed\": false, \"ping\": \"pong\"}"
done
"#;

/// `git`: the real one, kept off the network.
const GIT: &str = "#!/bin/sh\nPATH=${PATH#*:} GIT_ALLOW_PROTOCOL=file exec git \"$@\"\n";

/// A program that is there and fails.
const FAILS: &str = "#!/bin/sh\necho \"$(basename \"$0\") is a stand-in\" >&2\nexit 1\n";

/// Programs that would answer differently from one computer to the next.
const FAILING: [&str; 3] = ["qemu-system-x86_64", "qemu-system-aarch64", "virsh"];

/// Lays the stand-ins out in a checkout with a cache of its own.
///
/// # Panics
/// When a file cannot be written.
pub fn lay_out(checkout: &Checkout) {
    let programs = checkout.root().join(PROGRAMS);
    fs::create_dir_all(&programs).expect("a folder can be made");
    write_program(&programs.join("ssh"), SSH);
    write_program(&programs.join("ansible"), ANSIBLE);
    write_program(&programs.join("git"), GIT);
    for name in FAILING {
        write_program(&programs.join(name), FAILS);
    }
    let gpu = checkout.root().join(GPU.1);
    fs::create_dir_all(&gpu).expect("a folder can be made");
    for name in ["libgpu_stand_in_nvml.so", "libgpu_stand_in_cuda.so", "nvidia-smi", "gpu-stand-in"] {
        fs::write(gpu.join(name), name).expect("a file can be written");
    }
}

/// Puts an image of a few bytes into the store, under the key that the plan of a cluster asks for.
///
/// # Panics
/// When there is no plan, or a file cannot be written.
pub fn add_image(checkout: &Checkout, cluster: &str) {
    let plan = checkout.lab(&["plan", cluster, "--json"]).answer().ok().json();
    let key = plan["machines"][0]["wanted"]["image"].as_str().expect("a plan names its image").to_owned();
    let folder = checkout.cache().join("images").join(&key);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder.join("root"))
        .expect("a folder can be made");
    let mut files = serde_json::Map::new();
    for name in ["disk.qcow2", "kernel", "initrd"] {
        // The archive with an identity begins at a multiple of 512.
        let bytes = [0; 512];
        fs::write(folder.join(name), bytes).expect("a file can be written");
        files.insert(name.to_owned(), json!({ "size": bytes.len(), "sha256": sha256(&bytes) }));
    }
    let manifest = json!({
        "key": key, "source": "debian13", "virtual_size": 1 << 30, "command_line": "quiet",
        "files": files, "packages": {}, "seconds": 0,
    });
    fs::write(folder.join("manifest.json"), manifest.to_string()).expect("a file can be written");
}

/// Writes a program.
///
/// # Panics
/// When it cannot be written.
pub fn write_program(path: &Path, text: &str) {
    fs::write(path, text).expect("a program can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program can be made one");
}
