//! The block: a text of 4 KiB at the end of the library's file, with the plan of one machine and the faults of its GPUs.
//!
//! `lab_core::gpu_stand_in` writes it with the plan; [`Block::changed`] adds and removes faults. The plan's lines are
//! kept as they are written. A block is written with one call and may still be read in the middle of that: its first
//! and its last line have the number of the change, and must agree.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Its length in bytes.
pub const LENGTH: usize = 4096;
/// Its first line.
pub const MAGIC: &str = "LAB-GPU-STAND-IN 1";
/// As many events are kept as a block of eight GPUs has room for.
const EVENTS: usize = 16;
/// How often a block that is being written is read again.
const TRIES: usize = 100;

/// NVML's event for an XID.
pub const XID_EVENT: u64 = 0x8;
/// NVML's event for an error of two bits.
pub const ECC_EVENT: u64 = 0x2;
/// The XID of a card that left the bus.
pub const XID_OFF_THE_BUS: u64 = 79;
/// The XID of an error of two bits.
pub const XID_DOUBLE_BIT: u64 = 48;

/// What a block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// How often it was changed.
    pub change: u64,
    /// The driver's version, `580.82.07-stand-in`.
    pub driver: String,
    /// The version of CUDA: 1000 times its major and 10 times its minor number.
    pub cuda: u32,
    /// The planned GPUs, by slot.
    pub gpus: Vec<Gpu>,
    /// What happened last, the oldest first.
    pub events: Vec<Event>,
    /// The lines of the plan, as written.
    plan: Vec<String>,
}

/// A GPU as planned, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its slot, and the minor number of its device node.
    pub index: u32,
    /// `GPU-…`.
    pub uuid: String,
    /// Its product, with the word STAND-IN.
    pub name: String,
    /// Of its PCI function: `0000:65:00.0`.
    pub address: String,
    /// Device id of its PCI function.
    pub device: u16,
    /// Class of its PCI function, 24 bits.
    pub class: u32,
    /// All its memory, in bytes.
    pub memory: u64,
    /// CUDA compute capability.
    pub compute: (u32, u32),
    /// In degrees Celsius, as planned.
    pub temperature: u32,
    /// In milliwatts, as planned.
    pub power: u32,
    /// The most that it may draw, in milliwatts.
    pub power_limit: u32,
    /// Whether its memory counts errors.
    pub has_ecc: bool,
    /// What is wrong with it.
    pub faults: Faults,
}

/// What is wrong with a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// The last XID, if there was one.
    pub xid: Option<u64>,
    /// It left the bus: it is not listed, and has no node and no PCI function.
    pub removed: bool,
    /// It is hotter than it may be.
    pub hot: bool,
    /// Errors of two bits since the driver was loaded.
    pub ecc_errors: u64,
}

impl Faults {
    /// Whether its sensors answer no more.
    pub fn is_lost(&self) -> bool {
        self.removed || self.xid == Some(XID_OFF_THE_BUS)
    }
}

/// What programs that wait for events receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The change that it came with: later ones have larger numbers.
    pub number: u64,
    /// Slot of the GPU.
    pub gpu: u32,
    /// One of NVML's types.
    pub kind: u64,
    /// The XID; 0 for other types.
    pub data: u64,
}

/// A requested fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An XID, as the driver reports it.
    Xid(u64),
    /// The card leaves the bus.
    Remove,
    /// It becomes too hot.
    Hot,
    /// Two bits of its memory are wrong.
    Ecc,
}

impl Block {
    /// Reads the block of a file.
    ///
    /// # Errors
    /// When the file cannot be read, or has no block.
    pub fn read(file: &Path) -> io::Result<Self> {
        let file = File::open(file)?;
        for _ in 0..TRIES {
            if let Some(block) = Self::parse(&bytes(&file)?) {
                return Ok(block);
            }
            std::thread::yield_now();
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the file has no block of a stand-in at its end"))
    }

    /// Changes the block of a file in place, so that all who have the file see it, and returns it.
    ///
    /// # Errors
    /// When the file cannot be written or has no block, or when the change is refused.
    pub fn rewrite(path: &Path, change: impl FnOnce(&Self) -> Result<Self, String>) -> io::Result<Self> {
        let mut file = File::options().read(true).write(true).open(path)?;
        file.lock()?;
        let changed = change(&Self::read(path)?).map_err(io::Error::other)?;
        file.seek(SeekFrom::End(-(LENGTH as i64)))?;
        file.write_all(&changed.render())?;
        Ok(changed)
    }

    /// `None` for bytes that are no whole block.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        if lines.next()? != MAGIC {
            return None;
        }
        let change: u64 = lines.next()?.strip_prefix("change ")?.parse().ok()?;
        let mut block =
            Self { change, driver: String::new(), cuda: 0, gpus: vec![], events: vec![], plan: vec![] };
        for line in lines {
            let (word, rest) = line.split_once(' ')?;
            match word {
                "driver" => rest.clone_into(&mut block.driver),
                "cuda" => block.cuda = rest.parse().ok()?,
                "gpu" => block.gpus.push(gpu(rest)?),
                "fault" => {
                    let (index, words) = rest.split_once(' ')?;
                    let index: u32 = index.parse().ok()?;
                    block.gpus.iter_mut().find(|gpu| gpu.index == index)?.faults = faults(words)?;
                }
                "event" => block.events.push(event(rest)?),
                "end" => return (rest.parse() == Ok(change)).then_some(block),
                _ => return None,
            }
            if matches!(word, "driver" | "cuda" | "gpu") {
                block.plan.push(line.to_owned());
            }
        }
        None
    }

    /// Its bytes, [`LENGTH`] of them.
    pub fn render(&self) -> Vec<u8> {
        let mut text = format!("{MAGIC}\nchange {}\n", self.change);
        for line in &self.plan {
            let _ = writeln!(text, "{line}");
        }
        for gpu in self.gpus.iter().filter(|gpu| gpu.faults != Faults::default()) {
            let _ = write!(text, "fault {}", gpu.index);
            let Faults { xid, removed, hot, ecc_errors } = &gpu.faults;
            if let Some(xid) = xid {
                let _ = write!(text, " xid={xid}");
            }
            text.push_str(if *removed { " removed" } else { "" });
            text.push_str(if *hot { " hot" } else { "" });
            if *ecc_errors > 0 {
                let _ = write!(text, " ecc={ecc_errors}");
            }
            text.push('\n');
        }
        for Event { number, gpu, kind, data } in &self.events {
            let _ = writeln!(text, "event {number} {gpu} {kind} {data}");
        }
        let _ = writeln!(text, "end {}", self.change);
        let mut bytes = text.into_bytes();
        bytes.resize(LENGTH, b'\n');
        bytes
    }

    /// The block with one more fault.
    ///
    /// # Errors
    /// A sentence, where there is no such GPU or it cannot have this fault.
    pub fn changed(&self, index: u32, fault: Fault) -> Result<Self, String> {
        let mut block = self.clone();
        block.change += 1;
        let count = block.gpus.len();
        let gpu =
            block.gpus.iter_mut().find(|gpu| gpu.index == index).ok_or_else(|| {
                format!("there is no stand-in GPU {index}: the machine has {count}, from 0 on")
            })?;
        let mut events = Vec::new();
        match fault {
            Fault::Xid(xid) => {
                gpu.faults.xid = Some(xid);
                events.push((XID_EVENT, xid));
            }
            Fault::Remove => {
                gpu.faults.removed = true;
                gpu.faults.xid = Some(XID_OFF_THE_BUS);
                events.push((XID_EVENT, XID_OFF_THE_BUS));
            }
            Fault::Hot => gpu.faults.hot = true,
            Fault::Ecc if !gpu.has_ecc => {
                return Err(format!("GPU {index}, {}, counts no errors of its memory", gpu.name));
            }
            Fault::Ecc => {
                gpu.faults.ecc_errors += 1;
                gpu.faults.xid = Some(XID_DOUBLE_BIT);
                events.extend([(ECC_EVENT, 0), (XID_EVENT, XID_DOUBLE_BIT)]);
            }
        }
        for (kind, data) in events {
            block.events.push(Event { number: block.change, gpu: index, kind, data });
        }
        let surplus = block.events.len().saturating_sub(EVENTS);
        block.events.drain(..surplus);
        Ok(block)
    }

    /// The block without any fault. Numbers of events go on, so that programs that wait miss none.
    pub fn cleared(&self) -> Self {
        let mut block = self.clone();
        block.change += 1;
        block.events.clear();
        for gpu in &mut block.gpus {
            gpu.faults = Faults::default();
        }
        block
    }
}

/// The bytes where the block of a file is.
fn bytes(file: &File) -> io::Result<Vec<u8>> {
    let start = file.metadata()?.len().checked_sub(LENGTH as u64);
    let start = start.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let mut bytes = vec![0; LENGTH];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// A GPU, out of its line behind the first word.
fn gpu(line: &str) -> Option<Gpu> {
    // Its name has blanks, and is last.
    let (line, name) = line.split_once(" name=")?;
    let (index, line) = line.split_once(' ')?;
    let value = |key: &str| {
        line.split(' ')
            .find_map(|word| word.split_once('=').filter(|(found, _)| *found == key))
            .map(|(_, value)| value)
    };
    let (major, minor) = value("compute")?.split_once('.')?;
    Some(Gpu {
        index: index.parse().ok()?,
        uuid: value("uuid")?.to_owned(),
        name: name.to_owned(),
        address: value("address")?.to_owned(),
        device: u16::from_str_radix(value("device")?, 16).ok()?,
        class: u32::from_str_radix(value("class")?, 16).ok()?,
        memory: value("memory")?.parse().ok()?,
        compute: (major.parse().ok()?, minor.parse().ok()?),
        temperature: value("temperature")?.parse().ok()?,
        power: value("power")?.parse().ok()?,
        power_limit: value("limit")?.parse().ok()?,
        has_ecc: value("ecc")? == "1",
        faults: Faults::default(),
    })
}

fn faults(words: &str) -> Option<Faults> {
    let mut faults = Faults::default();
    for word in words.split(' ') {
        match word.split_once('=') {
            Some(("xid", xid)) => faults.xid = Some(xid.parse().ok()?),
            Some(("ecc", errors)) => faults.ecc_errors = errors.parse().ok()?,
            None if word == "removed" => faults.removed = true,
            None if word == "hot" => faults.hot = true,
            _ => return None,
        }
    }
    Some(faults)
}

fn event(line: &str) -> Option<Event> {
    let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [number, gpu, kind, data] = numbers[..] else { return None };
    Some(Event { number, gpu: gpu.try_into().ok()?, kind, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Block {
        let gpu = |index: u32| {
            format!(
                "gpu {index} uuid=GPU-{index} address=0000:4{index}:00.0 device=1eb8 class=030200 memory=1024 \
                 compute=7.5 temperature=35 power=7093 limit=70000 ecc=1 name=Tesla T4 STAND-IN\n"
            )
        };
        let text = format!("{MAGIC}\nchange 7\ndriver 1.2.3\ncuda 13000\n{}{}end 7\n", gpu(0), gpu(1));
        Block::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn block_keeps_its_plan_when_faults_come_and_go() {
        let block = block();
        let text = |block: &Block| String::from_utf8(block.render()).unwrap().trim_end().to_owned();
        let mut broken = block.clone();
        for fault in [Fault::Hot, Fault::Ecc, Fault::Xid(13), Fault::Remove] {
            broken = broken.changed(1, fault).unwrap();
            assert_eq!(Block::parse(&broken.render()), Some(broken.clone()));
        }
        let faults = Faults { xid: Some(XID_OFF_THE_BUS), removed: true, hot: true, ecc_errors: 1 };
        assert_eq!((&broken.gpus[1].faults, &broken.gpus[0]), (&faults, &block.gpus[0]));
        let whole = broken.cleared();
        assert_eq!(whole.change, block.change + 5);
        assert_eq!(text(&whole).replace("change 12", "change 7").replace("end 12", "end 7"), text(&block));
    }

    #[test]
    fn block_is_none_while_it_is_being_written() {
        let (before, after) = (block().render(), block().changed(0, Fault::Xid(79)).unwrap().render());
        let half = [&after[..100], &before[100..]].concat();
        let texts: [&[u8]; 4] = [&half, b"", MAGIC.as_bytes(), &before[..200]];
        for bytes in texts {
            assert_eq!(Block::parse(bytes), None);
        }
    }

    #[test]
    fn block_forgets_the_oldest_events() {
        let mut block = block();
        for xid in 1..100 {
            block = block.changed(0, Fault::Xid(xid)).unwrap();
        }
        assert_eq!((block.events.len(), block.events[0].data, block.render().len()), (EVENTS, 84, LENGTH));
    }
}
