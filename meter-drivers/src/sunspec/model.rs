//! The points of the meter models that we read.

use crate::map::{Measurand, Quantity, Register, RegisterSpace, Scale, ValueType, WordOrder};

/// A kind of meter model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// 201 to 204: integers with scale factors.
    Integer,
    /// 211 to 214: floats.
    Float,
}

/// A point of model 201 to 204: offset from the model's id, and that of its scale factor.
const INTEGERS: [(Measurand, u16, u16); 15] = [
    (Measurand::EnergyImport, 46, 54),
    (Measurand::EnergyExport, 38, 54),
    (Measurand::Power, 18, 22),
    (Measurand::PowerL1, 19, 22),
    (Measurand::PowerL2, 20, 22),
    (Measurand::PowerL3, 21, 22),
    (Measurand::VoltageL1, 8, 15),
    (Measurand::VoltageL2, 9, 15),
    (Measurand::VoltageL3, 10, 15),
    (Measurand::Current, 2, 6),
    (Measurand::CurrentL1, 3, 6),
    (Measurand::CurrentL2, 4, 6),
    (Measurand::CurrentL3, 5, 6),
    (Measurand::Frequency, 16, 17),
    (Measurand::PowerFactor, 33, 37),
];

/// A point of model 211 to 214: offset from the model's id.
const FLOATS: [(Measurand, u16); 15] = [
    (Measurand::EnergyImport, 68),
    (Measurand::EnergyExport, 60),
    (Measurand::Power, 28),
    (Measurand::PowerL1, 30),
    (Measurand::PowerL2, 32),
    (Measurand::PowerL3, 34),
    (Measurand::VoltageL1, 12),
    (Measurand::VoltageL2, 14),
    (Measurand::VoltageL3, 16),
    (Measurand::Current, 2),
    (Measurand::CurrentL1, 4),
    (Measurand::CurrentL2, 6),
    (Measurand::CurrentL3, 8),
    (Measurand::Frequency, 26),
    (Measurand::PowerFactor, 52),
];

impl Family {
    /// The family of a model id; `None` for what is no meter.
    pub(super) fn of(id: u16) -> Option<Self> {
        match id {
            201..=204 => Some(Self::Integer),
            211..=214 => Some(Self::Float),
            _ => None,
        }
    }

    /// Registers of the model behind its id and length.
    pub(super) fn length(self) -> u16 {
        match self {
            Self::Integer => 105,
            Self::Float => 124,
        }
    }

    /// The quantities of a model whose id is at `header`, sorted by measurand.
    ///
    /// The caller has checked that the whole model ends below 65,536.
    pub(super) fn quantities(self, header: u16) -> Vec<Quantity> {
        let mut quantities: Vec<Quantity> = match self {
            Self::Integer => INTEGERS
                .iter()
                .map(|&(measurand, offset, scale)| {
                    integer(measurand, header + offset, header + scale)
                })
                .collect(),
            Self::Float => FLOATS
                .iter()
                .map(|&(measurand, offset)| float(measurand, header + offset))
                .collect(),
        };
        quantities.sort_by_key(|quantity| quantity.measurand);
        quantities
    }
}

/// A holding register, most significant word first, as everything in SunSpec.
pub(super) fn holding(address: u16, value_type: ValueType) -> Register {
    Register {
        space: RegisterSpace::Holding,
        address,
        value_type,
        word_order: WordOrder::MswFirst,
    }
}

fn integer(measurand: Measurand, address: u16, scale: u16) -> Quantity {
    let (value_type, no_value, modulus) = match measurand {
        // acc32: 0 is "not accumulated", and the count wraps.
        Measurand::EnergyImport | Measurand::EnergyExport => (ValueType::U32, 0, Some(1 << 32)),
        _ => (ValueType::I16, 0x8000, None),
    };
    let percent = Scale::new(1, 100).expect("not zero");
    Quantity {
        measurand,
        register: holding(address, value_type),
        plus: Vec::new(),
        // A power factor is in percent here, and a ratio in the float models.
        scale: match measurand {
            Measurand::PowerFactor => percent,
            _ => Scale::ONE,
        },
        power_of_ten: Some(holding(scale, ValueType::I16)),
        no_value: vec![no_value],
        modulus,
        optional: false,
    }
}

fn float(measurand: Measurand, address: u16) -> Quantity {
    Quantity {
        measurand,
        register: holding(address, ValueType::F32),
        plus: Vec::new(),
        scale: Scale::ONE,
        power_of_ten: None,
        // NaN is no number of itself.
        no_value: Vec::new(),
        modulus: None,
        optional: false,
    }
}
