//! From energy to money.

use ledger::tariff::FlatTariff;
use protocol::Hash;

use super::json::{Json, list, object, raw};

pub(super) fn prices() -> Json {
    let cases = [
        (
            "EUR",
            "0.40",
            "0.305",
            vec![0, 1, 12, 13, 11_000, 22_500, u32::MAX],
        ),
        ("KRW", "347.2", "0", vec![1_500]),
        ("KWD", "0.0255", "0.02", vec![10_000]),
    ];
    object([
        (
            "what",
            "Tariff documents, the hash by which the state knows each, and what charges come to \
             under them in minor units: half a unit is rounded up."
                .into(),
        ),
        (
            "tariffs",
            list(cases.map(|(currency, price, credit, energies)| {
                let tariff = FlatTariff::new(currency, price, credit).expect("two prices");
                let document = tariff.document();
                object([
                    ("document", document.as_str().into()),
                    ("hash", raw(&Hash::of(document.as_bytes()).0)),
                    (
                        "charges",
                        list(energies.into_iter().map(|energy_wh| {
                            let price = tariff.price(energy_wh).expect("it fits");
                            object([
                                ("energy_wh", energy_wh.into()),
                                ("amount", price.amount.into()),
                                ("credit", price.credit.into()),
                            ])
                        })),
                    ),
                ])
            })),
        ),
    ])
}
