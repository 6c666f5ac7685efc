//! Checkouts of pinned commits, side by side: fetched beside their place, verified, renamed into it.
//!
//! A checkout is never changed. One with local changes is refused and left alone, because they may be a person's work.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lab_core::kubespray::AnsibleRange;
use serde::Serialize;

use crate::cx::Cx;
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::process::Output;
use crate::progress::Task;
use crate::timeouts::{CHECKOUT_FETCH_TIMEOUT, CHECKOUT_VERIFY_TIMEOUT};
use crate::wait::Deadline;

use super::git;
use super::source::{Pin, Request};

/// A checkout that was found to be the pinned commit, unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkout {
    /// All forty digits.
    pub commit: String,
    /// Its folder.
    #[serde(rename = "checkout")]
    pub path: PathBuf,
}

impl Checkout {
    /// One of its files as a text.
    ///
    /// # Errors
    /// When it is not there: then this is not a Kubespray.
    pub fn read(&self, file: &str) -> anyhow::Result<String> {
        let not_kubespray = || {
            Failure::new(
                FailureKind::Usage,
                format!("commit {} is not one of Kubespray: it has no `{file}`", self.commit),
            )
        };
        files::read_if_present(&self.path.join(file))?.with_context(not_kubespray)
    }

    /// The versions of ansible-core that its playbooks accept.
    ///
    /// # Errors
    /// When it does not say so where every known Kubespray does.
    pub fn ansible_range(&self) -> anyhow::Result<AnsibleRange> {
        let file = "playbooks/ansible_version.yml";
        AnsibleRange::read(&self.read(file)?).with_context(|| {
            Failure::new(FailureKind::Usage, format!("`{file}` of commit {} asserts no Ansible", self.commit))
        })
    }
}

/// The checkout of a commit where it was fetched, verified.
///
/// # Errors
/// When it was changed, or is not what its name says.
pub async fn find(cx: &Cx, pin: &Pin) -> anyhow::Result<Option<Checkout>> {
    let path = cx.layout.kubespray().checkout(&pin.commit);
    if !path.is_dir() {
        return Ok(None);
    }
    verify(cx, &path, pin, Deadline::after(CHECKOUT_VERIFY_TIMEOUT)).await?;
    Ok(Some(Checkout { commit: pin.commit.clone(), path }))
}

/// The checkout of a commit, fetched if it is not there.
///
/// # Errors
/// When it cannot be fetched, or the checkout there has local changes.
pub async fn ensure(cx: &Cx, request: &Request) -> anyhow::Result<Checkout> {
    lab_cache::note_use(cx.layout.cache(), "kubespray", &request.pin.commit);
    if let Some(checkout) = find(cx, &request.pin).await? {
        return Ok(checkout);
    }
    let task = cx.progress.task("kubespray");
    let deadline = Deadline::after(CHECKOUT_FETCH_TIMEOUT);
    let pin = &request.pin;
    let places = cx.layout.kubespray();
    let what = format!("another command that fetches Kubespray {}", pin.version);
    let lock = super::hold(cx, &places.lock(&pin.commit), &what, deadline, &task).await?;
    let made = match find(cx, pin).await {
        // The last holder of the lock has fetched it.
        Ok(Some(checkout)) => Ok(checkout),
        Ok(None) => make(cx, request, &lock, deadline, &task).await,
        Err(error) => Err(error),
    };
    match &made {
        Ok(_) => task.done(&format!("{} in {:.1} s", pin.version, task.elapsed().as_secs_f64())),
        Err(_) => task.failed(&format!("{} could not be fetched", pin.version)),
    }
    made
}

async fn make(
    cx: &Cx,
    request: &Request,
    lock: &Arc<File>,
    deadline: Deadline,
    task: &Task,
) -> anyhow::Result<Checkout> {
    let pin = &request.pin;
    let places = cx.layout.kubespray();
    let (folder, path) = (places.unfinished(&pin.commit), places.checkout(&pin.commit));
    task.step(&format!("fetching {} from {}", pin.version, request.shown_source()));
    let made = async {
        // What an interrupted command left.
        files::remove(&folder)?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        fetch_commit(cx, request, &folder, lock, deadline).await?;
        task.step("checking out");
        git::check_out(cx, &folder, &pin.commit, lock, deadline).await.map_err(|error| {
            let words = error.to_string();
            anyhow::Error::from(error).context(complaint(request, &words))
        })?;
        verify(cx, &folder, pin, deadline).await?;
        std::fs::rename(&folder, &path)
            .with_context(|| format!("cannot rename `{}` to `{}`", folder.display(), path.display()))
    }
    .await;
    if let Err(error) = made {
        // The first error matters more than one of the removal.
        let _ = files::remove(&folder);
        return Err(error);
    }
    Ok(Checkout { commit: pin.commit.clone(), path })
}

/// Fetches the pinned commit into a new repository: by its id, or by its tag if the server serves only named
/// commits.
async fn fetch_commit(
    cx: &Cx,
    request: &Request,
    folder: &Path,
    lock: &Arc<File>,
    deadline: Deadline,
) -> anyhow::Result<()> {
    let Request { pin, source } = request;
    git::init(cx, folder, lock, deadline).await?;
    let by_id = git::fetch(cx, folder, source, &pin.commit, lock, deadline).await?;
    if by_id.status.success() {
        return Ok(());
    }
    let (Some(tag), true) = (pin.tag, is_refusal(&by_id)) else { return Err(unfetched(request, &by_id)) };
    let by_tag = git::fetch(cx, folder, source, &format!("refs/tags/{tag}"), lock, deadline).await?;
    if !by_tag.status.success() {
        return Err(unfetched(request, &by_tag));
    }
    let found = git::commit(cx, folder, "FETCH_HEAD", deadline).await?.unwrap_or_default();
    if found != pin.commit {
        let message = format!(
            "the tag {tag} of `{}` is commit {found}, not the pinned {}",
            request.shown_source(),
            pin.commit
        );
        let hint = "a tag that was moved is no release: fetch from another source";
        return Err(Failure::new(FailureKind::Host, message).hint(hint).into());
    }
    Ok(())
}

/// Whether the server was reached and did not give the commit out.
fn is_refusal(output: &Output) -> bool {
    const WORDS: [&str; 4] =
        ["not our ref", "Server does not allow request", "couldn't find remote ref", "unadvertised object"];
    WORDS.iter().any(|words| output.stderr.contains(words))
}

/// Why a fetch did not work, for a person.
fn unfetched(request: &Request, output: &Output) -> anyhow::Error {
    // git may repeat the URL, and in it a password.
    let words = output.stderr.replace(&request.source, &request.shown_source());
    let words = words.trim().to_owned();
    let failure = match is_refusal(output) {
        true => {
            let (source, pin) = (request.shown_source(), &request.pin);
            let message = format!("`{source}` has no commit {}", pin.commit);
            let message = if pin.tag.is_some() { format!("{message} ({})", pin.version) } else { message };
            Failure::new(FailureKind::Host, message)
        }
        false => complaint(request, &words),
    };
    anyhow::anyhow!("git said: {words}").context(failure)
}

/// One sentence for what git could not do.
fn complaint(request: &Request, words: &str) -> Failure {
    let source = request.shown_source();
    if words.contains("No space left on device") || words.contains("Disk quota exceeded") {
        return Failure::new(
            FailureKind::Host,
            format!("the disk is full: Kubespray {} was not fetched", request.pin.version),
        )
        .hint("make room, then fetch again");
    }
    Failure::new(
        FailureKind::Host,
        format!("Kubespray {} cannot be fetched from `{source}`", request.pin.version),
    )
    .hint("`--source` takes any git URL or directory that has the commit: a mirror, a clone on a disk")
}

/// Checks that a folder is a checkout of exactly the pinned commit.
async fn verify(cx: &Cx, folder: &Path, pin: &Pin, deadline: Deadline) -> anyhow::Result<()> {
    let shown = cx.layout.shown(folder);
    let again = format!("rm -r '{}', then fetch again", folder.display());
    let state = git::state(cx, folder, deadline).await?;
    let commit = state.as_ref().and_then(|state| state.commit.clone());
    let Some((state, commit)) = state.zip(commit) else {
        let message = format!("`{shown}` is not a whole checkout of Kubespray {}", pin.version);
        return Err(Failure::new(FailureKind::Host, message).hint(again).into());
    };
    if commit != pin.commit {
        let message =
            format!("`{shown}` is commit {commit}, not the pinned {} ({})", pin.commit, pin.version);
        return Err(Failure::new(FailureKind::Host, message).hint(again).into());
    }
    if let Some(first) = state.changed.first() {
        let others = match state.changed.len() - 1 {
            0 => String::new(),
            1 => " and one other file".to_owned(),
            more => format!(" and {more} other files"),
        };
        let message = format!("the checkout `{shown}` was changed: `{first}`{others}");
        return Err(Failure::new(FailureKind::Host, message).hint(again).into());
    }
    Ok(())
}

/// Makes `kubespray-src` lead to a checkout: replaced in one step, so that it always leads somewhere.
///
/// # Errors
/// When a foreign file or folder is in its place.
pub fn lead_to(cx: &Cx, checkout: &Checkout) -> anyhow::Result<()> {
    let places = cx.layout.kubespray();
    let link = places.link();
    let target = &checkout.path;
    if std::fs::read_link(link).is_ok_and(|old| old == *target) {
        return Ok(());
    }
    if link.symlink_metadata().is_ok_and(|metadata| !metadata.is_symlink()) {
        let message = format!("`{}` is not ours: it is no link", link.display());
        let hint = format!("mv '{0}' '{0}.old', then fetch again", link.display());
        return Err(Failure::new(FailureKind::Host, message).hint(hint).into());
    }
    let folder = link.parent().context("a link lies in a folder")?;
    files::make_folder(folder)?;
    let temporary = folder.join(format!(".kubespray-src.{}.tmp", std::process::id()));
    files::remove(&temporary)?;
    symlink(target, &temporary)
        .and_then(|()| std::fs::rename(&temporary, link))
        .with_context(|| format!("cannot make the link `{}`", link.display()))
}

#[cfg(test)]
mod tests {
    use lab_core::kubespray::release;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::failure_kind;
    use crate::layout::Layout;
    use crate::process::invocation;
    use crate::progress::Progress;

    /// A made-up repository with one commit under a tag, and an empty checkout of ours.
    struct World {
        folder: tempfile::TempDir,
        cx: Cx,
        commit: String,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let cx = Cx {
                layout: Layout::new(folder.path().join("project"), folder.path().join("cache")),
                cancel: CancellationToken::new(),
                progress: Progress::new(false),
                yes: false,
            };
            std::fs::create_dir_all(folder.path().join("project")).unwrap();
            std::fs::create_dir(folder.path().join("source")).unwrap();
            let mut world = Self { folder, cx, commit: String::new() };
            world.git(&["init", "--quiet"]).await;
            world.commit = world.commit("one").await;
            world.git(&["tag", "v2.30.0"]).await;
            world
        }

        fn source(&self) -> PathBuf {
            self.folder.path().join("source")
        }

        async fn git(&self, words: &[&str]) -> String {
            let git = invocation("git").arg("-C").arg(self.source()).args([
                "-c",
                "user.name=a",
                "-c",
                "user.email=a",
            ]);
            let git = git.args(words).env("GIT_CONFIG_GLOBAL", "/dev/null");
            git.read(&self.cx.cancel, Deadline::after(CHECKOUT_VERIFY_TIMEOUT))
                .await
                .unwrap()
                .trim()
                .to_owned()
        }

        async fn commit(&self, text: &str) -> String {
            std::fs::write(self.source().join("cluster.yml"), text).unwrap();
            self.git(&["add", "--all"]).await;
            self.git(&["commit", "--quiet", "--message", text]).await;
            self.git(&["rev-parse", "HEAD"]).await
        }

        fn request(&self, version: &str) -> Request {
            Request { pin: Pin::new(version).unwrap(), source: self.source().display().to_string() }
        }
    }

    #[tokio::test]
    async fn any_commit_is_fetched_once_and_others_beside_it() {
        let world = World::new().await;
        let other = world.commit("two").await;
        let (one, two) = (world.request(&world.commit), world.request(&other));
        // Four at once, two of each.
        let (a, b, c, d) = tokio::join!(
            ensure(&world.cx, &one),
            ensure(&world.cx, &two),
            ensure(&world.cx, &one),
            ensure(&world.cx, &two)
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.clone(), b.clone()), (c.unwrap(), d.unwrap()));
        assert_eq!(
            (a.read("cluster.yml").unwrap(), b.read("cluster.yml").unwrap()),
            ("one".into(), "two".into())
        );
        lead_to(&world.cx, &a).unwrap();
        lead_to(&world.cx, &b).unwrap();
        let link = world.cx.layout.kubespray().link().to_owned();
        assert_eq!(link.canonicalize().unwrap(), b.path.canonicalize().unwrap());
        assert!(!world.cx.layout.kubespray().unfinished(&other).exists());
    }

    #[tokio::test]
    async fn moved_tag_is_refused() {
        let world = World::new().await;
        let error = ensure(&world.cx, &world.request("v2.30.0")).await.unwrap_err();
        let pinned = release("v2.30.0").unwrap().commit;
        let source = world.source().display().to_string();
        assert_eq!(
            error.to_string(),
            format!("the tag v2.30.0 of `{source}` is commit {}, not the pinned {pinned}", world.commit)
        );
        assert_eq!(failure_kind::of(&error), FailureKind::Host);
        assert!(find(&world.cx, &Pin::new("v2.30.0").unwrap()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn missing_commit_is_reported_in_one_sentence() {
        let world = World::new().await;
        let missing = "7".repeat(40);
        let error = ensure(&world.cx, &world.request(&missing)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` has no commit {missing}", world.source().display()));
        let nowhere = Request { source: "/nonexistent".into(), ..world.request(&missing) };
        let error = ensure(&world.cx, &nowhere).await.unwrap_err();
        assert_eq!(error.to_string(), format!("Kubespray {missing} cannot be fetched from `/nonexistent`"));
        assert!(!world.cx.layout.kubespray().unfinished(&missing).exists());
    }

    #[tokio::test]
    async fn checkout_of_another_repository_is_refused() {
        let world = World::new().await;
        let checkout = ensure(&world.cx, &world.request(&world.commit)).await.unwrap();
        let error = checkout.ansible_range().unwrap_err();
        let expected = format!(
            "commit {} is not one of Kubespray: it has no `playbooks/ansible_version.yml`",
            world.commit
        );
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn foreign_folder_is_not_replaced_by_link() {
        let world = World::new().await;
        let checkout = ensure(&world.cx, &world.request(&world.commit)).await.unwrap();
        let link = world.cx.layout.kubespray().link().to_owned();
        std::fs::create_dir_all(&link).unwrap();
        let error = lead_to(&world.cx, &checkout).unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` is not ours: it is no link", link.display()));
        assert!(link.is_dir());
    }
}
