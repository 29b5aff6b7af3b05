// OCMF records signed and verified by @road-labs/ocmf, with the curves of @noble/curves.
//
// Lines on stdin, each a JSON object that is answered by one JSON line:
//
//     {"sign": {"algorithm": A, "payload": {...}}}   {"signed": {"text": T, "key": HEX}}, a fresh key
//     {"verify": {"text": T, "key": HEX}}            {"verified": true or false}, or
//                                                    {"verified": false, "refused": REASON}
'use strict';

const readline = require('node:readline');

const { Signer, Verifier } = require('@road-labs/ocmf');
const { curveToOid, encodePkixSubjectPublicKeyInfo, oidEllipticCurveKey } = require('@road-labs/ocmf-crypto');
const { Crypto, resolveCurveFn } = require('@road-labs/ocmf-crypto-noble');

const crypto = new Crypto();

function tlv(tag, ...parts) {
  const content = Buffer.concat(parts);
  if (content.length > 127) throw new Error('longer than a short form');
  return Buffer.concat([Buffer.from([tag, content.length]), content]);
}

function oid(text) {
  const [first, second, ...rest] = text.split('.').map(Number);
  const bytes = [40 * first + second];
  for (const number of rest) {
    const digits = [number & 127];
    for (let left = number >> 7; left > 0; left >>= 7) digits.unshift(128 | (left & 127));
    bytes.push(...digits);
  }
  return tlv(6, Buffer.from(bytes));
}

// The library reads private keys as PKCS #8 with the curve named inside.
function pkcs8(curve, secret) {
  const named = oid(curveToOid.get(curve));
  const inner = tlv(0x30, tlv(2, Buffer.from([1])), tlv(4, secret), tlv(0xa0, named));
  const algorithm = tlv(0x30, oid(oidEllipticCurveKey), named);
  return tlv(0x30, tlv(2, Buffer.from([0])), algorithm, tlv(4, inner));
}

async function sign({ algorithm, payload }) {
  const curve = algorithm.split('-')[1];
  const arithmetic = resolveCurveFn(curve);
  const secret = arithmetic.utils.randomSecretKey();
  const key = encodePkixSubjectPublicKeyInfo({
    algorithm: { algorithm: oidEllipticCurveKey, parameters: { namedCurve: curveToOid.get(curve) } },
    subjectPublicKey: arithmetic.getPublicKey(secret, false),
  });
  const privateKey = await crypto.decodeEcPrivateKey(pkcs8(curve, Buffer.from(secret)), 'pkcs8-der');
  const text = await new Signer(crypto).sign(payload, privateKey, algorithm);
  return { signed: { text, key: Buffer.from(key).toString('hex') } };
}

async function verify({ text, key }) {
  const publicKey = await crypto.decodeEcPublicKey(Buffer.from(key, 'hex'), 'spki-der');
  const { verified } = await new Verifier(crypto).parseAndVerify(text, publicKey);
  return { verified };
}

async function main() {
  const commands = { sign, verify };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [[command, argument]] = Object.entries(JSON.parse(line));
    let answer;
    try {
      answer = await commands[command](argument);
    } catch (error) {
      answer = { verified: false, refused: String(error) };
    }
    console.log(JSON.stringify(answer));
  }
}

main();
