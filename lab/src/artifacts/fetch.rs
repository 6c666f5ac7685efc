//! `artifacts fetch`: downloads the artefacts of a lock that the store lacks.
//!
//! First it asks every server for sizes, then it downloads several artefacts at once. Downloaded bytes stay after any
//! interruption, and the next call goes on. Own builds count as present, unless the caller asks for exact artefacts.

mod http;
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use lab_core::artifacts::Kind;
use lab_core::artifacts::lock::Lock;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::progress::Task;
use crate::timeouts::{FETCH_PROGRESS_INTERVAL, FETCH_TIMEOUT};
use crate::wait::Deadline;

use super::list::shown;
use super::lock::{self, Item};
use super::look;
use super::store::{Blob, Digest, FileRecord, ImageRecord, Source, Store, Writer};
use http::{Ask, Client, FetchError, is_full};
use registry::{Reference, Tokens};

/// How many things come at once.
const AT_ONCE: usize = 6;

/// Where the projects that Kubespray deploys publish their files and images; every other host is a mirror.
const UPSTREAMS: [&str; 13] = [
    "dl.k8s.io",
    "docker.io",
    "gcr.io",
    "get.helm.sh",
    "ghcr.io",
    "github.com",
    "helm.ngc.nvidia.com",
    "k8s.gcr.io",
    "nvcr.io",
    "quay.io",
    "raw.githubusercontent.com",
    "registry.k8s.io",
    "storage.googleapis.com",
];

/// What fetching left, as `--json` prints it.
#[derive(Debug, Default, Serialize)]
pub struct Fetched {
    /// How many things are needed.
    pub needed: usize,
    /// How many came now.
    pub fetched: usize,
    /// How many bytes came now.
    pub bytes: u64,
    /// How many were there before.
    pub present: usize,
    /// How many of these are own builds.
    pub own_builds: usize,
}

/// Something that can be fetched: its blobs are known.
struct Planned {
    item: Item,
    /// What to ask for each blob that is lacking.
    blobs: Vec<(Ask, Digest, Option<u64>)>,
    image: Option<registry::Found>,
}

/// What all downloads share.
struct Shared {
    client: Client,
    tokens: Tokens,
    writer: Writer,
    architecture: String,
    came: AtomicI64,
    total: AtomicU64,
    task: Task,
    reported_at: Mutex<Instant>,
}

impl Shared {
    fn came(&self, count: i64) {
        let so_far = self.came.fetch_add(count, Ordering::Relaxed) + count;
        let mut reported_at = self.reported_at.lock().expect("no holder of this lock panics");
        if reported_at.elapsed() >= FETCH_PROGRESS_INTERVAL {
            *reported_at = Instant::now();
            let total = self.total.load(Ordering::Relaxed);
            self.task.show(&format!("{} of {}", shown(so_far.max(0).cast_unsigned()), shown(total)));
        }
    }
}

/// Fetches the missing artefacts.
///
/// # Errors
/// When an artefact cannot be fetched. Downloaded bytes stay.
pub async fn fetch(cx: &Cx, store: &Store, lock: &Lock, exact: bool) -> anyhow::Result<Fetched> {
    let items = lock::items(lock)?;
    let mut fetched = Fetched { needed: items.len(), ..Fetched::default() };
    let mut lacking = Vec::new();
    for item in items {
        let held = look::held(store, &item)?;
        if held.is_exact() || (!exact && held.state == look::State::Present) {
            fetched.present += 1;
            fetched.own_builds += usize::from(!held.is_exact());
        } else {
            lacking.push(item);
        }
    }
    if lacking.is_empty() {
        return Ok(fetched);
    }
    let task = cx.progress.task("artifacts");
    task.step(&format!("asking how much {} artefacts are", lacking.len()));
    let shared = Arc::new(Shared {
        client: Client::new(cx, Deadline::after(FETCH_TIMEOUT))?,
        tokens: Tokens::default(),
        writer: store.writer()?,
        architecture: lock.architecture.clone(),
        came: AtomicI64::new(0),
        total: AtomicU64::new(0),
        task,
        reported_at: Mutex::new(Instant::now()),
    });
    let mut missed = Missed::default();
    let work: Vec<_> = lacking
        .into_iter()
        .map(|item| {
            let shared = Arc::clone(&shared);
            async move { (item.clone(), plan(&shared, item).await) }
        })
        .collect();
    let mut planned = Vec::new();
    for_each_concurrently(work, |(item, outcome)| missed.sort(item, outcome, &mut planned)).await?;
    if !planned.is_empty() {
        announce(&shared, &planned)?;
    }
    let work: Vec<_> = planned
        .into_iter()
        .map(|planned| {
            let shared = Arc::clone(&shared);
            async move { (planned.item.clone(), download(&shared, planned).await) }
        })
        .collect();
    let mut came = Vec::new();
    for_each_concurrently(work, |(item, outcome)| {
        if outcome.is_ok() {
            shared.task.step(&format!("{} is here", item.name));
        }
        missed.sort(item, outcome, &mut came)
    })
    .await
    .map_err(|error| if is_full(&error) { full(error) } else { error })?;
    fetched.fetched = came.len();
    fetched.bytes = shared.came.load(Ordering::Relaxed).max(0).cast_unsigned();
    let summary = format!("{} fetched, {}", fetched.fetched, shown(fetched.bytes));
    match missed.error(fetched.needed) {
        None => shared.task.done(&summary),
        Some(error) => {
            shared.task.failed(&summary);
            return Err(error);
        }
    }
    Ok(fetched)
}

/// Does many things, a few at once. One that cannot go on at all ends the others.
async fn for_each_concurrently<T: Send + 'static>(
    work: Vec<impl Future<Output = T> + Send + 'static>,
    mut ended: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for one in work {
        let places = Arc::clone(&places);
        running.spawn(async move {
            let _place = places.acquire().await;
            one.await
        });
    }
    while let Some(outcome) = running.join_next().await {
        ended(outcome?)?;
    }
    Ok(())
}

fn full(error: anyhow::Error) -> anyhow::Error {
    error.context(Failure::new(FailureKind::Host, "there is no space left for artefacts").hint(
        "make room (`cargo xtask artifacts gc` says what could go), then call it again: it goes on from here",
    ))
}

/// Says how much is to come, and that it fits.
fn announce(shared: &Shared, planned: &[Planned]) -> anyhow::Result<()> {
    let mut seen = BTreeMap::new();
    let mut unknown = 0;
    for (_, digest, size) in planned.iter().flat_map(|one| &one.blobs) {
        unknown += usize::from(size.is_none());
        let begun = shared.writer.files().unfinished().join(format!("part-{digest}"));
        let begun = begun.metadata().map_or(0, |found| found.len());
        seen.insert(digest.clone(), (size.unwrap_or(0), begun));
    }
    let (total, begun) = seen.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1.min(one.0)));
    shared.total.store(total - begun, Ordering::Relaxed);
    let mut text = format!("{} to fetch: {}", planned.len(), shown(total - begun));
    if begun > 0 {
        text.push_str(&format!(" of {}, the rest came before", shown(total)));
    }
    if unknown > 0 {
        text.push_str(&format!(", and {unknown} of unknown size"));
    }
    shared.task.step(&text);
    let folder = &shared.writer.files().folder;
    if let Ok(found) = nix::sys::statvfs::statvfs(folder.as_path()) {
        let free = found.blocks_available() * found.fragment_size();
        if free < total - begun {
            let message = format!(
                "{} are to be fetched, and there is space for {} in `{}`",
                shown(total - begun),
                shown(free),
                folder.display()
            );
            let hint = "make room; `cargo xtask artifacts gc` says what could go";
            return Err(Failure::new(FailureKind::Host, message).hint(hint).into());
        }
    }
    Ok(())
}

/// Asks the servers what a thing consists of.
async fn plan(shared: &Shared, item: Item) -> Result<Planned, FetchError> {
    let (client, writer) = (&shared.client, &shared.writer);
    match item.kind {
        Kind::File => {
            let Some(digest) = item.digest.clone() else {
                return Err(FetchError::Refused(
                    "it has no published checksum: only an own build can give it (`cargo xtask artifacts build`)"
                        .to_owned(),
                ));
            };
            let ask = Ask::new(&item.address);
            let size = match writer.size(&digest) {
                Some(size) => Some(size),
                None => client.again(|| client.size(&ask)).await?,
            };
            Ok(Planned { blobs: vec![(ask, digest, size)], item, image: None })
        }
        Kind::Image => {
            let Some(reference) = Reference::parse(&item.address) else {
                return Err(FetchError::Refused(format!("`{}` is no reference of an image", item.address)));
            };
            let pinned = item.digest.as_ref();
            let (tokens, architecture) = (&shared.tokens, &shared.architecture);
            let find = || registry::find(client, tokens, writer, &reference, architecture, pinned);
            let found = client.again(find).await?;
            let lacking = found.rest.iter().filter(|blob| !writer.has_whole(blob));
            let blobs = lacking.map(|blob| {
                let ask = shared.tokens.ask(&found.reference, &format!("blobs/{}", blob.sha256.oci()));
                (ask, blob.sha256.clone(), Some(blob.size))
            });
            Ok(Planned { blobs: blobs.collect(), image: Some(found.clone()), item })
        }
    }
}

/// Downloads all blobs of an artefact, then records it.
async fn download(shared: &Shared, planned: Planned) -> Result<(), FetchError> {
    let Planned { item, blobs, image } = planned;
    let came = |count| shared.came(count);
    let mut downloaded: Vec<Blob> = Vec::new();
    for (ask, digest, size) in &blobs {
        if let Some(size) = shared.writer.size(digest) {
            let here = Blob { sha256: digest.clone(), size };
            // Another artefact that shares it has downloaded it, or its size cannot be right.
            if item.kind == Kind::File || blobs.is_empty() || shared.writer.has_whole(&here) {
                downloaded.push(here);
                continue;
            }
        }
        downloaded.push(shared.client.download(&shared.writer, ask, digest, *size, &came).await?);
    }
    let source = source(&item.address);
    match image {
        Some(found) => {
            let record = ImageRecord {
                name: item.name,
                version: item.version,
                reference: item.address,
                manifest: found.manifest,
                media_type: found.media_type,
                index: found.index,
                blobs: found.read.into_iter().chain(found.rest).collect(),
                source,
                build_key: None,
                made: None,
            };
            if !shared.writer.has_image(&record) {
                return Err(FetchError::Refused("a layer is not as long as its manifest says".to_owned()));
            }
            shared.writer.record_image(&record)?;
        }
        None => {
            let blob = downloaded.remove(0);
            let record = FileRecord {
                name: item.name,
                version: item.version,
                url: item.address,
                blob,
                source,
                build_key: None,
                made: None,
            };
            shared.writer.record_file(&record)?;
        }
    }
    Ok(())
}

/// Whether an address is one where a project publishes.
fn source(address: &str) -> Source {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let is_short = !address.contains("://") && (!rest.contains('/') || !host.contains(['.', ':']));
    if is_short || UPSTREAMS.contains(&host) { Source::Upstream } else { Source::Mirror }
}

/// What did not come, and why.
#[derive(Debug, Default)]
struct Missed {
    /// Host, and why, and how many things.
    unreachable: BTreeMap<String, (String, usize)>,
    refused: Vec<String>,
}

impl Missed {
    fn sort<T>(
        &mut self,
        item: Item,
        outcome: Result<T, FetchError>,
        good: &mut Vec<T>,
    ) -> anyhow::Result<()> {
        match outcome {
            Ok(one) => good.push(one),
            Err(FetchError::Fatal(error)) => return Err(error),
            Err(FetchError::Unreachable { host, cause }) => {
                let known = self.unreachable.entry(host).or_insert((cause.clone(), 0));
                known.1 += 1;
                if known.0.contains("before") {
                    known.0 = cause;
                }
            }
            Err(FetchError::Refused(why) | FetchError::Broken(why)) => {
                self.refused.push(format!("{}: {why}", item.name))
            }
        }
        Ok(())
    }

    fn error(mut self, needed: usize) -> Option<anyhow::Error> {
        let count = self.refused.len() + self.unreachable.values().map(|(_, count)| count).sum::<usize>();
        if count == 0 {
            return None;
        }
        self.refused.sort();
        let hosts: BTreeSet<&str> = self.unreachable.keys().map(String::as_str).collect();
        let message = match hosts.iter().copied().collect::<Vec<_>>().as_slice() {
            [] => format!("{count} of {needed} artefacts could not be fetched"),
            [host] => format!("{count} of {needed} artefacts could not be fetched: {host} cannot be reached"),
            many => format!(
                "{count} of {needed} artefacts could not be fetched: {} cannot be reached",
                many.join(", ")
            ),
        };
        let hint = match hosts.is_empty() {
            true => "downloads are kept: the next `cargo xtask artifacts fetch` goes on from here",
            false => {
                "downloads are kept. Without these hosts: name mirrors in the cluster file (`mirrors:`), import a \
                bundle (`cargo xtask artifacts import FILE`), or build here (`cargo xtask artifacts build`)"
            }
        };
        let failure = Failure::new(FailureKind::Host, message).hint(hint);
        let mut causes = self.refused;
        causes.extend(self.unreachable.into_iter().map(|(host, (cause, _))| format!("{host}: {cause}")));
        Some(anyhow::anyhow!(causes.join("\n")).context(failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("https://dl.k8s.io/release/v1.34.3/bin/linux/amd64/kubectl", Source::Upstream)]
    #[case("http://files.lab:8080/dl.k8s.io/release/v1.34.3/kubectl", Source::Mirror)]
    #[case("registry.k8s.io/pause:3.10.1", Source::Upstream)]
    #[case("registry.lab:5000/pause:3.10.1", Source::Mirror)]
    #[case("busybox:latest", Source::Upstream)]
    #[case("rancher/local-path-provisioner:v1", Source::Upstream)]
    fn source_is_upstream_or_mirror_by_address(#[case] address: &str, #[case] expected: Source) {
        assert_eq!(source(address), expected);
    }

    #[test]
    fn hosts_that_cannot_be_reached_are_named_once() {
        let item = |name: &str| Item {
            kind: Kind::File,
            name: name.to_owned(),
            version: None,
            address: String::new(),
            digest: None,
        };
        let away = |host: &str, cause: &str| {
            Err::<(), _>(FetchError::Unreachable { host: host.to_owned(), cause: cause.to_owned() })
        };
        let mut missed = Missed::default();
        let mut good = Vec::new();
        for (name, outcome) in [
            ("a", away("dl.k8s.io", "no such host")),
            ("b", away("dl.k8s.io", "it could not be reached before")),
            ("c", away("github.com", "no such host")),
            ("d", Err(FetchError::Refused("quay.io answered 404 to /v2/x".to_owned()))),
            ("e", Ok(())),
        ] {
            missed.sort(item(name), outcome, &mut good).unwrap();
        }
        insta::assert_snapshot!(crate::failure::render(&missed.error(5).unwrap()));
    }
}
