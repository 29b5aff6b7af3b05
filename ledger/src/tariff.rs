//! Tariff documents, and the stated rule by which a charge's energy becomes money.
//!
//! A document holds two OCPI 2.2.1 Tariff objects: what the payer owes, and what the supply
//! point's owner is credited. This version reads one flat price per kWh in each.
//!
//! The rule: `energy in Wh × price per kWh ÷ 1000`, exactly, in the currency's minor unit, then
//! rounded once, half a unit upwards. No consensus rule reads prices: whoever has the document
//! recomputes them.

use std::str::FromStr;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use serde_json::Number;

/// What one charge costs, and what its supply point's owner gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Owed by the payer, in minor units.
    pub amount: u32,
    /// Credited to the owner, in minor units.
    pub credit: u32,
}

/// A flat tariff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatTariff {
    currency: String,
    price_per_kwh: Decimal,
    credit_per_kwh: Decimal,
}

/// Why a text is no tariff, or a charge has no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TariffError {
    /// No number of currency units.
    #[error("{0:?} is no price; write currency units per kWh such as 0.40")]
    Price(String),
    /// No ISO 4217 code.
    #[error("{0:?} is no currency; write an ISO 4217 code such as EUR")]
    Currency(String),
    /// Not a document this version reads.
    #[error("the tariff document is not two OCPI tariffs with one ENERGY price each: {0}")]
    Document(String),
    /// The amount does not fit 32 bits of minor units.
    #[error("{energy_wh} Wh cost more than one charge can carry")]
    TooMuch {
        /// The charge's energy.
        energy_wh: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Document {
    payer: OcpiTariff,
    owner: OcpiTariff,
}

#[derive(Serialize, Deserialize)]
struct OcpiTariff {
    id: String,
    currency: String,
    elements: Vec<Element>,
}

#[derive(Serialize, Deserialize)]
struct Element {
    price_components: Vec<PriceComponent>,
}

#[derive(Serialize, Deserialize)]
struct PriceComponent {
    #[serde(rename = "type")]
    kind: String,
    price: Number,
    step_size: u32,
}

impl FlatTariff {
    /// A tariff of two prices in currency units per kWh, such as `0.40`.
    ///
    /// # Errors
    /// `Price` or `Currency`.
    pub fn new(currency: &str, price: &str, credit: &str) -> Result<Self, TariffError> {
        if currency.len() != 3 || !currency.chars().all(|c| c.is_ascii_uppercase()) {
            return Err(TariffError::Currency(currency.to_owned()));
        }
        Ok(Self {
            currency: currency.to_owned(),
            price_per_kwh: parse_price(price)?,
            credit_per_kwh: parse_price(credit)?,
        })
    }

    /// The document for a [`crate::block::Record::Tariff`].
    #[must_use]
    pub fn document(&self) -> String {
        let document = Document {
            payer: self.ocpi("payer", self.price_per_kwh),
            owner: self.ocpi("owner", self.credit_per_kwh),
        };
        serde_json::to_string(&document).expect("a document is plain structs")
    }

    fn ocpi(&self, id: &str, price: Decimal) -> OcpiTariff {
        let price = Number::from_str(&price.normalize().to_string())
            .expect("a decimal's text is a JSON number");
        OcpiTariff {
            id: id.to_owned(),
            currency: self.currency.clone(),
            elements: vec![Element {
                price_components: vec![PriceComponent {
                    kind: "ENERGY".to_owned(),
                    price,
                    step_size: 1,
                }],
            }],
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// `Document` where it holds anything but one flat ENERGY price for each side.
    pub fn parse(document: &str) -> Result<Self, TariffError> {
        let refused = |reason: String| TariffError::Document(reason);
        let read: Document = serde_json::from_str(document).map_err(|e| refused(e.to_string()))?;
        if read.payer.currency != read.owner.currency {
            return Err(refused("two currencies".to_owned()));
        }
        let (price, credit) = (flat_price(&read.payer)?, flat_price(&read.owner)?);
        Self::new(&read.payer.currency, &price, &credit)
    }

    /// What `energy_wh` costs.
    ///
    /// # Errors
    /// `TooMuch` where an amount does not fit.
    pub fn price(&self, energy_wh: u32) -> Result<Price, TariffError> {
        Ok(Price {
            amount: self.minor_units(energy_wh, self.price_per_kwh)?,
            credit: self.minor_units(energy_wh, self.credit_per_kwh)?,
        })
    }

    fn minor_units(&self, energy_wh: u32, per_kwh: Decimal) -> Result<u32, TariffError> {
        let per_unit = Decimal::from(10_u32.pow(minor_digits(&self.currency)));
        Decimal::from(energy_wh)
            .checked_mul(per_kwh)
            .and_then(|amount| amount.checked_mul(per_unit))
            .and_then(|amount| amount.checked_div(Decimal::ONE_THOUSAND))
            .map(|amount| amount.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero))
            .and_then(|amount| amount.to_u32())
            .ok_or(TariffError::TooMuch { energy_wh })
    }
}

/// Digits of a price at most: as many as every JSON reader keeps, also one that reads numbers as
/// 64-bit floats.
const MAX_PRICE: i128 = 10_i128.pow(15);

fn parse_price(text: &str) -> Result<Decimal, TariffError> {
    let is_exact = |price: &Decimal| price.scale() <= 9 && price.mantissa() < MAX_PRICE;
    Decimal::from_str(text)
        .ok()
        .filter(|price| !price.is_sign_negative() && is_exact(price))
        .ok_or_else(|| TariffError::Price(text.to_owned()))
}

fn flat_price(tariff: &OcpiTariff) -> Result<String, TariffError> {
    if let [element] = tariff.elements.as_slice()
        && let [component] = element.price_components.as_slice()
        && component.kind == "ENERGY"
    {
        return Ok(component.price.to_string());
    }
    Err(TariffError::Document(format!(
        "tariff {:?} has other price components",
        tariff.id
    )))
}

/// Digits of a currency's minor unit.
///
/// # Source
/// ISO 4217; two but for the codes listed.
#[must_use]
pub fn minor_digits(currency: &str) -> u32 {
    match currency {
        "CLP" | "ISK" | "JPY" | "KRW" | "PYG" | "UGX" | "VND" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// An amount as people write it, such as `4.40 EUR`.
#[must_use]
pub fn in_words(minor_units: u64, currency: &str) -> String {
    let digits = minor_digits(currency);
    let unit = 10_u64.pow(digits);
    if digits == 0 {
        return format!("{minor_units} {currency}");
    }
    let width = digits as usize;
    let (whole, rest) = (minor_units / unit, minor_units % unit);
    format!("{whole}.{rest:0width$} {currency}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(currency: &str, per_kwh: &str, energy_wh: u32, expected: u32) {
        let tariff = FlatTariff::new(currency, per_kwh, "0").expect("a valid tariff");
        let price = tariff.price(energy_wh).expect("it fits");
        assert_eq!(
            price.amount, expected,
            "{energy_wh} Wh at {per_kwh} {currency}"
        );
    }

    #[test]
    fn half_a_minor_unit_is_rounded_upwards() {
        check("EUR", "0.40", 11_000, 440);
        check("EUR", "0.40", 12, 0);
        check("EUR", "0.40", 13, 1);
        check("EUR", "0.5", 1, 0);
        check("EUR", "0.5", 9, 0);
        check("EUR", "0.5", 10, 1);
        check("KRW", "347.2", 1_500, 521);
        check("KWD", "0.0255", 10_000, 255);
    }

    #[test]
    fn a_document_tells_the_same_prices() {
        let tariff = FlatTariff::new("EUR", "0.40", "0.305").expect("a valid tariff");
        assert_eq!(FlatTariff::parse(&tariff.document()), Ok(tariff.clone()));
        let price = tariff.price(10_000).expect("it fits");
        assert_eq!((price.amount, price.credit), (400, 305));
    }

    #[test]
    fn a_document_keeps_every_digit_of_a_price() {
        let tariff = FlatTariff::new("EUR", "999999.999999999", "0.1").expect("a valid tariff");
        assert_eq!(FlatTariff::parse(&tariff.document()), Ok(tariff));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for price in ["-1", "free", "", "0.0000000001", "123456789012.123456789"] {
            let refused = FlatTariff::new("EUR", price, "0");
            assert_eq!(refused, Err(TariffError::Price(price.to_owned())));
        }
        assert!(matches!(
            FlatTariff::new("euro", "1", "0"),
            Err(TariffError::Currency(_))
        ));
    }

    #[test]
    fn an_amount_too_large_is_an_error_and_no_other_amount() {
        let tariff = FlatTariff::new("EUR", "1000000", "0").expect("a valid tariff");
        let refused = tariff.price(u32::MAX);
        assert_eq!(
            refused,
            Err(TariffError::TooMuch {
                energy_wh: u32::MAX
            })
        );
    }

    #[test]
    fn amounts_are_written_with_their_minor_digits() {
        assert_eq!(in_words(440, "EUR"), "4.40 EUR");
        assert_eq!(in_words(5, "EUR"), "0.05 EUR");
        assert_eq!(in_words(440, "JPY"), "440 JPY");
    }
}
