// Recursive Length Prefix, read strictly: one value has one encoding (docs/spec/records.md).
import { concat, toBigInt } from './bytes.js';
import { Malformed } from './errors.js';

const DEPTH_MAX = 16;

function fail(message) {
  throw new Malformed('rlp.form', message);
}

export function fromUint(value) {
  const digits = BigInt(value).toString(16);
  return value == 0 ? new Uint8Array(0) : new Uint8Array(Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex'));
}

export function toUint(item, bits = 256) {
  if (!(item instanceof Uint8Array) || item[0] === 0 || item.length * 8 > bits) {
    throw new Malformed('rlp.integer', `an integer of at most ${bits} bits without leading zeros`);
  }
  return toBigInt(item);
}

function prefix(base, size) {
  if (size < 56) return Uint8Array.of(base + size);
  const width = fromUint(size);
  return concat(Uint8Array.of(base + 55 + width.length), width);
}

export function encode(item) {
  if (item instanceof Uint8Array) {
    return item.length === 1 && item[0] < 0x80 ? item : concat(prefix(0x80, item.length), item);
  }
  const body = concat(...item.map(encode));
  return concat(prefix(0xc0, body.length), body);
}

export function decode(bytes) {
  const [item, end] = read(bytes, 0, bytes.length, 0);
  if (end !== bytes.length) fail('bytes follow the item');
  return item;
}

function read(bytes, at, end, depth) {
  if (depth > DEPTH_MAX) fail('nested too deep');
  if (at >= end) fail('an item is missing');
  const first = bytes[at];
  if (first < 0x80) return [bytes.slice(at, at + 1), at + 1];
  const list = first >= 0xc0;
  let [start, stop] = span(bytes, at, end, first - (list ? 0xc0 : 0x80));
  if (!list) {
    if (stop - start === 1 && bytes[start] < 0x80) fail('a small byte must stand for itself');
    return [bytes.slice(start, stop), stop];
  }
  const items = [];
  while (start < stop) {
    const [item, next] = read(bytes, start, stop, depth + 1);
    items.push(item);
    start = next;
  }
  return [items, stop];
}

function span(bytes, at, end, code) {
  if (code < 56) {
    if (at + 1 + code > end) fail('an item runs past the end');
    return [at + 1, at + 1 + code];
  }
  const start = at + 1 + code - 55;
  if (start > end || bytes[at + 1] === 0) fail('a length is truncated or has a leading zero');
  const size = toBigInt(bytes.slice(at + 1, start));
  if (size < 56n) fail('a length is not in its shortest form');
  if (size > BigInt(end - start)) fail('an item runs past the end');
  return [start, start + Number(size)];
}
