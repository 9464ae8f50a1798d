// Certificates and the path from a root to a leaf (docs/spec/attestation.md).
import { equal, fromBigInt, fromHex, toHex } from './bytes.js';
import * as der from './der.js';
import { Malformed, Unverified } from './errors.js';
import { signedByKey } from './p384.js';

const ECDSA_SHA384 = fromHex('0x300a06082a8648ce3d040303');
const P384 = fromHex('0x301006072a8648ce3d020106052b81040022');
const BASIC_CONSTRAINTS = '2.5.29.19';
const KEY_USAGE = '2.5.29.15';
const COMMON_NAME = '2.5.4.3';
const DIGITAL_SIGNATURE = 0;
const KEY_CERT_SIGN = 5;

const form = (holds, message, code = 'x509.form') => {
  if (!holds) throw new Malformed(code, message);
};

export function readCertificate(raw) {
  const top = der.sequence(der.read(raw));
  form(top.length === 3, 'a certificate has three parts');
  const fields = der.sequence(top[0]);
  form(fields.length === 8, 'one of version 3 with extensions has eight fields');
  const [version, serial, algorithm, issuer, validity, subject, key, extensions] = fields;
  const number = der.integer(serial);
  form(number >= 0n && number < 1n << 160n, 'a serial number of at most 20 bytes', 'x509.serial');
  const versions = der.parts(der.expect(version, 0xa0));
  form(versions.length === 1 && der.integer(versions[0]) === 2n, 'not of version 3');
  form(equal(algorithm.raw, top[1].raw), 'two algorithms');
  const times = der.sequence(validity);
  const keys = der.sequence(key);
  form(times.length === 2 && keys.length === 2, 'a validity or a key that is no pair');
  return {
    raw,
    tbs: top[0].raw,
    serial: number,
    issuer: issuer.raw,
    subject: subject.raw,
    commonNames: commonNames(subject),
    notBeforeS: der.timeS(times[0]),
    notAfterS: der.timeS(times[1]),
    keyAlgorithm: keys[0].raw,
    key: der.wholeBytes(keys[1]),
    algorithm: algorithm.raw,
    signature: der.wholeBytes(top[2]),
    extensions: readExtensions(extensions),
  };
}

function commonNames(name) {
  const found = [];
  for (const each of der.sequence(name)) {
    for (const pair of der.parts(der.expect(each, 0x31))) {
      const parts = der.sequence(pair);
      form(parts.length === 2, 'a part of a name is a pair');
      if (der.oid(parts[0]) === COMMON_NAME) found.push(der.text(parts[1]));
    }
  }
  return found;
}

function readExtensions(value) {
  const lists = der.parts(der.expect(value, 0xa3));
  form(lists.length === 1, 'one list of extensions');
  const found = new Map();
  for (const each of der.sequence(lists[0])) {
    const parts = der.sequence(each);
    form(parts.length === 2 || parts.length === 3, 'an extension has two or three parts');
    const kind = der.oid(parts[0]);
    const critical = parts.length === 3;
    form(!critical || der.boolean(parts[1]), 'FALSE is left out', 'x509.extension');
    form(!found.has(kind), 'an extension twice', 'x509.extension');
    found.set(kind, { critical, value: der.expect(parts.at(-1), 0x04) });
  }
  return found;
}

// How many authorities may stand below: Infinity for any number, -1 where this is none.
function pathLength({ extensions }) {
  const found = extensions.get(BASIC_CONSTRAINTS);
  if (found === undefined) return -1;
  const parts = der.sequence(der.read(found.value));
  if (parts.length === 0) return -1;
  form(parts.length <= 2 && der.boolean(parts[0]), 'basic constraints of another form', 'x509.extension');
  if (parts.length === 1) return Infinity;
  const length = der.integer(parts[1]);
  form(length >= 0n, 'a negative path length', 'x509.extension');
  return Number(length);
}

function may({ extensions }, usage) {
  const found = extensions.get(KEY_USAGE);
  if (found === undefined) return false;
  const [bits] = der.bitString(der.read(found.value));
  return usage >> 3 < bits.length && ((bits[usage >> 3] >> (7 - (usage & 7))) & 1) === 1;
}

// A signature of certificates, a DER pair of positive numbers, as r ‖ s.
function rawSignature(signature) {
  const numbers = der.sequence(der.read(signature)).map(der.integer);
  const holds = numbers.length === 2 && numbers.every((number) => number > 0n && number < 1n << 384n);
  form(holds, 'two positive numbers', 'ecdsa.form');
  return new Uint8Array(numbers.flatMap((number) => [...fromBigInt(number, 48)]));
}

// The path from raw certificates, root first, checked at a time; returns it.
export function verifiedPath(chain, nowS) {
  try {
    const path = chain.map(readCertificate);
    const known = path.every((each) => equal(each.algorithm, ECDSA_SHA384) && equal(each.keyAlgorithm, P384));
    if (!known) throw new Unverified('quote.certificate', 'another algorithm');
    path.forEach((each, place) => checkPlace(path, each, place, nowS));
    return path;
  } catch (error) {
    if (error instanceof Malformed) throw new Unverified('quote.certificate', error.message);
    throw error;
  }
}

function checkPlace(path, each, place, nowS) {
  const refuse = (holds, step) => {
    if (!holds) throw new Unverified(`quote.chain.${step}`, `certificate ${place}: ${step}`);
  };
  refuse(each.notBeforeS <= nowS && nowS <= each.notAfterS, 'time');
  const odd = [...each.extensions].some(
    ([kind, { critical }]) => critical && kind !== BASIC_CONSTRAINTS && kind !== KEY_USAGE,
  );
  refuse(!odd, 'critical');
  const below = path.length - 2 - place;
  const length = pathLength(each);
  refuse((length === -1) === (below === -1), 'authority');
  refuse(length >= below, 'length');
  refuse(may(each, below === -1 ? DIGITAL_SIGNATURE : KEY_CERT_SIGN), 'usage');
  if (place === 0) return;
  const above = path[place - 1];
  refuse(toHex(each.issuer) === toHex(above.subject), 'name');
  refuse(signedByKey(above.key, each.tbs, rawSignature(each.signature)), 'signature');
}
