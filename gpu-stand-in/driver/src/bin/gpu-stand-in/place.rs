//! Where a driver without a GPU shows: device nodes, PCI functions, the kernel's list of modules.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use gpu_stand_in_nvml::block::Gpu;

use crate::system;

/// NVIDIA's own major number (Linux, devices.txt).
const MAJOR: u32 = 195;
/// The nodes that are there once: name, major and minor number. The major number of `uvm` is one that the driver is
/// given when it is loaded, mostly this.
const COMMON: [(&str, u32, u32); 4] = [
    ("nvidiactl", MAJOR, 255),
    ("nvidia-modeset", MAJOR, 254),
    ("nvidia-uvm", 511, 0),
    ("nvidia-uvm-tools", 511, 1),
];
const FUNCTIONS: &str = "sys/bus/pci/devices";
const MODULES: &str = "proc/modules";
/// Gone with each boot.
const OWN: &str = "run/gpu-stand-in";
/// The line that the container toolkit's wrapper looks for in `/proc/modules`.
const MODULE: &str = "nvidia 0 0 - Live 0x0000000000000000 (stand-in)";
/// NVIDIA among the vendors of PCI functions.
const VENDOR: u16 = 0x10de;
/// How many regions `resource` of a PCI function lists.
const REGIONS: usize = 13;

fn named(what: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", what.display()))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::write(path, content).map_err(named(path))
}

fn unless_there(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Makes the device nodes, and the links by number that systemd's rules for devices go by.
pub fn nodes(root: &Path, gpus: &[Gpu]) -> io::Result<()> {
    let links = root.join("dev/char");
    fs::create_dir_all(&links).map_err(named(&links))?;
    let gpus = gpus.iter().map(|gpu| (format!("nvidia{}", gpu.index), MAJOR, gpu.index));
    let common = COMMON.map(|(name, major, minor)| (name.to_owned(), major, minor));
    for (name, major, minor) in gpus.chain(common) {
        let path = root.join("dev").join(&name);
        unless_there(system::make_device(&path, major, minor)).map_err(named(&path))?;
        // Pods run as any user; the mask of the caller took that away.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(named(&path))?;
        let link = links.join(format!("{major}:{minor}"));
        unless_there(symlink(format!("../{name}"), &link)).map_err(named(&link))?;
    }
    Ok(())
}

/// Shows a PCI function for each GPU, beside those that the machine has.
pub fn functions(root: &Path, gpus: &[Gpu]) -> io::Result<()> {
    let folder = root.join(FUNCTIONS);
    for gpu in gpus {
        let function = folder.join(&gpu.address);
        // The kernel's own folder takes nothing: what is there then is mounted over it, once a boot.
        match unless_there(fs::create_dir(&function)) {
            Err(_) if folder.is_dir() => {
                cover(&folder)?;
                fs::create_dir(&function).map_err(named(&function))?;
            }
            result => result.map_err(named(&function))?,
        }
        write_function(&function, gpu)?;
    }
    Ok(())
}

/// Mounts a folder over the kernel's, with links to the same functions. A real card of NVIDIA's is left out: a machine
/// with stand-ins was given none, and a container sees all cards of its computer there.
fn cover(folder: &Path) -> io::Result<()> {
    let mut links: Vec<(PathBuf, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let vendor = fs::read_to_string(path.join("vendor")).unwrap_or_default();
        if vendor.trim() != format!("{VENDOR:#06x}") {
            links.push((fs::read_link(&path).map_err(named(&path))?, path));
        }
    }
    system::mount_memory(folder).map_err(named(folder))?;
    for (target, path) in links {
        symlink(target, &path).map_err(named(&path))?;
    }
    Ok(())
}

/// The files of a PCI function that programs read (Linux, Documentation/PCI/sysfs-pci.rst).
fn write_function(function: &Path, gpu: &Gpu) -> io::Result<()> {
    let values = [
        ("vendor", format!("{VENDOR:#06x}")),
        ("device", format!("{:#06x}", gpu.device)),
        ("class", format!("{:#08x}", gpu.class)),
        ("revision", "0xa1".to_owned()),
        ("subsystem_vendor", format!("{VENDOR:#06x}")),
        ("subsystem_device", "0x0000".to_owned()),
        ("numa_node", "-1".to_owned()),
        ("label", "GPU STAND-IN".to_owned()),
        ("resource", vec![["0x0000000000000000"; 3].join(" "); REGIONS].join("\n")),
    ];
    for (name, value) in values {
        write(&function.join(name), format!("{value}\n").as_bytes())?;
    }
    // The header of the configuration space: ids first, then revision and class, all little-endian.
    let mut config = [0u8; 256];
    config[..2].copy_from_slice(&VENDOR.to_le_bytes());
    config[2..4].copy_from_slice(&gpu.device.to_le_bytes());
    config[8..12].copy_from_slice(&(gpu.class << 8 | 0xa1).to_le_bytes());
    config[44..46].copy_from_slice(&VENDOR.to_le_bytes());
    write(&function.join("config"), &config)
}

/// Takes a GPU off the bus: its node, the link to it, its PCI function.
pub fn remove(root: &Path, gpu: &Gpu) -> io::Result<()> {
    for path in [format!("dev/nvidia{}", gpu.index), format!("dev/char/{MAJOR}:{}", gpu.index)] {
        let path = root.join(path);
        unless_gone(fs::remove_file(&path)).map_err(named(&path))?;
    }
    let function = root.join(FUNCTIONS).join(&gpu.address);
    unless_gone(fs::remove_dir_all(&function)).map_err(named(&function))
}

/// Makes the container toolkit's wrapper find the driver's module: it runs `cat /proc/modules`, and injects nothing
/// without one. A kernel with modules has that list, and another is shown in its place. One without has no such file,
/// and none can be made: the container runtime then has a `cat` first on its PATH that answers for this one name
/// (`lab_core::gpu_stand_in` writes the runtime's PATH).
pub fn modules(root: &Path) -> io::Result<()> {
    let (own, list) = (root.join(OWN), root.join(MODULES));
    fs::create_dir_all(own.join("bin")).map_err(named(&own))?;
    match fs::read_to_string(&list) {
        Ok(modules) if modules.lines().any(|line| line.starts_with("nvidia ")) => Ok(()),
        Ok(modules) => {
            let longer = own.join("modules");
            write(&longer, format!("{MODULE}\n{modules}").as_bytes())?;
            system::bind(&longer, &list).map_err(named(&list))
        }
        Err(_) => {
            let cat = own.join("bin/cat");
            let script = format!(
                "#!/bin/sh\n# The GPU stand-in: this kernel has no /proc/modules. Everything else is the real cat.\n\
                 [ \"$*\" != /proc/modules ] || exec echo '{MODULE}'\nexec /usr/bin/cat \"$@\"\n"
            );
            write(&cat, script.as_bytes())?;
            fs::set_permissions(&cat, fs::Permissions::from_mode(0o755)).map_err(named(&cat))
        }
    }
}
