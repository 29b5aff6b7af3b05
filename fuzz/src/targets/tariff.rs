//! Tariff documents.

use ledger::tariff::FlatTariff;

use super::{Corpus, numbered};

pub(super) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(tariff) = FlatTariff::parse(text) else {
        return;
    };
    assert_eq!(FlatTariff::parse(&tariff.document()), Ok(tariff.clone()));
    assert!(FlatTariff::parse(&format!("{text}0")).is_err(), "surplus");
    let prices = [0, 1, 1_000, u32::MAX].map(|energy_wh| tariff.price(energy_wh));
    let amounts = prices.iter().flatten().map(|price| price.amount);
    assert!(amounts.is_sorted(), "more energy costs less: {prices:?}");
}

pub(super) fn corpus() -> Corpus {
    let prices = [
        ("EUR", "0.40", "0.305"),
        ("KRW", "347.2", "0"),
        ("KWD", "0.000000001", "79228162514264"),
    ];
    let document = |(currency, price, credit)| {
        let tariff = FlatTariff::new(currency, price, credit).expect("a tariff");
        tariff.document().into_bytes()
    };
    numbered(prices.map(document))
}
