//! From a signed charge to the bill that an operator reads.

use serde_json::Value;

use crate::parent::Parent;
use crate::site::Site;

#[tokio::test]
async fn a_charge_is_on_the_bill_pending_and_after_its_voters_ballot_final() {
    let site = Site::new();
    let running = site.start();
    let mut parent = Parent::new(&site, &running).await;
    // The voter counts for blocks after the one that enrols it.
    parent.block(|block| !block.body.records.is_empty()).await;
    parent.submit(11_013).await;
    let charged = parent.block(|block| block.header.body.charges == 1).await;

    let bill = json(&site);
    assert_eq!(bill["lines"][0]["finality"], "pending");
    assert_eq!(bill["pending"], bill["total"]);
    assert_eq!(bill["credits"][0]["finality"], "pending");
    assert_eq!(bill["pendingCredit"], 330);
    parent.vote(&charged).await;
    parent.block(|block| block.header.body.ballots == 1).await;

    let bill = json(&site);
    let line = &bill["lines"][0];
    assert_eq!(line["idTag"], "CAR-1");
    assert_eq!(line["outlet"], "garage");
    assert_eq!(line["finality"], "final");
    assert_eq!(line["header"], charged.header.body.hash().to_string());
    assert_eq!(bill["total"]["energyWh"], 11_013);
    assert_eq!(bill["total"]["amount"], 441);
    assert_eq!(bill["pending"]["amount"], 0);
    assert_eq!(bill["credit"], 330);
    assert_eq!(bill["pendingCredit"], 0);
    let credit = &bill["credits"][0];
    assert_eq!(credit["outlet"], "garage");
    assert_eq!(credit["credit"], 330);
    assert_eq!(credit["finality"], "final");
    for same in ["start", "end", "energyWh", "height", "header"] {
        assert_eq!(credit[same], line[same], "{same}");
    }
    assert_eq!(credit["idTag"], Value::Null, "an owner need not know");
    let table = site.printed(&["bill", "show", "fleet"]);
    for words in [
        "11.013  4.41 EUR  final",
        "garage (1)",
        "11.013  3.30 EUR  final",
        "(self-attested: 1 voter)",
    ] {
        assert!(table.contains(words), "{words} in {table}");
    }

    drop(running);
    let again = site.start();
    assert_eq!(json(&site), bill, "a restart changes no bill");
    drop(again);
}

#[tokio::test]
async fn an_unknown_group_has_no_bill() {
    let site = Site::new();
    let _running = site.start();
    let line = site.refusal(&["bill", "show", "NOBODY/1"]);
    assert!(line.contains("no group has this name"), "{line}");
}

fn json(site: &Site) -> Value {
    let printed = site.printed(&["bill", "show", "FLEET", "--json"]);
    serde_json::from_str(&printed).expect("JSON")
}
