// The ledger's records: their keys in state and their bytes (docs/spec/records.md).
import { concat, fromBigInt, fromUtf8, utf8 } from './bytes.js';
import { Malformed } from './errors.js';
import { decode, encode, fromUint, toUint } from './rlp.js';

const number = { read: toUint, write: fromUint };
const bytes = { read: asBytes, write: (value) => value };
const text = { read: (item) => fromUtf8(asBytes(item), 'record.form', 'not UTF-8'), write: utf8 };

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

export function nodeKeyKey(signer) {
  return concat(utf8('nodes/key/'), signer);
}

export function modelKey(modelId) {
  return concat(utf8('models/record/'), modelId);
}

export function priceKey(modelId, version) {
  return concat(utf8('models/price/'), modelId, fromBigInt(version, 4));
}

export function batchKey(batch) {
  return concat(utf8('settlement/batch/'), fromBigInt(batch, 8));
}
