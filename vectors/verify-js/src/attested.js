// What a bundle of the layer tee claims (docs/spec/verdict.md): what the platform signed, and what the ledger knows.
import { equal } from './bytes.js';
import { prove, readAttestation, TRUST_CLASSES } from './attestation.js';
import { claim } from './claims.js';
import { Malformed, Unverified } from './errors.js';
import { enclaveKey, readRecord, releaseKey, validAt, writeRecord } from './records.js';
import { proves } from './trees.js';

const SLACK_S = 60n;

function recordsOf({ key, release }) {
  if (release === null) throw new Malformed('record.form', 'the release is not shown');
  return [readRecord('Enclave', key.value), readRecord('Release', release.value)];
}

// Whether the ledger's record says that no hardware stands behind the enclave; of no enclave, or no record, not.
export function isSimulated({ receipt, chain }) {
  if (receipt.layer !== 2) return false;
  try {
    return readRecord('Enclave', chain.key.value).trust === 1n;
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
}

function measurementsOf({ names, values }) {
  const pairs = names.slice(0, values.length).map((name, at) => [Buffer.from(name).toString('latin1'), values[at]]);
  return new Map(pairs);
}

// The claims `evidence.layer` and, where it holds, `evidence.trust`.
export function attested({ evidence, receipt, chain }, trust, least) {
  try {
    const claims = proved(readAttestation(evidence), receipt, chain, trust);
    const enough = TRUST_CLASSES.indexOf(claims.trust) >= TRUST_CLASSES.indexOf(least);
    return [claim('evidence.layer', true), claim('evidence.trust', enough)];
  } catch (error) {
    if (error instanceof Malformed || error instanceof Unverified) return [claim('evidence.layer', false)];
    throw error;
  }
}

function proved(shown, receipt, chain, trust) {
  const [enclave, release] = recordsOf(chain);
  const { keyset } = shown;
  const refuse = (holds, code) => {
    if (!holds) throw new Unverified(code);
  };
  const whose = equal(keyset.node, receipt.node) && equal(keyset.receipt_key, receipt.signer);
  refuse(keyset.chain_id === BigInt(trust.chain_id) && whose, 'binding.keyset');
  const registered = equal(writeRecord('Keyset', keyset), enclave.keyset);
  refuse(equal(shown.release, enclave.release) && registered, 'binding.keyset');
  const claims = prove(shown, measurementsOf(release), trust.simulated_root, enclave.time_s);
  const worth = BigInt(TRUST_CLASSES.indexOf(claims.trust) + 1);
  const same = claims.platform === enclave.platform && claims.module === enclave.module;
  refuse(same && worth === enclave.trust, 'binding.record');
  return claims;
}

// The claims `registry.key` and `registry.release`. Throws Malformed where a record cannot be read.
export function answeredBy(chain, receipt) {
  const [enclave, release] = recordsOf(chain);
  const { seal, key } = chain;
  const proven = (place, { value, proof }) => proves(seal.stateRoot, place, value, proof);
  const ends = [enclave.expires_s, enclave.closed_s, release.revoked_s].filter((end) => end !== 0n);
  const inTime = ends.length > 0 && ends.every((end) => BigInt(receipt.started_ms) <= (end + SLACK_S) * 1000n);
  const keyHolds =
    equal(enclave.node, receipt.node) &&
    validAt(enclave, receipt.height) &&
    receipt.height <= seal.height &&
    inTime &&
    equal(enclave.evidence, receipt.evidence_digest);
  const releaseHolds = release.platform === enclave.platform && validAt(release, receipt.height);
  return [
    claim('registry.key', proven(enclaveKey(receipt.signer), key) && keyHolds),
    claim('registry.release', proven(releaseKey(enclave.release), chain.release) && releaseHolds),
  ];
}
