//! An aggregator on a socket of this machine: the routes that a client uses, one round, everything in
//! memory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use choir_shared::control::{TaskState, TaskStatus};
use choir_shared::ids::{ConnectionId, Digest, RoundId, TaskId, Timestamp, Version};
use choir_shared::messages::AggregatorMessage;
use choir_shared::reject::Reject;
use choir_shared::round::{Effect, Event, Outcome, PhaseName, Round, RoundSetup};
use choir_shared::task::{AdapterLayout, TaskConfig};
use choir_shared::wire;
use tungstenite::{Message, WebSocket};

pub(crate) const TASK: TaskId = TaskId([7; 16]);
const ROUND: RoundId = RoundId([9; 16]);

/// A running aggregator. Its threads end with the test's process.
pub(crate) struct Server {
    pub(crate) url: String,
    desk: Arc<Mutex<Desk>>,
}

/// What all connections share.
struct Desk {
    round: Round,
    config: TaskConfig,
    links: BTreeMap<ConnectionId, Sender<Vec<u8>>>,
    next: u64,
    /// A socket that shares is broken once, unseen by the round.
    breaks: bool,
    outcome: Option<Outcome>,
    requests: Vec<String>,
    /// Bytes of uploads that did not come whole.
    cut: Vec<usize>,
}

impl Server {
    /// Opens a round. With `breaks`, the first socket that shares its seeds breaks without the round
    /// hearing of it.
    pub(crate) fn open(config: &TaskConfig, breaks: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let setup = RoundSetup {
            task: config.clone(),
            task_id: TASK,
            round_id: ROUND,
            version: Version(0),
            adapter: Digest([1; 32]),
        };
        let desk = Arc::new(Mutex::new(Desk {
            round: Round::new(setup).unwrap(),
            config: config.clone(),
            links: BTreeMap::new(),
            next: 0,
            breaks,
            outcome: None,
            requests: Vec::new(),
            cut: Vec::new(),
        }));
        let shared = Arc::clone(&desk);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let desk = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &desk));
            }
        });
        Self { url, desk }
    }

    /// What the round came to.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.desk.lock().unwrap().outcome.clone()
    }

    /// Every request so far, method and path.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.desk.lock().unwrap().requests.clone()
    }

    /// Bytes that came of uploads that did not come whole.
    pub(crate) fn cut_uploads(&self) -> Vec<usize> {
        self.desk.lock().unwrap().cut.clone()
    }
}

impl Desk {
    fn status(&self) -> TaskStatus {
        let over = self.outcome.is_some();
        TaskStatus {
            config: self.config.clone(),
            version: Version(u32::from(over)),
            adapter: Digest([1; 32]),
            round: (!over).then_some(ROUND),
            state: TaskState::Running,
            rounds_left: u32::from(!over),
            successor: None,
            history: Vec::new(),
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    for to in to {
                        self.send(to, &message);
                    }
                }
                Effect::Publish(outcome) => self.outcome = Some(outcome),
                Effect::Expand => {
                    let words = AdapterLayout::new(&self.config).unwrap().ring_len();
                    let masks = self.round.expansion().unwrap().expand(0..words);
                    let effects = self.round.handle(Event::Expanded(masks), now()).unwrap();
                    self.perform(effects);
                }
                Effect::WakeAt(_) | Effect::Aborted(_) => {}
            }
        }
    }

    fn send(&self, to: ConnectionId, message: &AggregatorMessage) {
        if let Some(link) = self.links.get(&to) {
            let _ = link.send(wire::encode(message));
        }
    }
}

/// One connection, request after request.
fn serve(stream: &TcpStream, desk: &Mutex<Desk>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        // Looked at first: the handshake of a socket must still be unread.
        let mut start = [0; 512];
        let Ok(len) = (if reader.buffer().is_empty() {
            stream.peek(&mut start)
        } else {
            Ok(0)
        }) else {
            return;
        };
        let line = String::from_utf8_lossy(&start[..len]).into_owned();
        let name = line.split(" HTTP/").next().unwrap_or_default().to_owned();
        if name.ends_with("/socket") {
            desk.lock().unwrap().requests.push(name);
            return talk(
                tungstenite::accept(stream.try_clone().unwrap()).unwrap(),
                desk,
            );
        }
        let Some((name, length)) = head(&mut reader) else {
            return;
        };
        desk.lock().unwrap().requests.push(name.clone());
        let mut body = Vec::new();
        let got = (&mut reader).take(length).read_to_end(&mut body);
        if got.is_err() || (body.len() as u64) < length {
            desk.lock().unwrap().cut.push(body.len());
            return;
        }
        let (status, answer) = answer(&name, &body, desk);
        let head = format!(
            "HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let mut out = stream;
        if out.write_all(&[head.as_bytes(), &answer].concat()).is_err() {
            return;
        }
    }
}

/// Method and path, and the length of the body.
fn head(reader: &mut impl BufRead) -> Option<(String, u64)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|len| *len > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|len| *len > 0)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            let name = first.split(" HTTP/").next()?.to_owned();
            return Some((name, length));
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
}

fn answer(name: &str, body: &[u8], desk: &Mutex<Desk>) -> (u16, Vec<u8>) {
    let mut desk = desk.lock().unwrap();
    if name == format!("GET /v1/tasks/{TASK}") {
        return (200, wire::encode(&desk.status()));
    }
    if !name.ends_with("/upload") {
        return (404, Vec::new());
    }
    match desk.round.handle_upload(body, now()) {
        Ok(effects) => {
            desk.perform(effects);
            (200, Vec::new())
        }
        Err(reject) => (409, wire::encode(&refused(reject))),
    }
}

/// One socket: what clients say goes to the round, what it says to them comes by a channel.
fn talk(mut socket: WebSocket<TcpStream>, desk: &Mutex<Desk>) {
    let (link, frames) = channel();
    let from = {
        let mut desk = desk.lock().unwrap();
        desk.next += 1;
        let from = ConnectionId(desk.next);
        desk.links.insert(from, link);
        from
    };
    socket.get_ref().set_read_timeout(Some(TICK)).unwrap();
    loop {
        if forward(&frames, &mut socket).is_none() {
            break;
        }
        match socket.read() {
            Ok(Message::Binary(bytes)) => {
                let mut desk = desk.lock().unwrap();
                let taken = desk.round.handle_message(from, &bytes, now());
                match taken {
                    Ok(effects) => desk.perform(effects),
                    Err(reject) => desk.send(from, &refused(reject)),
                }
                let shared = bytes.get(1) == Some(&SHARE);
                if shared && desk.breaks {
                    desk.breaks = false;
                    return;
                }
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if is_timeout(&error) => {}
            Err(_) => break,
        }
    }
    let mut desk = desk.lock().unwrap();
    desk.links.remove(&from);
    if desk.round.status().phase < PhaseName::Closed {
        let effects = desk.round.handle(Event::Disconnected(from), now()).unwrap();
        desk.perform(effects);
    }
}

fn forward(frames: &Receiver<Vec<u8>>, socket: &mut WebSocket<TcpStream>) -> Option<()> {
    for frame in frames.try_iter() {
        socket.send(Message::Binary(frame.into())).ok()?;
    }
    Some(())
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

fn refused(reject: Reject) -> AggregatorMessage {
    AggregatorMessage::Refused {
        code: reject.code,
        version: reject.version,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(since.as_millis() as u64)
}

/// The variant of SHARE, after the wire version.
const SHARE: u8 = 1;
const TICK: Duration = Duration::from_millis(10);
