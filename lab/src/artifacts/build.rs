//! Own builds: compiles Go modules at the versions that a lock names, takes the rest from Debian's packages, and puts
//! both into the store as the files and images of the lock.
//!
//! [`lab_core::artifacts`] defines the possible builds. A build is done again only when its key changes. Two that
//! want the same unit wait for each other; one that was killed leaves a folder in `artifacts/builds/` of the cache that the next
//! one goes on in, and caches that make it quick.

mod archive;
mod assemble;
mod chart;
mod compile;
mod debian;
mod explain;
mod oci;
mod outcome;
mod toolchain;
mod userland;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use lab_core::artifacts::lock::Lock;
use lab_core::artifacts::{Entry, How, Kind, Part, Userland, key, module_version, plan};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use self::assemble::Parts;
use self::compile::{Compiled, Place, Unit};
pub use self::outcome::{Outcome, State, summary};
use self::toolchain::Toolchain;
use self::userland::Packages;
use crate::artifacts::store::{Source, Store, Writer};
use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::progress::Task;
use crate::timeouts::{ARTIFACT_BUILD_INTERVAL, ARTIFACT_BUILD_TIMEOUT};
use crate::wait::{Deadline, Probe};
use crate::{files, wait};

/// The folder that Debian's packages are unpacked in.
const PACKAGES: &str = "debian-packages";
/// How many units are downloaded for at once.
const DOWNLOADS: usize = 2;
/// One compiler keeps this many processors busy for most of its time.
const PROCESSORS: usize = 4;

/// An entry that is to be built.
#[derive(Debug, Clone)]
struct Job {
    /// Which of the outcomes is its own.
    index: usize,
    entry: Entry,
    part: &'static Part,
    key: String,
}

/// What all units share.
struct Shared {
    cx: Cx,
    writer: Writer,
    go: Option<Toolchain>,
    architecture: String,
    folder: PathBuf,
    deadline: Deadline,
    /// Debian's packages by their list, once they are fetched.
    packages: Mutex<BTreeMap<&'static [&'static str], Arc<Packages>>>,
    downloads: Semaphore,
    compilers: Semaphore,
}

/// Entries that are made together.
struct Batch {
    title: String,
    /// The module of its jobs first, where they have one, then those that their images take programs from too.
    units: Vec<Unit>,
    jobs: Vec<Job>,
}

/// Builds everything of a lock that can be built and is not in the store.
///
/// # Errors
/// When something could not be built. Everything else was, all the same.
pub async fn build(cx: &Cx, lock: &Lock) -> anyhow::Result<Vec<Outcome>> {
    let deadline = Deadline::after(ARTIFACT_BUILD_TIMEOUT);
    let store = Store::open(&cx.layout);
    let entries = plan(lock);
    let mut outcomes = Vec::new();
    let mut wanted = Vec::new();
    for entry in entries {
        let found = found(&store, &entry)?;
        let mut outcome = Outcome {
            name: entry.name.clone(),
            kind: entry.kind,
            version: entry.version.clone(),
            state: State::Exact,
            reason: None,
            instead: None,
            stand_in: None,
        };
        match (&found, &entry.how) {
            (Some(Found { own_build: None }), _) => {}
            (_, How::Not { reason, instead }) => {
                outcome.state = State::Impossible;
                outcome.reason = Some(reason.clone());
                outcome.instead = Some(instead.clone());
            }
            (_, How::Build { part, .. }) => {
                outcome.stand_in = part.stand_in;
                wanted.push((outcomes.len(), entry.clone(), *part, found));
            }
        }
        outcomes.push(outcome);
    }
    let go = match Toolchain::find(cx, deadline).await {
        Ok(go) => Some(go),
        // Without one, a build by any toolchain is used.
        Err(error)
            if wanted
                .iter()
                .any(|(_, _, part, found)| found.is_none() && part.product.module().is_some()) =>
        {
            return Err(error);
        }
        Err(_) => None,
    };
    let mut jobs = Vec::new();
    for (index, entry, part, found) in wanted {
        let compiler = go.as_ref().map_or("", |go| go.version.as_str());
        let key = key(part, &entry.version, &lock.kubernetes, &lock.architecture, compiler);
        let had = found.and_then(|found| found.own_build);
        let same = had.as_ref().is_some_and(|had| *had == key);
        let best = go.is_none() && had.is_some() && part.product.module().is_some();
        if same || best {
            outcomes[index].state = State::Kept;
            continue;
        }
        outcomes[index].state = State::Failed;
        jobs.push(Job { index, entry, part, key });
    }
    if jobs.is_empty() {
        return Ok(outcomes);
    }
    let batches = batches(jobs, lock)?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let shared = Arc::new(Shared {
        cx: cx.clone(),
        writer: store.writer()?,
        go,
        architecture: lock.architecture.clone(),
        folder: store.files().builds(),
        deadline,
        packages: Mutex::default(),
        downloads: Semaphore::new(DOWNLOADS),
        compilers: Semaphore::new((processors / PROCESSORS).max(1)),
    });
    make(cx, shared, batches, outcomes).await
}

/// Makes all batches at once, and notes in `outcomes` what came of each entry.
async fn make(
    cx: &Cx,
    shared: Arc<Shared>,
    batches: Vec<Batch>,
    mut outcomes: Vec<Outcome>,
) -> anyhow::Result<Vec<Outcome>> {
    let mut running = JoinSet::new();
    for batch in batches {
        let shared = shared.clone();
        running.spawn(async move {
            let task = shared.cx.progress.task(&batch.title);
            let ended = shared.run(&batch, &task).await;
            if let Err(error) = &ended {
                task.failed(&error.to_string());
            }
            (batch, ended)
        });
    }
    let mut errors = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (batch, ended) = ended.context("a build broke off")?;
        match ended {
            Ok(made) => {
                for job in &batch.jobs {
                    let built = made.contains(&job.index);
                    outcomes[job.index].state = if built { State::Built } else { State::Kept };
                }
            }
            Err(error) => errors.push((batch.title, error)),
        }
    }
    match errors.len() {
        0 => Ok(outcomes),
        1 => Err(errors.remove(0).1),
        _ if cx.cancel.is_cancelled() => Err(errors.remove(0).1),
        count => {
            let names: Vec<&str> = errors.iter().map(|(title, _)| title.as_str()).collect();
            let message = format!("{count} parts could not be built: {}", names.join(", "));
            let causes: Vec<String> = errors.iter().map(|(_, error)| error.to_string()).collect();
            Err(anyhow::anyhow!(causes.join("\n")).context(Failure::new(FailureKind::Host, message)))
        }
    }
}

/// What the store has of an entry.
struct Found {
    /// The key of the own build; `None` where it is what the maker published.
    own_build: Option<String>,
}

fn found(store: &Store, entry: &Entry) -> anyhow::Result<Option<Found>> {
    let (source, key) = match entry.kind {
        Kind::File => match store.file(&entry.address)? {
            Some(record) => (record.source, record.build_key),
            None => return Ok(None),
        },
        Kind::Image => match store.image(&entry.address)? {
            Some(record) => (record.source, record.build_key),
            None => return Ok(None),
        },
    };
    let own_build = (source == Source::OwnBuild).then(|| key.unwrap_or_default());
    Ok(Some(Found { own_build }))
}

/// Puts jobs of one module in one version together, the largest first: it takes longest.
fn batches(jobs: Vec<Job>, lock: &Lock) -> anyhow::Result<Vec<Batch>> {
    let mut groups: BTreeMap<(&str, String, String), Vec<Job>> = BTreeMap::new();
    for job in jobs {
        let How::Build { module_version, .. } = &job.entry.how else { continue };
        let name = match job.part.product.module() {
            Some(module) => (module.name, job.entry.version.clone(), module_version.clone()),
            None => ("packages of Debian", String::new(), String::new()),
        };
        groups.entry(name).or_default().push(job);
    }
    let batch = |((name, version, own), jobs): ((&str, String, String), Vec<Job>)| {
        let title = format!("{name} {version}").trim().to_owned();
        let mut units: Vec<Unit> = Vec::new();
        for job in &jobs {
            for (index, (module, programs)) in job.part.product.programs().into_iter().enumerate() {
                if let Some(unit) = units.iter_mut().find(|unit| unit.module.name == module.name) {
                    unit.programs.extend(programs);
                    continue;
                }
                // Another module's programs say their own version, not that of the image.
                let (version, module_version) = if index == 0 {
                    (version.clone(), own.clone())
                } else {
                    let its =
                        module_version(module, &version, &lock.kubernetes).map_err(anyhow::Error::msg)?;
                    (its.clone(), its)
                };
                let (programs, architecture) = (programs.into_iter().collect(), lock.architecture.clone());
                units.push(Unit { module, version, module_version, programs, architecture });
            }
        }
        Ok(Batch { title, units, jobs })
    };
    let mut batches = groups.into_iter().map(batch).collect::<anyhow::Result<Vec<Batch>>>()?;
    batches.sort_by_key(|batch| std::cmp::Reverse(batch.jobs.len()));
    Ok(batches)
}

/// The folder in which a killed command left Debian's packages half unpacked; none where there is no such
/// folder or a living command works in it.
///
/// # Errors
/// When its lock cannot be taken.
pub fn abandoned_packages(store: &Store) -> anyhow::Result<Option<PathBuf>> {
    let builds = store.files().builds();
    let folder = builds.join(PACKAGES);
    let is_free = || files::try_lock(&lock_path(&builds, PACKAGES)).map(|lock| lock.is_some());
    Ok(if folder.exists() && is_free()? { Some(folder) } else { None })
}

fn lock_path(builds: &Path, name: &str) -> PathBuf {
    builds.join(format!("{name}.lock"))
}

impl Shared {
    /// Makes a batch. Says which entries were made: others may have been while it waited.
    async fn run(&self, batch: &Batch, task: &Task) -> anyhow::Result<Vec<usize>> {
        let name = match batch.units.first() {
            Some(unit) => format!("{}-{}-{}", unit.module.name, unit.module_version, self.architecture),
            None => format!("debian-{}", self.architecture),
        };
        let place = self.claim(&name, task).await?;
        // The builder that was waited for may have built the same.
        let store: &Store = &self.writer;
        let mut jobs = Vec::new();
        for job in &batch.jobs {
            let key = found(store, &job.entry)?.and_then(|found| found.own_build);
            if key.as_ref() != Some(&job.key) {
                jobs.push(job.clone());
            }
        }
        let mut began = Instant::now();
        let mut compiled = Vec::new();
        if let (Some(go), false, false) = (&self.go, jobs.is_empty(), batch.units.is_empty()) {
            compiled = self.prepare(batch, go, &place, task).await?;
            let with_programs = || compiled.iter().filter(|one| !one.unit.programs.is_empty());
            let _compiler = match with_programs().next() {
                Some(_) => {
                    task.step("waiting for the compiler");
                    Some(self.compilers.acquire().await?)
                }
                None => None,
            };
            began = Instant::now();
            for Compiled { unit, place, .. } in with_programs() {
                let names: Vec<&str> = unit.programs.iter().copied().collect();
                task.step(&format!("compiling {}", names.join(", ")));
                unit.compile(&self.cx, go, place, self.deadline).await?;
            }
        }
        let mut packages = BTreeMap::new();
        for userland in jobs.iter().filter_map(|job| job.part.product.userland()) {
            packages.insert(userland.packages, self.packages(userland, task).await?);
        }
        task.step("putting it into the store");
        let made: Vec<usize> = jobs.iter().map(|job| job.index).collect();
        // Some hundred MiB are written: other tasks go on meanwhile.
        let size = tokio::task::block_in_place(|| {
            let parts = Parts {
                writer: &self.writer,
                compiled: &compiled,
                packages: &packages,
                compiler: self.go.as_ref().map_or("", |go| go.version.as_str()),
                architecture: &self.architecture,
                folder: &place.folder,
            };
            jobs.iter().map(|job| parts.make(job)).sum::<anyhow::Result<u64>>()
        })?;
        files::remove(&place.folder)?;
        let size = lab_core::units::Bytes(size);
        task.done(&match made.is_empty() {
            true => "another command has built it".to_owned(),
            false => format!("built in {:.0} s, {} MiB", began.elapsed().as_secs_f64(), size.mib()),
        });
        Ok(made)
    }

    /// Downloads what the units of a batch need: the first in the batch's own folder, others below it.
    async fn prepare<'a>(
        &self,
        batch: &'a Batch,
        go: &Toolchain,
        place: &Place,
        task: &Task,
    ) -> anyhow::Result<Vec<Compiled<'a>>> {
        let _download = self.downloads.acquire().await?;
        task.step("downloading its modules");
        let mut compiled = Vec::new();
        for (index, unit) in batch.units.iter().enumerate() {
            let place = if index == 0 { place.clone() } else { place.below(unit.module.name) };
            let source = unit.prepare(&self.cx, go, &place, self.deadline).await?;
            compiled.push(Compiled { unit, place, source });
        }
        Ok(compiled)
    }

    /// Debian's packages, fetched once for all who need the same.
    async fn packages(&self, userland: &'static Userland, task: &Task) -> anyhow::Result<Arc<Packages>> {
        let mut fetched = self.packages.lock().await;
        if let Some(packages) = fetched.get(userland.packages) {
            return Ok(packages.clone());
        }
        let place = self.claim(PACKAGES, task).await?;
        task.step("fetching packages of Debian");
        let packages = debian::fetch(&self.cx, userland, &place, &self.architecture, self.deadline).await?;
        files::remove(&place.folder)?;
        let packages = Arc::new(packages);
        fetched.insert(userland.packages, packages.clone());
        Ok(packages)
    }

    /// Waits for the right to work in a folder. What an interrupted builder left there is gone on with.
    async fn claim(&self, name: &str, task: &Task) -> anyhow::Result<Place> {
        let folder = self.folder.join(name);
        let path = lock_path(&self.folder, name);
        let what = format!("another build of {name}");
        let mut announced = false;
        let lock = wait::until(&self.cx.cancel, &what, self.deadline, ARTIFACT_BUILD_INTERVAL, || {
            std::future::ready(match files::try_lock(&path) {
                Ok(Some(lock)) => Probe::Ready(lock),
                Ok(None) => {
                    if !std::mem::replace(&mut announced, true) {
                        task.step("waiting for another build of the same");
                    }
                    Probe::NotYet("it is still at it".to_owned())
                }
                Err(error) => Probe::Fatal(error),
            })
        })
        .await?;
        files::make_folder(&folder)?;
        let log = self.folder.join("log").join(format!("{name}.log"));
        files::write_again(&log, b"", files::PUBLIC)?;
        Ok(Place { folder, log, lock: Arc::new(lock) })
    }
}
