//! The file server: plain HTTP over one folder, for reading only.
//!
//! The work is tower-http's: lengths, HEAD, ranges, and that no path leads out of the folder. A line of log for each request.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_http::services::ServeDir;
use tower_http::services::fs::ServeFileSystemResponseBody;

/// Serves a folder until this future is dropped; connections end with it.
pub async fn serve(listener: TcpListener, root: &Path, log: File) -> Infallible {
    let folder = ServeDir::new(root).append_index_html_on_directories(false);
    let log = Arc::new(log);
    let mut connections = JoinSet::new();
    loop {
        // What ended is let go of, so that the set does not grow.
        while connections.try_join_next().is_some() {}
        let Ok((stream, from)) = listener.accept().await else {
            // The limit of open files, mostly: another turn of the loop lets go of some.
            tokio::task::yield_now().await;
            continue;
        };
        let (folder, log) = (folder.clone(), Arc::clone(&log));
        connections.spawn(async move {
            let service = service_fn(|request| answer(folder.clone(), Arc::clone(&log), from, request));
            let connection = hyper::server::conn::http1::Builder::new();
            // How a connection ends is between its two ends.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer<B: Send + 'static>(
    mut folder: ServeDir,
    log: Arc<File>,
    from: SocketAddr,
    request: Request<B>,
) -> Result<Response<ServeFileSystemResponseBody>, Infallible> {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let (response, reason) = match folder.try_call(request).await {
        Ok(response) => (response, String::new()),
        Err(error) => {
            let mut response = Response::new(ServeFileSystemResponseBody::default());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            (response, format!(" ({error})"))
        }
    };
    let line =
        format!("{} {} {asked} {}{reason}\n", jiff::Timestamp::now(), from.ip(), response.status().as_u16());
    // A log that cannot be written must not end the server.
    let _ = log.as_ref().write_all(line.as_bytes());
    Ok(response)
}
