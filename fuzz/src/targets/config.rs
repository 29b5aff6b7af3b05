//! The configuration files that an operator writes.

use std::path::Path;

use super::{Corpus, texts};

pub(super) fn check_gateway(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match gateway::Config::parse(Path::new("charge-gateway.toml"), text) {
        Ok(config) => {
            let has_outlet = |name: &String| config.outlets.contains_key(name);
            let mut points = config.charge_points.values();
            assert!(points.all(|point| point.outlets.iter().all(has_outlet)));
        }
        Err(error) => assert!(error.to_string().contains("charge-gateway.toml")),
    }
}

pub(super) fn check_provider(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match provider::Config::parse(Path::new("charge-provider.toml"), text) {
        Ok(config) => assert!(config.operator_listen.ip().is_loopback()),
        Err(error) => assert!(error.to_string().contains("charge-provider.toml")),
    }
}

pub(super) fn gateway_corpus() -> Corpus {
    texts([include_str!("../../../gateway/charge-gateway.example.toml")])
}

pub(super) fn provider_corpus() -> Corpus {
    texts([include_str!(
        "../../../provider/charge-provider.example.toml"
    )])
}
