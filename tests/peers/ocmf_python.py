"""OCMF records signed and verified by pyocmf.

pyocmf reads and verifies; it has no signer, so the payload is its model, written by it, and the
signature is made with the packages that it verifies with: cryptography, and ecdsa for secp192k1.

Lines on stdin, each a JSON object that is answered by one JSON line:

    {"sign": {"algorithm": A, "payload": {...}}}   {"signed": {"text": T, "key": HEX}}, a fresh key;
                                                   with "secret": HEX the key of that number
    {"verify": {"text": T, "key": HEX}}            {"verified": true or false}, or
                                                   {"verified": false, "refused": REASON}
    {"verify_file": PATH}                          {"verified": [...]}, one a record in the XML
    {"charge": [T, ...]}                           {"issues": [...]}: what keeps one record, or two,
                                                   from being a charge that can be billed
"""

import hashlib
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import ecdsa
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyocmf import OCMF, Payload, Signature
from pyocmf.crypto import fallback
from pyocmf.utils.xml import OcmfContainer

from lines import emit

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1,
    "secp256k1": ec.SECP256K1,
    "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1,
}
HASHES = {"SHA256": hashes.SHA256, "SHA384": hashes.SHA384, "SHA512": hashes.SHA512}


def sign(algorithm: str, payload: dict[str, Any], secret: str | None = None) -> dict[str, Any]:
    _, curve, hash_name = algorithm.split("-")
    unsigned = OCMF.model_construct(
        header="OCMF",
        payload=Payload.model_validate(payload),
        signature=Signature.model_construct(SA=algorithm, SE=None, SM=None, SD=""),
    )
    header, written, _ = unsigned.to_string().split("|")
    der, key = signature(curve, hash_name, written.encode(), secret)
    section = json.dumps({"SA": algorithm, "SD": der.hex()})
    return {"signed": {"text": "|".join([header, written, section]), "key": key.hex()}}


def signature(curve: str, hash_name: str, data: bytes, number: str | None) -> tuple[bytes, bytes]:
    """The signature and the key that verifies it, as DER."""
    if curve == "secp192k1":
        secret = ecdsa.SigningKey.generate(fallback._secp192k1())
        encode = ecdsa.util.sigencode_der
        digest = getattr(hashlib, hash_name.lower())
        signed = secret.sign(data, hashfunc=digest, sigencode=encode)
        return signed, secret.verifying_key.to_der()
    if number is None:
        private = ec.generate_private_key(CURVES[curve]())
    else:
        private = ec.derive_private_key(int(number, 16), CURVES[curve]())
    key = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.sign(data, ec.ECDSA(HASHES[hash_name]())), key


def verify(text: str, key: str) -> dict[str, Any]:
    return {"verified": OCMF.from_string(text).verify_signature(key)}


def verify_file(path: str) -> dict[str, Any]:
    records = OcmfContainer.from_xml(path)
    issues = [issue.message for result in records.check_eichrecht() for issue in result.issues]
    return {"verified": [record.verify_signature() for record in records], "issues": issues}


def charge(texts: list[str]) -> dict[str, Any]:
    begin, *end = [OCMF.from_string(text) for text in texts]
    issues = begin.check_eichrecht(*end, errors_only=True)
    return {"issues": [issue.message for issue in issues]}


def answer(command: str, argument: Any) -> dict[str, Any]:
    commands: dict[str, Callable[[], dict[str, Any]]] = {
        "sign": lambda: sign(**argument),
        "verify": lambda: verify(**argument),
        "verify_file": lambda: verify_file(argument),
        "charge": lambda: charge(argument),
    }
    return commands[command]()


def main() -> None:
    # What deviates from the standard and is read all the same is no matter here.
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        ((command, argument),) = json.loads(line).items()
        try:
            emit(answer(command, argument))
        except Exception as error:  # what a record is refused with is an answer
            emit({"verified": False, "refused": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
