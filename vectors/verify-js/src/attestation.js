// Attestations: keysets, what binds them, and what an enclave's word proves (docs/spec/attestation.md).
import { concat, equal, fromBigInt, fromHex, utf8 } from './bytes.js';
import { sha256, tagged, tagged64 } from './digest.js';
import { Malformed, Unverified } from './errors.js';
import { take } from './json.js';
import * as nitro from './nitro.js';
import { readRecord, writeRecord } from './records.js';
import * as rlp from './rlp.js';
import { AWS_NITRO } from './roots.js';

export const TRUST_CLASSES = ['simulated', 'vtpm', 'hardware-degraded', 'hardware', 'hardware-strict'];
const PINNED = ['pcr0', 'pcr1', 'pcr2'];
const KEYSET_BYTES_MAX = 512;
const EVIDENCE_BYTES_MAX = 64 * 1024;
const PARTS_MAX = 16;
const AGE_MS_MAX = 600_000n;
const AHEAD_MS_MAX = 60_000n;
const NO_DEVICES = new Uint8Array(32);

const refuse = (holds, code, message = code) => {
  if (!holds) throw new Unverified(code, message);
};

// --- digests ---

export function keysetDigest(keyset) {
  return tagged('paraph/keyset/1', writeRecord('Keyset', keyset));
}

export function devicesDigest(devices) {
  if (devices.length === 0) return NO_DEVICES;
  const found = devices.map((each) => Buffer.from(sha256(each))).sort(Buffer.compare);
  return tagged('paraph/devices/1', ...found);
}

export function deviceNonce(keyset, nonce) {
  return tagged('paraph/device-nonce/1', keysetDigest(keyset), nonce);
}

export function bound(keyset, nonce, devices) {
  return tagged64('paraph/binding/1', keysetDigest(keyset), nonce, devicesDigest(devices));
}

export function registrationNonce(blockHash, node, sequence) {
  return tagged('paraph/enclave-nonce/1', blockHash, node, fromBigInt(sequence, 8));
}

// Measurements are a Map from names to bytes; names are ASCII.
export function releaseId(platform, measurements) {
  const names = [...measurements.keys()].sort();
  const values = names.map((name) => measurements.get(name));
  return tagged('paraph/release/1', rlp.encode([utf8(platform), names.map(utf8), values]));
}

// --- reading ---

export function readKeyset(bytes) {
  if (bytes.length > KEYSET_BYTES_MAX) throw new Malformed('attestation.keyset', 'a keyset too long');
  const found = readRecord('Keyset', bytes);
  const sizes = ['node', 'tls_key', 'hpke_key', 'receipt_key'].map((name) => found[name].length);
  if (!equal(sizes, [20, 32, 32, 20])) throw new Malformed('attestation.keyset', 'a key of another size');
  return found;
}

function readEvidence(bytes) {
  if (bytes.length > EVIDENCE_BYTES_MAX) throw new Malformed('evidence.size', 'evidence too large');
  const found = readRecord('Evidence', bytes);
  if (Math.max(found.collateral.length, found.devices.length) > PARTS_MAX) {
    throw new Malformed('evidence.parts', 'evidence of too many parts');
  }
  return found;
}

export function readAttestation(value) {
  const names = ['layer', 'release', 'keyset', 'nonce', 'evidence'];
  const [layer, release, keyset, nonce, evidence] = take(value, 'an attestation', names);
  if (layer !== 'tee') throw new Malformed('attestation.layer', 'evidence of another layer');
  return {
    release: fromHex(release, 32, 'release'),
    keyset: readKeyset(fromHex(keyset, null, 'keyset')),
    nonce: fromHex(nonce, 32, 'nonce'),
    evidence: readEvidence(fromHex(evidence, null, 'evidence')),
  };
}

// --- proving ---

// What an attestation proves: of the code that `measurements` name, under `simulatedRoot`, at a time (BigInt).
export function prove({ keyset, nonce, evidence }, measurements, simulatedRoot, nowS, least = 'simulated') {
  const claims = verifyEvidence(evidence, simulatedRoot, nowS);
  checkPolicy(claims, measurements, least, nowS * 1000n);
  checkBinding(claims, keyset, nonce, evidence.devices, nowS);
  return claims;
}

// Nitro's platform, and what is simulated of it; of any other this verifier says that it cannot check it.
function verifyEvidence({ platform, document, collateral, devices }, simulatedRoot, nowS) {
  refuse(devices.length === 0, 'envelope.devices');
  refuse(['simulated', 'nitro'].includes(platform), 'envelope.platform', 'a platform that this verifier cannot check');
  refuse(platform === 'nitro' || simulatedRoot.length > 0, 'quote.root', 'no simulated enclave is believed');
  refuse(collateral.length === 0, 'envelope.collateral');
  const root = platform === 'nitro' ? AWS_NITRO : simulatedRoot;
  return nitro.verify(nitro.read(document), root, platform === 'nitro' ? 'hardware' : 'simulated', nowS);
}

function checkPolicy(claims, measurements, least, nowMs) {
  const empty = () => new Malformed('policy.empty', 'a policy that expects nothing');
  if (measurements.size === 0) throw empty();
  refuse(TRUST_CLASSES.indexOf(claims.trust) >= TRUST_CLASSES.indexOf(least), 'policy.trust');
  refuse(!claims.debug, 'policy.debug');
  if (!PINNED.every((name) => measurements.get(name)?.length > 0)) throw empty();
  const same = ([name, value]) => claims.measurements.has(name) && equal(claims.measurements.get(name), value);
  refuse([...measurements].every(same), 'policy.measurement');
  refuse(nowMs - claims.timeMs <= AGE_MS_MAX, 'policy.stale');
  refuse(claims.timeMs - nowMs <= AHEAD_MS_MAX, 'policy.ahead');
}

function checkBinding(claims, keyset, nonce, devices, nowS) {
  refuse(equal(claims.nonce, nonce), 'binding.nonce');
  refuse(equal(claims.key, keyset.hpke_key), 'binding.hpke');
  refuse(equal(claims.data, bound(keyset, nonce, devices)), 'binding.keys');
  refuse(nowS <= keyset.not_after_s, 'binding.expired');
}
