//! The curve secp192k1, as parameters of the generic arithmetic of `primeorder`.
//!
//! It is the one curve of the format that no kept library has ready made. Nothing of it is computed
//! here: the field, the scalars and the points are those that `p192` is made of, with other numbers.
//!
//! # Source
//! SEC 2, version 2.0, section 2.2.1 (recommended parameters secp192k1).

// What the macros of primefield expand to is theirs.
#![allow(deprecated, unreachable_pub, dead_code, clippy::use_self)]

use ecdsa::EcdsaCurve;
use ecdsa::elliptic_curve::bigint::{Odd, U192};
use ecdsa::elliptic_curve::consts::U24;
use ecdsa::elliptic_curve::hazmat::FieldArithmetic;
use ecdsa::elliptic_curve::point::PointCompression;
use ecdsa::elliptic_curve::{Curve, CurveArithmetic, PrimeCurve, PrimeCurveArithmetic};
use primeorder::{PrimeCurveParams, mul_backend, point_arithmetic};

const ORDER_HEX: &str = "fffffffffffffffffffffffe26f2fc170f69466a74defd8d";

/// The curve y² = x³ + 3 over p = 2^192 − 2^32 − 2^12 − 2^8 − 2^7 − 2^6 − 2^3 − 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secp192k1;

impl Curve for Secp192k1 {
    type FieldBytesSize = U24;
    type Uint = U192;
    const ORDER: Odd<U192> = Odd::<U192>::from_be_hex(ORDER_HEX);
}

impl PrimeCurve for Secp192k1 {}

impl PointCompression for Secp192k1 {
    const COMPRESS_POINTS: bool = false;
}

impl CurveArithmetic for Secp192k1 {
    type AffinePoint = primeorder::AffinePoint<Self>;
    type ProjectivePoint = primeorder::ProjectivePoint<Self>;
    type Scalar = scalar::Scalar;
}

impl FieldArithmetic for Secp192k1 {
    type FieldElement = field::FieldElement;
}

impl PrimeCurveArithmetic for Secp192k1 {
    type CurveGroup = primeorder::ProjectivePoint<Self>;
}

impl PrimeCurveParams for Secp192k1 {
    type PointArithmetic = point_arithmetic::EquationAIsZero;
    type Backend = mul_backend::VariableOnly;

    const EQUATION_A: field::FieldElement = field::FieldElement::ZERO;
    const EQUATION_B: field::FieldElement = field::FieldElement::from_u64(3);
    const GENERATOR: (field::FieldElement, field::FieldElement) = (
        field::FieldElement::from_hex_vartime("db4ff10ec057e9ae26b07d0280b7f4341da5d1b1eae06c7d"),
        field::FieldElement::from_hex_vartime("9b2f2f6d9c5628a7844163d015be86344082aa88d95e2f9d"),
    );
}

impl EcdsaCurve for Secp192k1 {
    const NORMALIZE_S: bool = false;
}

mod field {
    use ecdsa::elliptic_curve::bigint::U192;
    use ecdsa::elliptic_curve::ff::PrimeField;
    use ecdsa::elliptic_curve::ops::BatchInvert;
    use ecdsa::elliptic_curve::subtle::{Choice, ConstantTimeEq, CtOption};

    primefield::monty_field_params! {
        name: FieldParams,
        modulus: "fffffffffffffffffffffffffffffffffffffffeffffee37",
        uint: U192,
        byte_order: primefield::ByteOrder::BigEndian,
        // Used for square roots only, where a quadratic non-residue serves.
        multiplicative_generator: 3,
        doc: "The field of secp192k1."
    }

    primefield::monty_field_element! {
        name: FieldElement,
        params: FieldParams,
        uint: U192,
        doc: "An element of the field of secp192k1."
    }

    primefield::monty_field_arithmetic! {
        name: FieldElement,
        params: FieldParams,
        uint: U192
    }

    impl BatchInvert for FieldElement {}
}

mod scalar {
    use ecdsa::elliptic_curve::Curve as _;
    use ecdsa::elliptic_curve::bigint::U192;
    use ecdsa::elliptic_curve::ff::PrimeField;
    use ecdsa::elliptic_curve::scalar::{FromUintUnchecked, IsHigh};
    use ecdsa::elliptic_curve::subtle::{Choice, ConstantTimeEq, ConstantTimeGreater, CtOption};
    use primeorder::wnaf;

    use super::{ORDER_HEX, Secp192k1};

    primefield::monty_field_params! {
        name: ScalarParams,
        modulus: ORDER_HEX,
        uint: U192,
        byte_order: primefield::ByteOrder::BigEndian,
        multiplicative_generator: 2,
        doc: "The scalars of secp192k1."
    }

    primefield::monty_field_element! {
        name: Scalar,
        params: ScalarParams,
        uint: U192,
        doc: "A scalar of secp192k1."
    }

    primefield::monty_field_arithmetic! {
        name: Scalar,
        params: ScalarParams,
        uint: U192
    }

    primefield::monty_field_reduce! {
        name: Scalar,
        params: ScalarParams,
        uint: U192,
    }

    ecdsa::elliptic_curve::scalar_impls!(Secp192k1, Scalar);

    wnaf::impl_wnaf_size_for_scalar!(Scalar);

    impl AsRef<Scalar> for Scalar {
        fn as_ref(&self) -> &Scalar {
            self
        }
    }

    impl FromUintUnchecked for Scalar {
        type Uint = U192;

        fn from_uint_unchecked(uint: Self::Uint) -> Self {
            Self::from_uint_unchecked(uint)
        }
    }

    impl IsHigh for Scalar {
        fn is_high(&self) -> Choice {
            const HALF: U192 = Secp192k1::ORDER.as_ref().shr_vartime(1);
            self.to_canonical().ct_gt(&HALF)
        }
    }
}
