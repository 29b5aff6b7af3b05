//! Quantities that carry their unit: energy, power, money.

use std::fmt;
use std::iter::Sum;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty), $unit:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            BorshSerialize, BorshDeserialize, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// `self + other`, or `None` where the sum does not fit.
            #[must_use]
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }

            /// `self - other`, or `None` where `other` is larger.
            #[must_use]
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }
    };
}

quantity!(
    /// Active energy in whole watt-hours.
    EnergyWh(u64),
    "Wh"
);
quantity!(
    /// Active power in whole watts.
    PowerW(u32),
    "W"
);
quantity!(
    /// Money in the minor unit of the chain's currency (cents for EUR).
    MinorUnits(u64),
    "minor units"
);

impl Sum for EnergyWh {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.map(|energy| energy.0).sum())
    }
}
