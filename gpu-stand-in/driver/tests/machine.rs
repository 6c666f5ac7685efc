//! The stand-in as a machine has it: the files that lab-core plans, with the programs as they were compiled, in a
//! folder that a mount namespace takes for a machine. Whole outputs are snapshots.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab_core::gpu_stand_in::{self, Programs};
use lab_core::identity::boot::Content;
use lab_core::source::SourceFile;

const CLUSTER: &str = "\
apiVersion: lab/v1alpha1
kind: Cluster
name: gpu
machines:
  - {name: control-plane, kind: container, roles: [control-plane]}
  - {name: worker, kind: container, gpus: [{stand_in: RTX A6000}, {stand_in: Tesla T4}, {stand_in: RTX 4090}]}
";

/// What every script begins with: a `/dev` with nothing of a GPU, a PCI bus that takes no new function, a boot.
const BEGIN: &str = r##"
mkdir -p "$M/dev" "$M/run" "$M/proc" "$M/sys/bus/pci/real" "$M/sys/bus/pci/devices"
for real in 0000:00:01.0=0x8086 0000:01:00.0=0x10de; do
    mkdir "$M/sys/bus/pci/real/${real%=*}"
    echo "${real#*=}" >"$M/sys/bus/pci/real/${real%=*}/vendor"
    ln -s "../real/${real%=*}" "$M/sys/bus/pci/devices/${real%=*}"
done
mount --bind "$M/sys/bus/pci/devices" "$M/sys/bus/pci/devices"
mount -o remount,ro,bind "$M/sys/bus/pci/devices"
mount -t tmpfs tmpfs "$M/dev"
mknod -m 666 "$M/dev/null" c 1 3
/sbin/ldconfig -n "$M/usr/lib/x86_64-linux-gnu"
control() { "$M/usr/lib/lab/gpu-stand-in" --root "$M" "$@" || echo "ended with $?"; }
smi() { LD_LIBRARY_PATH="$M/usr/lib/x86_64-linux-gnu" "$M/usr/bin/nvidia-smi" "$@" || echo "ended with $?"; }
show() { echo "# $*"; "$@" 2>&1; echo; }
show control boot
mount --bind "$M/dev" /dev
"##;

/// A folder that goes with its test.
struct Machine {
    folder: PathBuf,
}

impl Drop for Machine {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// The folder that cargo puts programs and libraries of this build in.
fn built() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_nvidia-smi")).parent().unwrap()
}

impl Machine {
    /// A machine with the files of the plan. None where the test cannot run, which is written down.
    fn new(test: &str) -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        if user.split_whitespace().nth(1) != Some("0") {
            skip(test, "only root mounts and makes device nodes");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("gpu-stand-in-{test}-{}", std::process::id()));
        let read = |path: PathBuf| {
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let programs = Programs {
            nvml: read(built().join("deps/libgpu_stand_in_nvml.so")),
            cuda: vec![],
            smi: read(built().join("nvidia-smi")),
            control: read(built().join("gpu-stand-in")),
        };
        let source = SourceFile { path: "cluster.yaml".to_owned(), text: CLUSTER.to_owned() };
        let spec = lab_core::cluster::check(&source, None).spec.unwrap();
        let planned = gpu_stand_in::planned(&spec.name, &spec.machines[1]);
        // The CUDA library is another package's, and nothing here asks it.
        let mut entries = gpu_stand_in::files(&planned, &programs);
        entries.retain(|entry| !entry.path.contains("libcuda"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::create_dir_all(folder.join("etc/systemd")).unwrap();
        for entry in entries {
            let path = folder.join(&entry.path);
            match entry.content {
                Content::Directory => std::fs::create_dir(&path).unwrap(),
                Content::File(bytes) => std::fs::write(&path, bytes).unwrap(),
            }
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(entry.permissions)).unwrap();
        }
        Some(Self { folder })
    }

    /// What a script prints in the machine.
    #[expect(
        clippy::disallowed_methods,
        reason = "the lab's own way to start programs is in a package that needs libvirt"
    )]
    fn run(&self, script: &str) -> String {
        let output = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-euc"])
            .arg(format!("{BEGIN}{script}"))
            .env("M", &self.folder)
            .output()
            .unwrap();
        let [printed, failed] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(failed, "", "{printed}");
        printed.replace(self.folder.to_str().unwrap(), "[MACHINE]")
    }
}

/// Writes down that a test did not run, where `cargo xtask test` looks for it.
fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    if let Some(file) = std::env::var_os("LAB_SKIPS") {
        let mut file = std::fs::File::options().append(true).create(true).open(file).unwrap();
        writeln!(file, "{test}\t{reason}").unwrap();
    }
    eprintln!("skipped: {reason}");
}

#[test]
fn smi_answers_as_scripts_and_people_ask() {
    let Some(machine) = Machine::new("smi_answers_as_scripts_and_people_ask") else { return };
    insta::assert_snapshot!(machine.run(
        "show smi -L
show smi
show smi -i 1 -q
show smi --query-gpu=index,name,uuid,pci.bus_id,driver_version,memory.total,memory.used,compute_cap --format=csv
show smi --query-gpu=temperature.gpu,power.draw,utilization.gpu,ecc.errors.uncorrected.volatile.total --format=csv,noheader,nounits
show smi --query-gpu=serial_number --format=csv
show smi --query-gpu=name
show smi --reset
rm /dev/nvidia0
show smi -L
rm /dev/nvidia*
: >/dev/nvidia0
show smi -L
truncate -s -1 \"$M\"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1
show smi -L
rm \"$M\"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so*
show smi -L | sed 's/: libnvidia.*//'
"
    ));
}

#[test]
fn boot_shows_nodes_functions_and_module() {
    let Some(machine) = Machine::new("boot_shows_nodes_functions_and_module") else { return };
    insta::assert_snapshot!(machine.run(
        r#"
show ls -n --time-style=+ /dev | tail -n +3
show ls -l --time-style=+ /dev/char | tail -n +3
cd "$M/sys/bus/pci/devices"
show ls
show readlink 0000:00:01.0
for function in *:*:*.?; do [ -L $function ] || (cd $function; show grep . vendor device class revision numa_node subsystem_vendor label); done
show sh -c 'tail -n 1 */resource; od -A d -t x1 -N 64 0000:*:00.0/config | head -20' 2>&1 | grep -v '^$'
show sh -c 'PATH="$M/run/gpu-stand-in/bin:$PATH"; cat /proc/modules; echo real >"$M/text"; cat "$M/text"; cat "$M/text" /proc/modules 2>&1 | head -n 1'
show control boot
show ls
cd /
umount "$M/sys/bus/pci/devices"
printf 'ext4 1 1 - Live 0x0\n' >"$M/proc/modules"
show control boot
show cat "$M/proc/modules"
show control boot
show cat "$M/proc/modules"
"#
    ));
}

#[test]
fn faults_are_seen_until_they_are_cleared() {
    let Some(machine) = Machine::new("faults_are_seen_until_they_are_cleared") else { return };
    insta::assert_snapshot!(machine.run(
        r#"
inode() { ls -i "$M"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.5* | cut -d' ' -f1; }
before=$(inode)
show control fault 0 hot
show control fault 0 ecc
show control fault 2 ecc
show smi
show control fault 1 xid 79
show smi
show smi --query-gpu=temperature.gpu,power.draw,uuid --format=csv,noheader
show control fault 1 remove
show smi -L
show ls /dev /dev/char "$M/sys/bus/pci/devices"
show sh -c 'tail -c 4096 "$M"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 | grep -v ^$'
show control fault 7 hot
show control fault 0 xid many
show control clear
[ "$before" = "$(inode)" ] || echo 'the library is another file'
show smi
show control
"#
    ));
}

/// Loads the library as Python does it, waits for events, and breaks GPUs meanwhile.
const WAITING: &str = r#"
import ctypes, os, re, subprocess, sys, threading, time
machine = os.environ["M"]
nvml = ctypes.CDLL(machine + "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")
names = re.findall(r"\bnvml\w+", open(sys.argv[1]).read().split("unsupported! {")[1])
answers = {getattr(nvml, name)() for name in names}
print(len(names) > 380, "functions are not supported:", answers)
assert nvml.nvmlDeviceGetCount_v2(ctypes.byref(ctypes.c_uint())) == 1
assert nvml.nvmlInit_v2() == 0
assert nvml.nvmlDeviceGetCount_v2(None) == 2
class Event(ctypes.Structure):
    _fields_ = [("device", ctypes.c_void_p), ("kind", ctypes.c_ulonglong), ("data", ctypes.c_ulonglong), ("gi", ctypes.c_uint), ("ci", ctypes.c_uint)]
events, device, types = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_ulonglong()
assert nvml.nvmlEventSetCreate(ctypes.byref(events)) == 0
for index in range(3):
    assert nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) == 0
    assert nvml.nvmlDeviceGetSupportedEventTypes(device, ctypes.byref(types)) == 0
    assert nvml.nvmlDeviceRegisterEvents(device, types, events) == 0
print("another type of event:", nvml.nvmlDeviceRegisterEvents(device, ctypes.c_ulonglong(16), events))
assert nvml.nvmlDeviceGetHandleByIndex_v2(3, ctypes.byref(device)) == 2
def wait(milliseconds):
    event, uuid = Event(), ctypes.create_string_buffer(96)
    result = nvml.nvmlEventSetWait_v2(events, ctypes.byref(event), milliseconds)
    if result:
        return print("wait:", result)
    assert nvml.nvmlDeviceGetUUID(ctypes.c_void_p(event.device), uuid, 96) == 0
    print("wait:", uuid.value.decode(), event.kind, event.data, hex(event.gi))
begun = time.monotonic()
wait(300)
took = time.monotonic() - begun
print("waited:", 0.3 <= took < 3)
def control(*words):
    subprocess.run([machine + "/usr/lib/lab/gpu-stand-in", "--root", machine, *words], check=True, stdout=subprocess.DEVNULL)
threading.Timer(0.3, control, ["fault", "1", "xid", "79"]).start()
wait(20000)
control("fault", "0", "hot")
wait(0)
control("fault", "0", "ecc")
control("fault", "2", "remove")
for _ in range(4):
    wait(0)
control("clear")
control("fault", "1", "xid", "13")
wait(0)
wait(0)
assert nvml.nvmlEventSetFree(events) == 0
print("freed:", nvml.nvmlEventSetFree(events), nvml.nvmlEventSetWait_v2(events, ctypes.byref(Event()), 0))
short = ctypes.create_string_buffer(8)
print("short:", nvml.nvmlSystemGetDriverVersion(short, 8))
print("lookups:", nvml.nvmlDeviceGetHandleByUUID(b"GPU-none", ctypes.byref(device)), nvml.nvmlDeviceGetHandleByPciBusId_v2(sys.argv[2].encode(), ctypes.byref(device)))
print("shut down:", nvml.nvmlShutdown(), nvml.nvmlShutdown())
"#;

#[test]
fn library_waits_for_events_and_has_every_function() {
    let Some(machine) = Machine::new("library_waits_for_events_and_has_every_function") else { return };
    std::fs::write(machine.folder.join("waiting.py"), WAITING).unwrap();
    let names = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/unsupported.rs");
    let script = format!(
        "python3 \"$M/waiting.py\" {} \"$(smi --query-gpu=pci.bus_id --format=csv,noheader -i 0)\"",
        names.display()
    );
    insta::assert_snapshot!(machine.run(&script));
}
