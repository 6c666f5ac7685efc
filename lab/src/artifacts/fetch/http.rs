//! One download over HTTP: gone on with where it stopped, judged by its digest as a whole, given up at last.
//!
//! Proxies and certificates are those of the computer and of the environment. Nothing is unpacked on the way.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use crate::artifacts::store::{Blob, Digest, Unfinished, Writer};
use crate::cx::Cx;
use crate::timeouts::{DOWNLOAD_LOCK_INTERVAL, HTTP_CONNECT_TIMEOUT, HTTP_READ_TIMEOUT, HTTP_RETRY_INTERVAL};
use crate::wait::{self, Deadline, Probe};

/// How many requests in a row may return no byte.
const TRIES: u32 = 3;
/// The longest answer that is read into memory: a manifest, a token.
const LONGEST_ANSWER: usize = 8 << 20;

/// Why something did not come.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The host cannot be reached at all: its name, and why.
    Unreachable { host: String, cause: String },
    /// It broke off, or the server is not well: another try may help.
    Broken(String),
    /// This one thing cannot be had.
    Refused(String),
    /// The computer itself cannot go on, or the user asked to stop.
    Fatal(anyhow::Error),
}

impl From<anyhow::Error> for FetchError {
    fn from(error: anyhow::Error) -> Self {
        Self::Fatal(error)
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub url: String,
    /// The whole value of the header.
    pub authorization: Option<String>,
    /// Kinds of content.
    pub accept: Option<&'static str>,
}

impl Ask {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), authorization: None, accept: None }
    }
}

/// A client, and what it has learnt.
pub(super) struct Client {
    inner: reqwest::Client,
    cx: Cx,
    deadline: Deadline,
    /// Hosts that could not be reached: the client does not try them a second time.
    unreachable: Mutex<BTreeSet<String>>,
}

impl Client {
    pub fn new(cx: &Cx, deadline: Deadline) -> anyhow::Result<Self> {
        let inner = reqwest::Client::builder()
            .connect_timeout(HTTP_CONNECT_TIMEOUT)
            .read_timeout(HTTP_READ_TIMEOUT)
            .user_agent(concat!("lab/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot make a client for HTTP")?;
        Ok(Self { inner, cx: cx.clone(), deadline, unreachable: Mutex::default() })
    }

    /// Runs something until the user or the deadline ends it.
    async fn bounded<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchError> {
        tokio::select! {
            () = self.cx.cancel.cancelled() => {
                Err(FetchError::Fatal(wait::WaitError::Cancelled { what: "fetching artefacts".to_owned() }.into()))
            }
            () = self.deadline.passed() => Err(FetchError::Fatal(anyhow::anyhow!(
                "artefacts were not fetched within {} minutes; the next `artifacts fetch` goes on from here",
                self.deadline.length().as_secs() / 60
            ))),
            done = work => Ok(done),
        }
    }

    async fn pause(&self, length: Duration) -> Result<(), FetchError> {
        self.bounded(wait::pause(length)).await
    }

    /// Does something short that may break off, a few times.
    pub async fn again<T, F: Future<Output = Result<T, FetchError>>>(
        &self,
        mut work: impl FnMut() -> F,
    ) -> Result<T, FetchError> {
        let mut tries = 1;
        loop {
            match work().await {
                Err(FetchError::Broken(_)) if tries < TRIES => {}
                done => return done,
            }
            self.pause(HTTP_RETRY_INTERVAL * tries).await?;
            tries += 1;
        }
    }

    /// Sends a request, and returns the response with any status.
    pub async fn send(&self, method: Method, ask: &Ask, from: u64) -> Result<Response, FetchError> {
        let url =
            Url::parse(&ask.url).map_err(|_| FetchError::Refused(format!("`{}` is no URL", ask.url)))?;
        let host = host(&url);
        let known =
            |host: &str| self.unreachable.lock().expect("no holder of this lock panics").contains(host);
        if known(&host) {
            return Err(FetchError::Unreachable { host, cause: "it could not be reached before".to_owned() });
        }
        let mut headers = HeaderMap::new();
        if let Some(accept) = ask.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(authorization) = &ask.authorization {
            let value = HeaderValue::from_str(authorization)
                .map_err(|_| FetchError::Refused(format!("{host} gave out a token that cannot be used")))?;
            headers.insert(AUTHORIZATION, value);
        }
        if from > 0 {
            headers.insert(RANGE, HeaderValue::from_str(&format!("bytes={from}-")).expect("digits"));
        }
        let sent = self.bounded(self.inner.request(method, url).headers(headers).send()).await?;
        sent.map_err(|error| {
            let cause = causes(&error);
            if error.is_connect() {
                // A redirect may lead to a host that is not the one that was asked.
                let host = error.url().map_or(host, self::host);
                self.unreachable.lock().expect("no holder of this lock panics").insert(host.clone());
                return FetchError::Unreachable { host, cause };
            }
            FetchError::Broken(format!("{host} broke off: {cause}"))
        })
    }

    /// How many bytes something has, where the server says so.
    pub async fn size(&self, ask: &Ask) -> Result<Option<u64>, FetchError> {
        let answer = self.send(Method::HEAD, ask, 0).await?;
        let status = answer.status();
        // A server that does not know HEAD may know GET.
        if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(refused(&answer));
        }
        let length = answer.headers().get(reqwest::header::CONTENT_LENGTH);
        Ok(length.and_then(|length| length.to_str().ok()?.parse().ok()))
    }

    /// The bytes of a short answer.
    pub async fn body(&self, mut answer: Response) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(&mut answer).await? {
            bytes.extend_from_slice(chunk.as_ref());
            if bytes.len() > LONGEST_ANSWER {
                return Err(FetchError::Refused(format!("{} says too much", host(answer.url()))));
            }
        }
        Ok(bytes)
    }

    async fn chunk(&self, answer: &mut Response) -> Result<Option<impl AsRef<[u8]> + use<>>, FetchError> {
        let chunk = self.bounded(answer.chunk()).await?;
        chunk.map_err(|error| {
            FetchError::Broken(format!("{} broke off: {}", host(answer.url()), causes(&error)))
        })
    }

    /// Downloads a blob into the store, unless it is there by now. `came` receives the number of new bytes, negative for
    /// discarded ones.
    pub async fn download(
        &self,
        writer: &Writer,
        ask: &Ask,
        digest: &Digest,
        size: Option<u64>,
        came: &(dyn Fn(i64) + Sync),
    ) -> Result<Blob, FetchError> {
        let what = format!("another command that fetches `{}`", ask.url);
        let part = wait::until(&self.cx.cancel, &what, self.deadline, DOWNLOAD_LOCK_INTERVAL, || {
            std::future::ready(match writer.resume(digest) {
                Ok(Some(part)) => Probe::Ready(part),
                Ok(None) => Probe::NotYet("it is still at it".to_owned()),
                Err(error) => Probe::Fatal(error),
            })
        });
        let part = part.await.map_err(|error| FetchError::Fatal(error.into()))?;
        if let Some(size) = writer.size(digest) {
            // The last holder of the claim has downloaded it.
            part.discard()?;
            return Ok(Blob { sha256: digest.clone(), size });
        }
        let begun = part.size()?;
        match self.fill_and_finish(part, ask, digest, size, came).await {
            // The beginning was of something else, and was thrown away: once more from the first byte on.
            Err(FetchError::Refused(_)) if begun > 0 => match writer.resume(digest)? {
                Some(part) => self.fill_and_finish(part, ask, digest, size, came).await,
                None => Err(FetchError::Broken(format!("another command took `{}` over", ask.url))),
            },
            ended => ended,
        }
    }

    async fn fill_and_finish(
        &self,
        part: Unfinished<'_>,
        ask: &Ask,
        digest: &Digest,
        size: Option<u64>,
        came: &(dyn Fn(i64) + Sync),
    ) -> Result<Blob, FetchError> {
        self.fill(&part, ask, size, came).await?;
        let have = part.size()?.cast_signed();
        // Reading all of it again takes a while.
        let finished = tokio::task::block_in_place(|| part.finish(Some(digest)));
        finished.map_err(|error| match error.downcast_ref::<crate::failure::Failure>() {
            Some(failure) if !is_full(&error) => {
                came(-have);
                FetchError::Refused(format!("`{}` is not the expected file: {failure}", ask.url))
            }
            _ => FetchError::Fatal(error),
        })
    }

    /// Adds bytes until the server says that they are all, or there is no hope.
    async fn fill(
        &self,
        part: &Unfinished<'_>,
        ask: &Ask,
        size: Option<u64>,
        came: &(dyn Fn(i64) + Sync),
    ) -> Result<(), FetchError> {
        let mut in_vain = 0;
        loop {
            let have = part.size()?;
            match size {
                Some(size) if have == size && have > 0 => return Ok(()),
                Some(size) if have > size => {
                    came(-have.cast_signed());
                    part.clear()?;
                }
                _ => {}
            }
            let have = part.size()?;
            let trouble = match self.more(part, ask, have, came).await {
                Ok(()) if size.is_none_or(|size| part.size().is_ok_and(|have| have >= size)) => return Ok(()),
                Ok(()) => FetchError::Broken(format!("`{}` ended too early", ask.url)),
                Err(trouble @ FetchError::Broken(_)) => trouble,
                Err(trouble) => return Err(trouble),
            };
            in_vain = if part.size()? > have { 0 } else { in_vain + 1 };
            if in_vain >= TRIES {
                return Err(trouble);
            }
            self.pause(HTTP_RETRY_INTERVAL * (in_vain + 1)).await?;
        }
    }

    /// Requests the missing bytes once, and adds those of the response.
    async fn more(
        &self,
        part: &Unfinished<'_>,
        ask: &Ask,
        have: u64,
        came: &(dyn Fn(i64) + Sync),
    ) -> Result<(), FetchError> {
        let mut answer = self.send(Method::GET, ask, have).await?;
        let status = answer.status();
        let goes_on = status == StatusCode::PARTIAL_CONTENT && begins_at(answer.headers()) == Some(have);
        if status == StatusCode::RANGE_NOT_SATISFIABLE || (have > 0 && status.is_success() && !goes_on) {
            // It cannot be gone on with: from the first byte on.
            came(-have.cast_signed());
            part.clear()?;
            if status != StatusCode::OK {
                return Err(FetchError::Broken(format!("`{}` cannot be gone on with", ask.url)));
            }
        } else if !status.is_success() {
            return Err(refused(&answer));
        }
        while let Some(chunk) = self.chunk(&mut answer).await? {
            part.add(chunk.as_ref())?;
            came(chunk.as_ref().len() as i64);
        }
        Ok(())
    }
}

/// Whether the reason is a disk that has no space left.
pub(super) fn is_full(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    kinds
        .map(std::io::Error::kind)
        .any(|kind| matches!(kind, std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
}

pub(super) fn refused(answer: &Response) -> FetchError {
    FetchError::Refused(format!(
        "{} answered {} to {}",
        host(answer.url()),
        answer.status(),
        answer.url().path()
    ))
}

/// The first byte of a part, as `Content-Range: bytes 5-10/11` says it.
fn begins_at(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// A host as people name it, with its port where it is not the usual one.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or("unknown host");
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// The innermost reasons in one line: the outer ones repeat the URL.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut reasons = Vec::new();
    while let Some(inner) = cause.source() {
        reasons.push(inner.to_string());
        cause = inner;
    }
    reasons.dedup();
    reasons.pop().unwrap_or_else(|| error.to_string())
}
