//! The sockets of a round. They outlive the object in memory: the runtime keeps them while it
//! sleeps, with the connection's number as tag (to find the socket) and attachment (to name it).

use choir_shared::ids::ConnectionId;
use choir_shared::messages::{AggregatorMessage, ClientMessage};
use choir_shared::reject::RejectCode;
use choir_shared::round::Event;
use choir_shared::wire::{self, limits};
use worker::{Request, Response, State, WebSocket, WebSocketIncomingMessage, WebSocketPair};

use super::RoundObject;
use super::live::Stage;
use crate::error::EdgeError;
use crate::limits::sockets_of_round;

impl RoundObject {
    /// Takes a new connection. A round that is over says how it ended and hangs up.
    pub(super) fn admit(&self, request: &Request) -> Result<Response, EdgeError> {
        let upgrade = request.headers().get("upgrade")?;
        if !upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")) {
            return Err(EdgeError::UpgradeRequired);
        }
        let cohort_size = self.read(|live| live.status().counts.cohort_size)?;
        if self.state.get_websockets().len() >= sockets_of_round(cohort_size) {
            return Err(EdgeError::Busy);
        }
        let pair = WebSocketPair::new()?;
        let connection = fresh_connection()?;
        self.state
            .accept_websocket_with_tags(&pair.server, &[&connection.to_string()]);
        pair.server.serialize_attachment(connection)?;
        let farewell = self.read(|live| match &live.stage {
            Stage::Ended(ended) => Some(wire::encode(&ended.farewell())),
            _ => None,
        })?;
        if let Some(farewell) = farewell {
            pair.server.send_with_bytes(farewell)?;
            pair.server.close(Some(1000), Some("the round is over"))?;
        }
        Ok(Response::from_websocket(pair.client)?)
    }

    /// A frame came in. What is refused is answered on the same socket; after a fault of ours the
    /// socket is closed, and the client comes back to what is stored.
    pub(super) async fn hear(&self, socket: &WebSocket, message: WebSocketIncomingMessage) {
        match self.take_frame(socket, message).await {
            Ok(()) => {}
            Err(EdgeError::Rejected { code, version }) => {
                let refused = wire::encode(&AggregatorMessage::Refused { code, version });
                let _ = socket.send_with_bytes(refused);
            }
            Err(error) => {
                worker::console_error!("a frame was not taken: {error}");
                let _ = socket.close(Some(1011), Some("internal error"));
            }
        }
    }

    /// A socket is gone.
    pub(super) async fn miss(&self, socket: &WebSocket) {
        let gone = match connection_of(socket) {
            Ok(from) => {
                self.happen(0, |round, now| round.handle(Event::Disconnected(from), now))
                    .await
            }
            Err(error) => Err(error),
        };
        match gone {
            // A round that is over does not miss anyone.
            Ok(()) | Err(EdgeError::Rejected { .. } | EdgeError::UnknownRound) => {}
            Err(error) => worker::console_error!("a closed socket was not noticed: {error}"),
        }
    }

    /// Sends a frame on a connection, if that is still there.
    pub(super) fn send(&self, to: ConnectionId, frame: &[u8]) {
        for socket in self.state.get_websockets_with_tag(&to.to_string()) {
            // One that is gone is told nothing: its closing is an event of its own.
            let _ = socket.send_with_bytes(frame);
        }
    }

    async fn take_frame(
        &self,
        socket: &WebSocket,
        message: WebSocketIncomingMessage,
    ) -> Result<(), EdgeError> {
        let from = connection_of(socket)?;
        let WebSocketIncomingMessage::Binary(bytes) = message else {
            return Err(self.refuse_unread(RejectCode::Malformed));
        };
        if self.hears_farewell_soon(&bytes)? {
            return Ok(());
        }
        self.happen(bytes.len(), |round, now| {
            round.handle_message(from, &bytes, now)
        })
        .await
    }
}

impl RoundObject {
    /// Whether this is from a client of a round whose result is being published: what it says changes
    /// nothing any more, and this socket too is told how the round ended.
    fn hears_farewell_soon(&self, bytes: &[u8]) -> Result<bool, EdgeError> {
        let closing = self.read(|live| matches!(live.stage, Stage::Closing(_)))?;
        let joins = || {
            matches!(
                wire::decode(bytes, limits::CLIENT_MESSAGE),
                Err(_) | Ok(ClientMessage::Join { .. })
            )
        };
        Ok(closing && !joins())
    }
}

/// The connections whose sockets are open.
pub(super) fn connections(state: &State) -> Vec<ConnectionId> {
    state
        .get_websockets()
        .iter()
        .filter_map(|socket| connection_of(socket).ok())
        .collect()
}

fn connection_of(socket: &WebSocket) -> Result<ConnectionId, EdgeError> {
    socket
        .deserialize_attachment()?
        .ok_or_else(|| EdgeError::Fault("a socket has no attachment".into()))
}

/// A number that no other connection of the round has: 52 random bits, which a JavaScript number
/// holds exactly. Among the 3,016 sockets of the largest round two are equal once in 10^9 rounds.
fn fresh_connection() -> Result<ConnectionId, EdgeError> {
    let random = getrandom::u64().map_err(|error| EdgeError::Fault(error.to_string()))?;
    Ok(ConnectionId(random >> 12))
}
