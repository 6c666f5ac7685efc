//! Facts about this computer that checks need, read from /proc. Changes nothing, starts nothing.

use std::net::Ipv4Addr;
use std::path::Path;

use ipnet::Ipv4Net;
use lab_core::host::{DiskFacts, HostFacts};
use lab_core::units::Bytes;

/// Collects the facts; `folder` is on the disk that labs lie on. What cannot be read is left out.
pub fn collect(folder: &Path) -> HostFacts {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    HostFacts {
        routes: routes(&read("/proc/net/route")),
        available_memory: available_memory(&read("/proc/meminfo")),
        cpus: std::thread::available_parallelism().ok().and_then(|count| u32::try_from(count.get()).ok()),
        disk: disk(folder),
    }
}

/// The file system that a folder is on.
fn disk(folder: &Path) -> Option<DiskFacts> {
    let found = nix::sys::statvfs::statvfs(folder).ok()?;
    let bytes = |blocks: nix::libc::fsblkcnt_t| Bytes(blocks.saturating_mul(found.fragment_size()));
    Some(DiskFacts { free: bytes(found.blocks_available()), total: bytes(found.blocks()) })
}

/// The networks of /proc/net/route: tab-separated columns `Iface Destination Gateway Flags RefCnt Use Metric Mask`,
/// numbers in hexadecimal and in the byte order of the processor.
fn routes(table: &str) -> Vec<(Ipv4Net, String)> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let address = |index: usize| {
                u32::from_str_radix(fields.get(index)?, 16)
                    .ok()
                    .map(|bits| Ipv4Addr::from(bits.to_ne_bytes()))
            };
            let network = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
            (network.prefix_len() > 0).then(|| (network, fields[0].to_owned()))
        })
        .collect()
}

/// `MemAvailable` of /proc/meminfo, in kB there.
fn available_memory(meminfo: &str) -> Option<Bytes> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib << 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn routes_are_read_and_the_default_route_is_left_out() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(routes(table), [("192.0.2.0/24".parse().unwrap(), "eth0".to_owned())]);
    }

    #[test]
    fn available_memory_is_read_in_kibibytes() {
        assert_eq!(available_memory("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(Bytes::from_mib(2)));
        assert_eq!(available_memory("MemTotal: 9 kB\n"), None);
    }
}
