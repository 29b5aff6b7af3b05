//! From a group block that lies to the conviction that an operator reads.

use ledger::Evidence;
use protocol::decode;
use serde_json::Value;

use crate::parent::Parent;
use crate::site::Site;

#[tokio::test]
async fn a_parent_that_alters_a_charge_is_listed_and_the_true_charge_billed() {
    let site = Site::new();
    let running = site.start();
    assert_eq!(convictions(&site), Vec::<Value>::new());
    let nobody = site.printed(&["evidence", "list"]);
    assert!(nobody.contains("nobody is convicted"), "{nobody}");

    let mut parent = Parent::new(&site, &running).await;
    parent.block(|block| !block.body.records.is_empty()).await;
    let mut profile = parent.submit(11_013).await;
    let round = parent.promised_round().await;
    profile.body.energy_wh = 1_101;
    parent.seal(round, &profile).await;
    let charged = parent.block(|block| block.header.body.charges == 1).await;
    assert_eq!(charged.body.charges[0].profile.body.energy_wh, 11_013);

    let found = convictions(&site);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["groupId"], "FLEET");
    let offence = found[0]["offence"].as_str().expect("text");
    assert!(offence.ends_with(&format!("round {round}")), "{offence}");
    assert_eq!(found[0]["height"], charged.header.body.height);
    assert_eq!(found[0]["header"], charged.header.hash().to_string());
    let bytes = hex::decode(found[0]["evidence"].as_str().expect("text")).expect("hexadecimal");
    let Evidence::ForgedProfile(forged) = decode(&bytes).expect("canonical") else {
        panic!("a forged profile");
    };
    assert_eq!(forged.forged.profile, profile);
    let listed = site.printed(&["evidence", "list"]);
    assert!(listed.contains("FLEET"), "{listed}");
}

fn convictions(site: &Site) -> Vec<Value> {
    let printed = site.printed(&["evidence", "list", "--json"]);
    let list: Value = serde_json::from_str(&printed).expect("JSON");
    list["convictions"].as_array().expect("a list").clone()
}
