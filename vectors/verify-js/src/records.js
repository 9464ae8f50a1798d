// The ledger's records: their keys in state and their bytes (docs/spec/records.md).
import { concat, fromBigInt, fromUtf8, utf8 } from './bytes.js';
import { Malformed } from './errors.js';
import { decode, encode, fromUint, toUint } from './rlp.js';

const number = { read: toUint, write: fromUint };
const bytes = { read: asBytes, write: (value) => value };
const text = { read: (item) => fromUtf8(asBytes(item), 'record.form', 'not UTF-8'), write: utf8 };

const list = { read: asList, write: (value) => value };

function asList(item) {
  if (item instanceof Uint8Array) throw new Malformed('record.form', 'a list is due');
  return item.map(asBytes);
}

function asBytes(item) {
  if (!(item instanceof Uint8Array)) throw new Malformed('record.form', 'a byte string is due');
  return item;
}

const FIELDS = {
  NodeKey: { node: bytes, height_first: number, height_last: number },
  Model: {
    owner: bytes,
    manifest_digest: bytes,
    name: text,
    kind: text,
    royalty_bps: number,
    layers: number,
    price_version: number,
    height: number,
  },
  Price: { base: number, per_input_unit: number, per_output_unit: number, ended_s: number },
  Batch: { root: bytes, size: number, height: number, time_s: number },
  Enclave: {
    node: bytes,
    keyset: bytes,
    release: bytes,
    platform: text,
    trust: number,
    module: text,
    certificates: list,
    evidence: bytes,
    time_s: number,
    height_first: number,
    height_last: number,
    closed_s: number,
    expires_s: number,
  },
  Release: {
    platform: text,
    name: text,
    names: list,
    values: list,
    source: text,
    provenance: bytes,
    height_first: number,
    height_last: number,
    revoked_s: number,
  },
  // Not in state, but written alike (docs/spec/attestation.md).
  Keyset: {
    chain_id: number,
    node: bytes,
    tls_key: bytes,
    hpke_key: bytes,
    receipt_key: bytes,
    not_after_s: number,
  },
  Evidence: { platform: text, document: bytes, collateral: list, devices: list },
  Head: {
    chain_id: number,
    genesis: bytes,
    height: number,
    time_s: number,
    parent: bytes,
    proposer: bytes,
    transactions_root: bytes,
    results_root: bytes,
    gas_used: number,
    gas_limit: number,
    base_fee: number,
  },
};

export function readRecord(kind, data) {
  const item = decode(data);
  const fields = Object.entries(FIELDS[kind]);
  if (item instanceof Uint8Array || item.length !== fields.length) {
    throw new Malformed('record.form', `not the bytes of a ${kind}`);
  }
  return Object.fromEntries(fields.map(([name, coder], at) => [name, coder.read(item[at])]));
}

export function writeRecord(kind, record) {
  return encode(Object.entries(FIELDS[kind]).map(([name, coder]) => coder.write(record[name])));
}

// Whether what a record is of may sign a receipt that names that height.
export function validAt({ height_first: first, height_last: last }, height) {
  return first <= BigInt(height) && (last === 0n || BigInt(height) <= last);
}

export function nodeKeyKey(signer) {
  return concat(utf8('nodes/key/'), signer);
}

export function enclaveKey(signer) {
  return concat(utf8('nodes/enclave/'), signer);
}

export function releaseKey(release) {
  return concat(utf8('measurements/release/'), release);
}

export function modelKey(modelId) {
  return concat(utf8('models/record/'), modelId);
}

export function priceKey(modelId, version) {
  return concat(utf8('models/price/'), modelId, fromBigInt(version, 4));
}

export function headKey() {
  return utf8('chain/head');
}

export function hashKey(height) {
  return concat(utf8('chain/hash/'), fromBigInt(height % 8191, 2));
}

// What a header's results root commits to of one result (docs/spec/header.md).
export function resultLeaf({ status, hash, gas_used: used, gas_price: price, output, error, logs }) {
  const shown = logs.map(({ address, topics, data }) => [address, topics, data]);
  const said = status === 1 ? output : new Uint8Array(0);
  return encode([fromUint(status), hash, fromUint(used), fromUint(price), said, utf8(error.split(':')[0]), shown]);
}

export function batchKey(batch) {
  return concat(utf8('settlement/batch/'), fromBigInt(batch, 8));
}
