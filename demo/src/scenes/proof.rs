//! A receipt, checked by a process of its own that has no network, and the same receipt
//! with one byte changed.

use std::path::Path;

use anyhow::Context as _;
use ledger::{Frame, ReceiptFile};
use serde_json::{Value, json};

use crate::children::{Said, run};
use crate::claims::Claim;
use crate::stage::Stage;
use crate::view::Told;
use crate::wire::Seen;
use crate::world::{World, as_text};

/// Shows what a driver can prove with nothing but a file and the provider's public key.
pub(super) async fn play(stage: &Stage, world: &World) -> anyhow::Result<()> {
    stage.act("Proof: one file, one public key, no network");
    headers_only(stage, world).await?;
    let file = world.b.receipt(1);
    world.b.written(&file).await?;
    let bytes = std::fs::read(&file)?;
    let node = world.b.plan.name;
    stage.screen.tell(&Told::Receipt {
        node,
        bytes: &bytes,
    });
    let key = world.provider.chain().await?["providerKey"].clone();
    let key = key.as_str().context("the operator API tells no key")?;
    proven(stage, &file, &bytes, key).await?;
    let forged = stage.dir.join("forged.receipt");
    let changed = with_one_byte_changed(&bytes)?;
    std::fs::write(&forged, &changed.bytes)?;
    refused(stage, &forged, &changed, key).await
}

/// B is parent of no group: it never had a block.
async fn headers_only(stage: &Stage, world: &World) -> anyhow::Result<()> {
    let (a, b) = (world.a.plan.name, world.b.plan.name);
    let chain = world.b.status().await?["chain"].take();
    let got = |is_it: fn(&Frame) -> bool| {
        let is_such = |seen: &Seen| seen.got_by(b).is_some_and(is_it);
        stage.wire.count(0, is_such)
    };
    let blocks = got(|frame| matches!(frame, Frame::Block(_)));
    let headers = got(|frame| matches!(frame, Frame::Header(_)));
    let bytes = |node| stage.wire.traffic(node).bytes;
    let (a_bytes, b_bytes) = (bytes(a), bytes(b));
    stage.claim(&Claim {
        name: "headers-are-enough",
        says: format!(
            "B got {headers} headers and no block: {} KiB in all, where A had {}",
            b_bytes / 1024,
            a_bytes / 1024
        ),
        why: "SPV: whoever does not vote needs headers and proofs of its own charges",
        holds: chain["keeps"] == "headers" && blocks == 0 && headers > 0 && b_bytes < a_bytes,
        facts: json!({
            "keeps": chain["keeps"], "headers": headers, "blocks": blocks,
            "bytes": b_bytes, "bytesOfA": a_bytes,
        }),
    });
    Ok(())
}

async fn proven(stage: &Stage, file: &Path, bytes: &[u8], key: &str) -> anyhow::Result<()> {
    let said = verify(file, key).await?;
    let (receipt, told) = (ReceiptFile::from_bytes(bytes)?, said.stdout.lines());
    let verdict = said.stdout.split(':').next().unwrap_or_default();
    stage.claim(&Claim {
        name: "receipt-proves",
        says: format!(
            "FLEET-VAN-2's receipt of {} bytes, verified offline by B: {verdict}",
            bytes.len(),
        ),
        why: "proves the charge to anyone, without us and without the provider",
        holds: said.succeeded && said.stdout.starts_with("TRUE"),
        facts: json!({
            "bytes": bytes.len(), "providerKey": key, "profile": receipt.line.profile.hash(),
            "height": receipt.header.body.height, "said": told.collect::<Vec<_>>(),
        }),
    });
    Ok(())
}

async fn refused(stage: &Stage, file: &Path, changed: &Changed, key: &str) -> anyhow::Result<()> {
    let said = verify(file, key).await?;
    let why = said.stderr.trim().trim_start_matches("charge-gateway: ");
    stage.claim(&Claim {
        name: "changed-receipt-refused",
        says: format!(
            "one byte of it flipped, to {} Wh from {}: {why}",
            changed.to_wh, changed.from_wh
        ),
        why: "not a single Wh can be argued away, or in",
        holds: !said.succeeded && why.starts_with("NOT PROVEN"),
        facts: changed.facts(why),
    });
    Ok(())
}

async fn verify(file: &Path, key: &str) -> anyhow::Result<Said> {
    let file = as_text(file)?;
    run(&["gateway", "receipt", "verify", file, "--provider-key", key]).await
}

/// A receipt in which one byte of the energy is another.
#[derive(Debug)]
struct Changed {
    bytes: Vec<u8>,
    position: usize,
    from_wh: u32,
    to_wh: u32,
}

impl Changed {
    fn facts(&self, why: &str) -> Value {
        json!({
            "position": self.position, "fromWh": self.from_wh, "toWh": self.to_wh, "said": why,
        })
    }
}

/// Finds the byte whose change makes the charge a little smaller, wherever the format keeps it.
fn with_one_byte_changed(bytes: &[u8]) -> anyhow::Result<Changed> {
    let energy = |bytes: &[u8]| {
        let receipt = ReceiptFile::from_bytes(bytes).ok()?;
        Some(receipt.line.profile.body.energy_wh)
    };
    let from_wh = energy(bytes).context("it is a receipt file")?;
    let changed = (0..bytes.len()).find_map(|position| {
        let mut bytes = bytes.to_vec();
        bytes[position] ^= 1;
        let to_wh = energy(&bytes).filter(|to_wh| *to_wh != from_wh)?;
        Some(Changed {
            bytes,
            position,
            from_wh,
            to_wh,
        })
    });
    changed.context("no byte of it is the charge's energy")
}
