//! Whether a computer is overloaded, judged from text that Linux gives, and how much more time an answer needs then.
//!
//! Reads no file and no clock: `lab/src/host/load.rs` does.

use std::time::Duration;

/// A resource counts as short where some task waited for it during this share of the time.
const PROCESSOR_SHARE: f64 = 0.5;
/// The same of disks.
const DISK_SHARE: f64 = 0.5;
/// The same of memory. A task that waits for memory waits for reclaim or swap, which a healthy computer rarely does.
const MEMORY_SHARE: f64 = 0.2;
/// Without pressure information: as many tasks a processor are an overload.
const OVERLOAD_PER_PROCESSOR: f64 = 2.0;
/// The least and the most that a deadline is multiplied by on an overloaded computer.
const FACTOR: std::ops::RangeInclusive<u32> = 4..=8;
/// How many times longer than usual anything may take at the most: emulated and on an overloaded computer.
const MAX_TIMES: u32 = 10;
/// No wait is made longer than this because of an overload.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// The load of a computer at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadSample {
    /// Time for which some task has waited since boot; `None` where the kernel has no pressure information (PSI).
    pub stalled: Option<StallTimes>,
    /// Tasks that run or wait: the average of a minute, or their number now where that is more.
    pub tasks: f64,
    /// Processors; at least 1.
    pub processors: u32,
}

/// How long some task has waited for each resource since boot (Linux' Documentation/accounting/psi.rst, `some … total=`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StallTimes {
    /// For a processor.
    pub processor: Duration,
    /// For a disk.
    pub disk: Duration,
    /// For memory.
    pub memory: Duration,
}

/// An overload of a computer, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overload {
    /// For people, to stand in parentheses: `load 14 on 2 processors`.
    pub evidence: String,
    /// How many times longer than usual an answer may take.
    pub factor: u32,
}

impl LoadSample {
    /// Reads `/proc/loadavg` and `/proc/pressure/{cpu,io,memory}`. Text that is missing or not understood says nothing.
    pub fn parse(loadavg: &str, pressure: Option<[&str; 3]>, processors: u32) -> Self {
        let fields: Vec<&str> = loadavg.split_ascii_whitespace().collect();
        let average = fields.first().and_then(|field| field.parse::<f64>().ok());
        let now = fields.get(3).and_then(|field| field.split_once('/')?.0.parse::<f64>().ok());
        let number = |value: Option<f64>| value.filter(|value| value.is_finite()).unwrap_or_default();
        let stalled = pressure.and_then(|[processor, disk, memory]| {
            Some(StallTimes {
                processor: stall_time(processor)?,
                disk: stall_time(disk)?,
                memory: stall_time(memory)?,
            })
        });
        Self { stalled, tasks: number(average).max(number(now)), processors: processors.max(1) }
    }
}

/// `total=` of the line `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, in microseconds there.
fn stall_time(text: &str) -> Option<Duration> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let total = line.split_ascii_whitespace().find_map(|field| field.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// Whether the computer was overloaded between two samples that are `elapsed` apart; `None` where it was not.
pub fn overload(before: &LoadSample, after: &LoadSample, elapsed: Duration) -> Option<Overload> {
    let mut reasons = Vec::new();
    match (&before.stalled, &after.stalled) {
        (Some(before), Some(after)) => {
            let share = |before: Duration, after: Duration| {
                let stalled = after.saturating_sub(before).as_secs_f64();
                (stalled / elapsed.as_secs_f64().max(f64::EPSILON)).min(1.0)
            };
            for (what, share, limit) in [
                ("a processor", share(before.processor, after.processor), PROCESSOR_SHARE),
                ("a disk", share(before.disk, after.disk), DISK_SHARE),
                ("memory", share(before.memory, after.memory), MEMORY_SHARE),
            ] {
                if share >= limit {
                    reasons.push(format!("tasks waited for {what} {:.0} % of the time", share * 100.0));
                }
            }
            if reasons.is_empty() {
                return None;
            }
        }
        _ if after.tasks < OVERLOAD_PER_PROCESSOR * f64::from(after.processors) => return None,
        _ => {}
    }
    let processors = if after.processors == 1 { "processor" } else { "processors" };
    reasons.insert(0, format!("load {:.0} on {} {processors}", after.tasks, after.processors));
    Some(Overload { evidence: reasons.join(", "), factor: factor(after) })
}

/// As many times longer as there are tasks for each processor, within bounds.
fn factor(sample: &LoadSample) -> u32 {
    let bounds = (f64::from(*FACTOR.start()), f64::from(*FACTOR.end()));
    let factor = (sample.tasks / f64::from(sample.processors)).ceil().clamp(bounds.0, bounds.1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was clamped to small numbers"
    )]
    let factor = factor as u32;
    factor
}

/// How many times longer than usual anything may take where it may take `times` as long already, because machines are
/// emulated, and the computer is overloaded too.
pub fn times_under(overload: &Overload, times: u32) -> u32 {
    times.saturating_mul(overload.factor).min(MAX_TIMES).max(times)
}

/// How long a wait of `length` may last where the computer is overloaded; never shorter than it was.
pub fn wait_under(overload: &Overload, length: Duration) -> Duration {
    length.saturating_mul(overload.factor).min(MAX_WAIT).max(length)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn pressure(total: u64) -> String {
        format!(
            "some avg10=99.10 avg60=93.55 avg300=58.44 total={total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
        )
    }

    #[test]
    fn load_is_read_from_the_text_of_the_kernel() {
        let (cpu, io, memory) = (pressure(2_500_000), pressure(9_801_824), pressure(0));
        let sample = LoadSample::parse("9.22 5.71 2.72 11/162 7240\n", Some([&cpu, &io, &memory]), 2);
        let stalled = StallTimes {
            processor: Duration::from_millis(2500),
            disk: Duration::from_micros(9_801_824),
            memory: Duration::ZERO,
        };
        assert_eq!(sample, LoadSample { stalled: Some(stalled), tasks: 11.0, processors: 2 });
    }

    #[rstest]
    #[case::no_pressure_information("1.50 1.00 0.50 1/100 99", None, 1.5)]
    #[case::pressure_of_another_shape("1.50 1.00 0.50 1/100 99", Some(["some total=x", "", "full total=1"]), 1.5)]
    #[case::more_tasks_now("0.10 1.00 0.50 6/100 99", None, 6.0)]
    #[case::no_load("", None, 0.0)]
    #[case::load_that_is_no_number("NaN inf - x/y 3", None, 0.0)]
    fn load_that_is_missing_or_not_understood_says_nothing(
        #[case] loadavg: &str,
        #[case] pressure: Option<[&str; 3]>,
        #[case] tasks: f64,
    ) {
        let expected = LoadSample { stalled: None, tasks, processors: 1 };
        assert_eq!(LoadSample::parse(loadavg, pressure, 0), expected);
    }

    /// Two samples ten seconds apart, in which tasks waited for so many seconds.
    fn stalls(processor: u64, disk: u64, memory: u64, tasks: f64) -> Option<Overload> {
        let sample = |[processor, disk, memory]: [u64; 3]| LoadSample {
            stalled: Some(StallTimes {
                processor: Duration::from_secs(processor),
                disk: Duration::from_secs(disk),
                memory: Duration::from_secs(memory),
            }),
            tasks,
            processors: 2,
        };
        let before = sample([100, 200, 300]);
        let after = sample([100 + processor, 200 + disk, 300 + memory]);
        overload(&before, &after, Duration::from_secs(10))
    }

    #[rstest]
    #[case::idle(0, 0, 0, 0.5, None)]
    #[case::at_work(4, 4, 1, 3.0, None)]
    #[case::many_tasks_that_do_not_wait(1, 0, 0, 30.0, None)]
    #[case::processors(10, 0, 0, 14.0, Some(("load 14 on 2 processors, tasks waited for a processor 100 % of the time", 7)))]
    #[case::a_disk(0, 6, 0, 2.0, Some(("load 2 on 2 processors, tasks waited for a disk 60 % of the time", 4)))]
    #[case::memory(0, 0, 2, 2.0, Some(("load 2 on 2 processors, tasks waited for memory 20 % of the time", 4)))]
    #[case::two(5, 5, 0, 90.0, Some(("load 90 on 2 processors, tasks waited for a processor 50 % of the time, tasks waited for a disk 50 % of the time", 8)))]
    fn overload_is_waiting_time_of_tasks(
        #[case] processor: u64,
        #[case] disk: u64,
        #[case] memory: u64,
        #[case] tasks: f64,
        #[case] expected: Option<(&str, u32)>,
    ) {
        let found = stalls(processor, disk, memory, tasks);
        let found = found.as_ref().map(|overload| (overload.evidence.as_str(), overload.factor));
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::idle(0.5, 2, None)]
    #[case::one_task_a_processor(2.0, 2, None)]
    #[case::overloaded(14.0, 2, Some(("load 14 on 2 processors", 7)))]
    #[case::barely(4.0, 2, Some(("load 4 on 2 processors", 4)))]
    #[case::one_processor(64.0, 1, Some(("load 64 on 1 processor", 8)))]
    #[case::large_computer(14.0, 64, None)]
    fn without_pressure_information_an_overload_is_load_for_each_processor(
        #[case] tasks: f64,
        #[case] processors: u32,
        #[case] expected: Option<(&str, u32)>,
    ) {
        let sample = LoadSample { stalled: None, tasks, processors };
        let found = overload(&LoadSample::default(), &sample, Duration::from_secs(4));
        let found = found.as_ref().map(|overload| (overload.evidence.as_str(), overload.factor));
        assert_eq!(found, expected);
    }

    #[test]
    fn overload_does_not_divide_by_zero_between_samples_of_one_moment() {
        let sample = LoadSample { stalled: Some(StallTimes::default()), tasks: 90.0, processors: 1 };
        assert_eq!(overload(&sample, &sample, Duration::ZERO), None);
    }

    #[rstest]
    #[case::containers(1, 7, 7)]
    #[case::emulated(5, 4, 10)]
    #[case::emulated_and_much_too_busy(5, 8, 10)]
    #[case::never_less(20, 4, 20)]
    fn emulation_and_overload_together_stay_within_bounds(
        #[case] times: u32,
        #[case] factor: u32,
        #[case] expected: u32,
    ) {
        assert_eq!(times_under(&Overload { evidence: String::new(), factor }, times), expected);
    }

    #[rstest]
    #[case::short(4, 7, 28)]
    #[case::at_most_ten_minutes(120, 8, 600)]
    #[case::never_shorter(900, 4, 900)]
    fn wait_grows_with_overload_within_bounds(
        #[case] seconds: u64,
        #[case] factor: u32,
        #[case] expected: u64,
    ) {
        let overload = Overload { evidence: String::new(), factor };
        assert_eq!(wait_under(&overload, Duration::from_secs(seconds)), Duration::from_secs(expected));
    }
}
