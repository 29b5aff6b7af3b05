//! The convictions in the chain, with the evidence that the blocks record.

use std::fmt::Write as _;
use std::sync::Arc;

use ledger::evidence::{Conviction, Evidence, Offence};
use ledger::store::{Engine, StoreError};
use ledger::{Block, Provider, Record};
use protocol::{Hash, IdTag, canonical};
use tokio::sync::oneshot;

use crate::api::{Convicted, Convictions};
use crate::store::Blocks;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceError {
    #[error("the provider is stopping; ask again when it runs")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lists every conviction, oldest first. The disk is read beside the engine.
pub(crate) async fn list(
    engine: &Engine<Provider>,
    blocks: &Arc<Blocks>,
) -> Result<Convictions, EvidenceError> {
    let source = Arc::clone(blocks);
    let mut found = look(engine).await?;
    found.sort_by_key(|(offence, conviction, _)| (conviction.height, *offence));
    let read = tokio::task::spawn_blocking(move || {
        let convictions = found.into_iter().map(|(offence, conviction, group_id)| {
            let block = source.blocks(conviction.height, 1)?.pop();
            Ok(block.and_then(|block| convicted(&block, offence, &conviction, group_id)))
        });
        convictions.collect::<Result<Vec<_>, StoreError>>()
    });
    let convictions = read.await.map_err(|_| EvidenceError::Stopping)??;
    Ok(Convictions {
        convictions: convictions.into_iter().flatten().collect(),
    })
}

type Found = (Offence, Conviction, Option<IdTag>);

async fn look(engine: &Engine<Provider>) -> Result<Vec<Found>, EvidenceError> {
    let (sender, seen) = oneshot::channel();
    engine
        .look(move |provider, _| {
            let convictions = provider.state().convictions.iter();
            let found = convictions.map(|(offence, conviction)| {
                (*offence, conviction.clone(), group_of(provider, offence))
            });
            // Whoever asked may have gone away.
            let _ = sender.send(found.collect());
        })
        .map_err(|_| EvidenceError::Stopping)?;
    seen.await.map_err(|_| EvidenceError::Stopping)
}

/// The name of the group for which somebody sealed or voted.
fn group_of(provider: &Provider, offence: &Offence) -> Option<IdTag> {
    let (Offence::Parent { group, .. } | Offence::Voter { group, .. }) = offence else {
        return None;
    };
    provider.registry().group_id(*group).cloned()
}

fn convicted(
    block: &Block,
    offence: Offence,
    conviction: &Conviction,
    group_id: Option<IdTag>,
) -> Option<Convicted> {
    let evidence = recorded(block).find(|evidence| {
        let bytes = canonical(*evidence);
        Hash::of(&bytes) == conviction.evidence
    })?;
    Some(Convicted {
        node: conviction.node,
        group_id,
        offence: offence.to_string(),
        proof: evidence.in_words().to_owned(),
        height: conviction.height,
        header: block.header.hash(),
        evidence: hex::encode(canonical(evidence)),
    })
}

fn recorded(block: &Block) -> impl Iterator<Item = &Evidence> {
    block.body.records.iter().filter_map(|record| match record {
        Record::Evidence(evidence) => Some(evidence),
        _ => None,
    })
}

/// The list for a terminal.
pub(crate) fn lines(convictions: &Convictions) -> String {
    if convictions.convictions.is_empty() {
        return "nobody is convicted of anything\n".to_owned();
    }
    let mut text = String::new();
    for convicted in &convictions.convictions {
        let group = convicted.group_id.as_ref().map_or("", IdTag::as_str);
        let header: String = convicted.header.to_string().chars().take(16).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "block {} ({header})  node {}  {group}  {}: {}",
            convicted.height, convicted.node, convicted.offence, convicted.proof
        );
    }
    text
}
