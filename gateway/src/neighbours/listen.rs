//! Takes links of other gateways in.

use std::sync::Arc;
use std::time::Duration;

use protocol::link::{self, Decision};
use protocol::message::SUBPROTOCOL;
use protocol::neighbour::NEIGHBOUR_PATH;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use super::links::Way;
use super::{Neighbours, handshake, options};

/// Links at once that others opened. Each gateway is named to about eight.
const MAX_LINKS: usize = 64;
/// Of these, those that have not proven their key yet.
const MAX_UNMET: usize = 16;
/// How long a gateway may take to prove its key.
const MEET_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after the system refused a connection, which it does when it has no handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes links in for ever.
pub(crate) async fn serve(listener: TcpListener, neighbours: Neighbours) {
    let places = Arc::new(Semaphore::new(MAX_LINKS));
    let unmet_places = Arc::new(Semaphore::new(MAX_UNMET));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(%error, "cannot take a connection in");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = Arc::clone(&places).try_acquire_owned();
        let unmet = Arc::clone(&unmet_places).try_acquire_owned();
        let (Ok(place), Ok(unmet)) = (place, unmet) else {
            tracing::warn!(%peer, "connection dropped: too many links with other gateways");
            continue;
        };
        let neighbours = neighbours.clone();
        let span = tracing::info_span!("neighbour", %peer);
        tokio::spawn(take_in(neighbours, stream, place, unmet).instrument(span));
    }
}

async fn take_in(
    neighbours: Neighbours,
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    unmet: OwnedSemaphorePermit,
) {
    let met = tokio::time::timeout(MEET_TIMEOUT, meet(&neighbours, stream)).await;
    drop(unmet);
    let Ok(Some((caller, connection))) = met else {
        return;
    };
    tracing::info!(neighbour = %caller, "another gateway has linked");
    neighbours.begin(caller, connection, Way::In, Some(place));
}

async fn meet(
    neighbours: &Neighbours,
    stream: TcpStream,
) -> Option<(protocol::PublicKey, link::Connection)> {
    stream.set_nodelay(true).ok()?;
    let decide = |offer: &link::Offer<'_>| match offer.path {
        NEIGHBOUR_PATH => Decision::negotiate(offer, &[SUBPROTOCOL]),
        _ => Decision::not_found(),
    };
    let mut connection = match link::accept(stream, &options(), decide).await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!(%error, "no link with another gateway");
            return None;
        }
    };
    match handshake::answer(&mut connection, &neighbours.inner).await {
        Some(caller) => Some((caller, connection)),
        None => {
            // In good order, so that the refusal arrives before the end.
            connection.link.close().await;
            None
        }
    }
}
