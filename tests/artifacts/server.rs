//! A server of files and images that can misbehave: it cuts connections, ignores ranges, gives out other bytes, is slow.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How something is given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// As it should be.
    Good,
    /// Every connection breaks off after so many bytes.
    Cuts(usize),
    /// A range is ignored: everything is sent, from the first byte on.
    NoRange,
    /// As many bytes, and others.
    Wrong,
    /// So many bytes every ten milliseconds.
    Slow(usize),
    /// This status and nothing else.
    Status(u16),
    /// Somewhere else.
    Moved(String),
}

/// Something that is given out.
#[derive(Debug, Clone)]
struct Thing {
    bytes: Vec<u8>,
    kind: String,
    mood: Mood,
    /// Whether HEAD is not answered, as by servers that do not know it.
    hidden: bool,
}

#[derive(Debug, Default)]
struct Contents {
    things: BTreeMap<String, Thing>,
    /// Method, path and range of every request.
    log: Vec<String>,
    /// Whether images are given only to who has asked for a token.
    wants_token: bool,
}

/// The server. Its thread ends with the program.
#[derive(Debug, Clone)]
pub struct Server {
    /// `127.0.0.1:PORT`.
    pub address: String,
    contents: Arc<Mutex<Contents>>,
}

impl Server {
    /// Starts one with nothing to give out.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap().to_string(), contents: Arc::default() };
        let serving = server.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.answer(connection));
            }
        });
        server
    }

    /// Gives something out from now on.
    pub fn put(&self, path: &str, kind: &str, bytes: &[u8]) {
        let thing = Thing { bytes: bytes.to_vec(), kind: kind.to_owned(), mood: Mood::Good, hidden: false };
        self.contents.lock().unwrap().things.insert(path.to_owned(), thing);
    }

    /// Has something given out in another way.
    pub fn mood(&self, path: &str, mood: Mood) {
        self.contents.lock().unwrap().things.get_mut(path).unwrap().mood = mood;
    }

    /// The same for everything.
    pub fn moods(&self, mood: &Mood) {
        self.contents.lock().unwrap().things.values_mut().for_each(|thing| thing.mood = mood.clone());
    }

    /// Hides the length of a thing until it comes.
    pub fn hide_length(&self, path: &str) {
        self.contents.lock().unwrap().things.get_mut(path).unwrap().hidden = true;
    }

    /// Images only with a token from now on.
    pub fn want_token(&self) {
        self.contents.lock().unwrap().wants_token = true;
    }

    /// The requests so far that got something, and forgets them.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.contents.lock().unwrap().log)
    }

    #[expect(clippy::too_many_lines, reason = "each weakness of a server stands where it answers so")]
    fn answer(&self, mut connection: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(connection.try_clone().ok()?).lines();
        let first = lines.next()?.ok()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut range, mut token) = (None, false);
        for line in lines {
            let line = line.ok()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(from) = line.strip_prefix("range: bytes=") {
                range = from.trim_end_matches('-').parse::<usize>().ok();
            }
            token |= line == "authorization: bearer for-everybody";
        }
        let (thing, wants_token) = {
            let mut contents = self.contents.lock().unwrap();
            let shown = range.map(|from| format!(" from {from}")).unwrap_or_default();
            contents.log.push(format!("{method} {path}{shown}"));
            (contents.things.get(&path).cloned(), contents.wants_token && path.starts_with("/v2/"))
        };
        let address = &self.address;
        let mut say = |status: &str, headers: &str, body: &[u8]| {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
            );
            connection.write_all(head.as_bytes()).ok()?;
            if method != "HEAD" { connection.write_all(body).ok() } else { None }
        };
        if path.starts_with("/token?") {
            assert!(path.contains("scope=repository") && path.contains("service=test"), "{path}");
            return say("200 OK", "", br#"{"token": "for-everybody"}"#);
        }
        if wants_token && !token {
            let challenge =
                format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"test\"\r\n");
            return say("401 Unauthorized", &challenge, b"");
        }
        let Some(Thing { mut bytes, kind, mood, hidden }) = thing else {
            return say("404 Not Found", "", b"");
        };
        if hidden && method == "HEAD" {
            return say("405 Method Not Allowed", "", b"");
        }
        match &mood {
            Mood::Status(status) => return say(&format!("{status} No"), "", b""),
            Mood::Moved(to) => return say("307 Moved", &format!("Location: {to}\r\n"), b""),
            Mood::Wrong => bytes.iter_mut().for_each(|byte| *byte ^= 1),
            _ => {}
        }
        let kind = format!("Content-Type: {kind}\r\n");
        let whole = bytes.len();
        let from = range.filter(|_| mood != Mood::NoRange).unwrap_or(0);
        if from > 0 && from >= whole {
            return say("416 Range Not Satisfiable", "", b"");
        }
        let rest = &bytes[from..];
        let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
        let range = if from > 0 {
            format!("Content-Range: bytes {from}-{}/{whole}\r\n", whole - 1)
        } else {
            String::new()
        };
        match mood {
            Mood::Cuts(most) if method == "GET" && rest.len() > most => {
                let head = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{kind}{range}\r\n",
                    rest.len()
                );
                connection.write_all(head.as_bytes()).ok()?;
                connection.write_all(&rest[..most]).ok()?;
                connection.shutdown(std::net::Shutdown::Both).ok()
            }
            Mood::Slow(piece) if method == "GET" => {
                let head = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{kind}{range}\r\n",
                    rest.len()
                );
                connection.write_all(head.as_bytes()).ok()?;
                for piece in rest.chunks(piece) {
                    connection.write_all(piece).ok()?;
                    lab_tests::wait::rest(Duration::from_millis(10));
                }
                Some(())
            }
            _ => say(status, &format!("{kind}{range}"), rest),
        }
    }
}
