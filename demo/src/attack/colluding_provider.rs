//! A provider that goes on with the real one's chain under its real key, and seals ten times what
//! its nodes measured. To them it is the provider as they know it, up to that block.

mod handshake;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use ledger::frame::Submission;
use ledger::{Block, Frame};
use protocol::link::{self, Connection, Event, IncomingCall, Link};
use protocol::message::{GetBlocksAck, GetHeadersAck, JoinAck, Request, Response, SUBPROTOCOL};
use protocol::rpc::{CallError, CallErrorCode, to_json};
use protocol::{Genesis, KeyPair, NodeId, Receipt, Signed, SignedReceipt, canonical, decode};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::arguments::Arguments;
use super::forgery::{Forged, forge};
use super::stored_chain::StoredChain;
use super::{now, say};

/// Blocks sent for one GetBlocks; a node that needs more asks again.
const BLOCKS_AT_ONCE: usize = 64;

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let provider = ColludingProvider::read(Path::new(arguments.get("--state-dir")?))?;
    let listener = TcpListener::bind(arguments.get("--listen")?).await?;
    let url = format!("ws://{}", listener.local_addr()?);
    say(&json!({"event": "listening", "url": url}));
    Arc::new(provider).serve(listener).await
}

/// The provider, and the links to its nodes.
pub(super) struct ColludingProvider {
    key: KeyPair,
    genesis: Genesis,
    chain: Mutex<StoredChain>,
    links: Mutex<BTreeMap<NodeId, Link>>,
}

impl ColludingProvider {
    fn read(state_dir: &Path) -> anyhow::Result<Self> {
        let chain = StoredChain::read(state_dir)?;
        Ok(Self {
            key: chain.key.clone(),
            genesis: chain.state.genesis.clone(),
            chain: Mutex::new(chain),
            links: Mutex::default(),
        })
    }

    /// Takes links in for ever.
    async fn serve(self: Arc<Self>, listener: TcpListener) -> anyhow::Result<()> {
        loop {
            let (stream, peer) = listener.accept().await?;
            let provider = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = provider.serve_link(stream).await {
                    eprintln!("link of {peer}: {error:#}");
                }
            });
        }
    }

    async fn serve_link(&self, stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        let decide = |offer: &link::Offer<'_>| match offer.path {
            "/billing" => link::Decision::negotiate(offer, &[SUBPROTOCOL]),
            _ => link::Decision::not_found(),
        };
        let mut connection = link::accept(stream, &super::link::options(), decide).await?;
        let node = handshake::let_in(self, &mut connection).await?;
        lock(&self.links).insert(node, connection.link.clone());
        self.exchange(node, connection).await
    }

    async fn exchange(&self, node: NodeId, mut connection: Connection) -> anyhow::Result<()> {
        let link = connection.link;
        while let Some(event) = connection.events.recv().await {
            match event {
                Event::Call(call) => self.answer(&link, *call).await?,
                Event::Binary(bytes) => {
                    if let Ok(Frame::Profile(submission)) = decode(&bytes) {
                        self.submitted(node, &link, &submission).await?;
                    }
                }
                Event::Closed { .. } => break,
            }
        }
        Ok(())
    }

    /// Gives blocks and headers; with any other call a node has to be patient.
    async fn answer(&self, link: &Link, call: IncomingCall) -> anyhow::Result<()> {
        let tip = lock(&self.chain).state.height;
        let response = match Request::decode(&call.action, call.payload.get()) {
            Ok(Request::GetBlocks(asked)) => {
                for block in self.blocks(asked.from) {
                    send(link, Frame::Block(Box::new(block))).await?;
                }
                Response::GetBlocks(GetBlocksAck { tip })
            }
            Ok(Request::GetHeaders(asked)) => {
                for block in self.blocks(asked.from) {
                    send(link, Frame::Header(Box::new(block.header))).await?;
                }
                Response::GetHeaders(GetHeadersAck { tip })
            }
            _ => {
                let words = "the provider cannot do this at the moment";
                let refusal = CallError::new(CallErrorCode::NotSupported, words);
                call.responder.answer(Err(refusal));
                return Ok(());
            }
        };
        call.responder.answer(Ok(to_json(&response.payload())));
        Ok(())
    }

    fn blocks(&self, from: u64) -> Vec<Block> {
        let chain = lock(&self.chain);
        let wanted = chain.blocks.iter().filter(|b| b.header.body.height >= from);
        wanted.take(BLOCKS_AT_ONCE).cloned().collect()
    }

    /// Promises a charge, and seals another in its place.
    async fn submitted(
        &self,
        node: NodeId,
        link: &Link,
        submission: &Submission,
    ) -> anyhow::Result<()> {
        let block = match self.seal(submission) {
            Ok(block) => block,
            Err(error) => {
                eprintln!("charge of node {node}: {error:#}");
                return Ok(());
            }
        };
        let receipt = self.receipt(submission, block.header.body.round);
        send(link, Frame::Receipt(receipt)).await?;
        let links = lock(&self.links).clone();
        for (node, link) in links {
            let frame = match self.is_parent(node) {
                true => Frame::Block(Box::new(block.clone())),
                false => Frame::Header(Box::new(block.header.clone())),
            };
            // A link that is lost gets the block when its node is back and asks.
            let _ = send(&link, frame).await;
        }
        let header = &block.header.body;
        say(&json!({
            "event": "sealed",
            "height": header.height,
            "trueWh": submission.profile.body.energy_wh,
            "alteredWh": block.body.charges[0].profile.body.energy_wh,
            "header": header.hash(),
        }));
        Ok(())
    }

    /// Parents keep blocks, all others headers.
    fn is_parent(&self, node: NodeId) -> bool {
        let state = &lock(&self.chain).state;
        state.groups.values().any(|group| group.parent == node)
    }

    /// Seals the altered charge as the chain's next block.
    fn seal(&self, submission: &Submission) -> anyhow::Result<Block> {
        let mut chain = lock(&self.chain);
        let forged = forge(&chain.state, submission, &chain.tariff, now(), &chain.key);
        let Forged { block, state } = forged.context("even the true charge is invalid")?;
        chain.state = state;
        chain.blocks.push(block.clone());
        Ok(block)
    }

    fn receipt(&self, submission: &Submission, round: u64) -> SignedReceipt {
        let profile = &submission.profile;
        let receipt = Receipt {
            profile: profile.hash(),
            node: profile.body.node,
            seq: profile.body.seq,
            round,
        };
        Signed::new(receipt, &self.key, &self.genesis.chain_id())
    }

    /// What a node of the chain is told when it joins; `None` for any other.
    fn welcome(&self, key: &protocol::PublicKey) -> Option<JoinAck> {
        let state = &lock(&self.chain).state;
        let mut nodes = state.nodes.iter();
        let (node, account) = nodes.find(|(_, account)| account.key == *key)?;
        Some(JoinAck {
            node: *node,
            current_time: now(),
            last_seq: account.last_seq,
            last_profile: account.last_profile,
            tip: state.height,
            wants_report: false,
        })
    }
}

async fn send(link: &Link, frame: Frame) -> anyhow::Result<()> {
    Ok(link.send_binary(canonical(&frame)).await?)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
