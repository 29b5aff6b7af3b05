//! Where OCPP chargers connect.

use std::sync::Arc;
use std::time::Duration;

use ocpp_bridge::v16::{self, central_system};
use protocol::link::{self, Decision, LinkOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::charges::Charges;
use crate::config::Config;

/// Links open at once; more wait to be accepted.
const MAX_LINKS: usize = 10_000;
const PATH: &str = "/ocpp/";

/// Accepts links until the process ends.
pub(crate) async fn serve(listener: TcpListener, config: Arc<Config>, charges: Arc<Charges>) {
    let slots = Arc::new(Semaphore::new(MAX_LINKS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (config, charges) = (Arc::clone(&config), Arc::clone(&charges));
                tokio::spawn(async move {
                    one(stream, &config, charges).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: some will come back.
                tracing::error!(%error, "cannot accept a charger");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn one(stream: TcpStream, config: &Config, charges: Arc<Charges>) {
    let mut charge_point = String::new();
    let options = LinkOptions::default();
    let opened = link::accept(stream, &options, |offer| {
        let identity = link::identity(offer.path, PATH);
        match identity.filter(|identity| config.charge_points.contains_key(identity)) {
            Some(identity) => charge_point = identity,
            None => return Decision::not_found(),
        }
        Decision::negotiate(offer, &[v16::SUBPROTOCOL])
    });
    match opened.await {
        Ok(mut connection) => {
            tracing::info!(charge_point, "charger connected");
            let reason =
                central_system::serve(&mut connection.events, &charge_point, charges).await;
            tracing::info!(charge_point, ?reason, "charger disconnected");
        }
        Err(error) => {
            tracing::warn!(%error, "charger refused; is its id among the [[charge_point]] entries?");
        }
    }
}
