//! Answers as texts. Shapes that scripts read (`-L`, CSV) are the real program's; the others only look like it.

use std::fmt::Write as _;

use crate::nvml::{Failure, Gpu, System};

/// A value of a field, with its unit.
type Field = fn(&System, &Gpu) -> (String, &'static str);

const MEBIBYTE: u64 = 1 << 20;

/// The fields that can be queried.
pub const FIELDS: [(&str, Field); 20] = [
    ("index", |_, gpu| (gpu.index.to_string(), "")),
    ("name", |_, gpu| (gpu.name.clone(), "")),
    ("gpu_name", |_, gpu| (gpu.name.clone(), "")),
    ("uuid", |_, gpu| (gpu.uuid.clone(), "")),
    ("gpu_uuid", |_, gpu| (gpu.uuid.clone(), "")),
    ("pci.bus_id", |_, gpu| (gpu.address.clone(), "")),
    ("gpu_bus_id", |_, gpu| (gpu.address.clone(), "")),
    ("driver_version", |system, _| (system.driver.clone(), "")),
    ("memory.total", |_, gpu| ((gpu.memory[0] / MEBIBYTE).to_string(), " MiB")),
    ("memory.used", |_, gpu| ((gpu.memory[1] / MEBIBYTE).to_string(), " MiB")),
    ("memory.free", |_, gpu| ((gpu.memory[2] / MEBIBYTE).to_string(), " MiB")),
    ("compute_cap", |_, gpu| (gpu.compute.clone(), "")),
    ("temperature.gpu", |_, gpu| (number(&gpu.temperature), "")),
    ("power.draw", |_, gpu| with_unit(watts(&gpu.power), " W")),
    ("power.limit", |_, gpu| with_unit(watts(&gpu.power_limit), " W")),
    ("utilization.gpu", |_, gpu| with_unit(of_two(&gpu.utilization, 0), " %")),
    ("utilization.memory", |_, gpu| with_unit(of_two(&gpu.utilization, 1), " %")),
    ("ecc.errors.uncorrected.volatile.total", |_, gpu| (number(&gpu.ecc_errors), "")),
    ("pstate", |_, _| ("P8".to_owned(), "")),
    ("timestamp", |_, _| ("[N/A]".to_owned(), "")),
];

fn number<T: ToString>(value: &Result<T, Failure>) -> String {
    match value {
        Ok(value) => value.to_string(),
        Err(failure) => format!("[{}]", if failure.code == 3 { "N/A" } else { &failure.text }),
    }
}

fn watts(milliwatts: &Result<u32, Failure>) -> String {
    match milliwatts {
        Ok(milliwatts) => format!("{}.{:02}", milliwatts / 1000, milliwatts % 1000 / 10),
        Err(_) => number(milliwatts),
    }
}

fn of_two(values: &Result<[u32; 2], Failure>, which: usize) -> String {
    match values {
        Ok(values) => values[which].to_string(),
        Err(failure) => format!("[{}]", failure.text),
    }
}

/// What is no number has no unit.
fn with_unit(value: String, unit: &'static str) -> (String, &'static str) {
    let unit = if value.starts_with('[') { "" } else { unit };
    (value, unit)
}

/// `-L`.
pub fn list(gpus: &[Gpu]) -> String {
    gpus.iter().fold(String::new(), |mut text, gpu| {
        let _ = writeln!(text, "GPU {}: {} (UUID: {})", gpu.index, gpu.name, gpu.uuid);
        text
    })
}

/// Without arguments.
pub fn table(system: &System, gpus: &[Gpu]) -> String {
    let System { driver, cuda } = system;
    let mut text =
        format!("NVIDIA-SMI STAND-IN (no GPU)   Driver Version: {driver}   CUDA Version: {cuda}\n");
    let _ = writeln!(
        text,
        "GPU  {:36} {:16}  Temp  Power             Memory-Usage  GPU-Util  ECC",
        "Name", "Bus-Id"
    );
    for gpu in gpus {
        let short = |value: String| {
            if value.starts_with('[') && value != "[N/A]" { "ERR!".to_owned() } else { value }
        };
        let _ = writeln!(
            text,
            "{:>3}  {:36} {:16}  {:>3}C  {:>6}W  {:>6}MiB / {:>6}MiB  {:>7}%  {:>3}",
            gpu.index,
            gpu.name,
            gpu.address,
            short(number(&gpu.temperature)),
            short(watts(&gpu.power)),
            gpu.memory[1] / MEBIBYTE,
            gpu.memory[0] / MEBIBYTE,
            short(of_two(&gpu.utilization, 0)),
            short(number(&gpu.ecc_errors)),
        );
    }
    text
}

/// `-q`.
pub fn everything(system: &System, gpus: &[Gpu]) -> String {
    let mut text = "==============NVSMI LOG STAND-IN (no GPU)==============\n\n".to_owned();
    let mut line = |depth: usize, key: &str, value: &str| {
        let _ = writeln!(text, "{:depth$}{key:width$}: {value}", "", width = 40 - depth);
    };
    line(0, "Driver Version", &system.driver);
    line(0, "CUDA Version", &system.cuda);
    line(0, "Attached GPUs", &gpus.len().to_string());
    for gpu in gpus {
        line(0, "GPU", &gpu.address);
        for (key, name) in [
            ("Product Name", "name"),
            ("GPU UUID", "uuid"),
            ("Bus Id", "pci.bus_id"),
            ("Memory Total", "memory.total"),
            ("Memory Used", "memory.used"),
            ("Memory Free", "memory.free"),
            ("Compute Capability", "compute_cap"),
            ("GPU Current Temp", "temperature.gpu"),
            ("Power Draw", "power.draw"),
            ("Power Limit", "power.limit"),
            ("Utilization Gpu", "utilization.gpu"),
            ("ECC Errors Uncorrectable", "ecc.errors.uncorrected.volatile.total"),
        ] {
            if let Some((_, field)) = FIELDS.iter().find(|(found, _)| *found == name) {
                let (value, unit) = field(system, gpu);
                line(4, key, &format!("{value}{unit}"));
            }
        }
    }
    text
}

/// `--query-gpu`.
///
/// # Errors
/// The real program's words for a field that is none.
pub fn fields(
    system: &System,
    gpus: &[Gpu],
    names: &[String],
    header: bool,
    units: bool,
) -> Result<String, String> {
    let mut asked = Vec::new();
    for name in names {
        let field = FIELDS.iter().find(|(found, _)| found == name);
        asked.push(field.ok_or_else(|| format!("Field \"{name}\" is not a valid field to query."))?);
    }
    let mut rows = Vec::new();
    if header {
        rows.push(names.to_vec());
    }
    for gpu in gpus {
        rows.push(
            asked
                .iter()
                .map(|(_, field)| {
                    let (value, unit) = field(system, gpu);
                    if units { value + unit } else { value }
                })
                .collect(),
        );
    }
    Ok(rows.iter().map(|row| row.join(", ") + "\n").collect())
}
