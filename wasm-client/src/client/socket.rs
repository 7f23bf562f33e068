//! A round's socket: blocking, with a short read time so that a client can look at its plan between
//! messages. Dropped without a closing frame, as a tab that is gone.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::Duration;

use choir_shared::wire::limits;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket};

/// An open socket.
pub(super) struct Socket {
    inner: WebSocket<MaybeTlsStream<TcpStream>>,
}

/// What came over it.
pub(super) enum Received {
    /// A message.
    Message(Vec<u8>),
    /// Nothing within the time.
    Nothing,
    /// It is closed.
    Closed,
}

impl Socket {
    /// Connects; nothing where that fails.
    pub(super) fn open(url: &str) -> Option<Self> {
        let config = WebSocketConfig::default().max_message_size(Some(limits::AGGREGATOR_MESSAGE));
        let (inner, _) =
            tungstenite::client::connect_with_config(url, Some(config), REDIRECTS).ok()?;
        Some(Self { inner })
    }

    /// Sends a message; false where the socket is closed.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        self.inner
            .send(Message::Binary(bytes.to_vec().into()))
            .is_ok()
    }

    /// Waits for a message.
    pub(super) fn next(&mut self, within: Duration) -> Received {
        if self.wait_at_most(within).is_err() {
            return Received::Closed;
        }
        match self.inner.read() {
            Ok(Message::Binary(bytes)) => Received::Message(bytes.to_vec()),
            Ok(Message::Close(_)) => Received::Closed,
            Ok(_) => Received::Nothing,
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                Received::Nothing
            }
            Err(_) => Received::Closed,
        }
    }

    fn wait_at_most(&self, wait: Duration) -> io::Result<()> {
        let stream = match self.inner.get_ref() {
            MaybeTlsStream::Plain(stream) => stream,
            MaybeTlsStream::Rustls(stream) => stream.get_ref(),
            _ => return Ok(()),
        };
        // A time of zero would wait for ever.
        stream.set_read_timeout(Some(wait.max(SHORTEST)))
    }
}

const REDIRECTS: u8 = 0;
const SHORTEST: Duration = Duration::from_millis(1);
