// Bytes: hex in one spelling, concatenation, comparison, integers, UTF-8.
import { Malformed } from './errors.js';

export const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();

export function utf8(text) {
  return encoder.encode(text);
}

export function fromUtf8(bytes, code, message) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed(code, message);
  }
}

export function concat(...parts) {
  const found = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    found.set(part, at);
    at += part.length;
  }
  return found;
}

export function equal(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function toHex(bytes) {
  return '0x' + Buffer.from(bytes).toString('hex');
}

// Lower-case hex with 0x; `size` bytes, or any number when it is null.
export function fromHex(text, size = null, what = 'it') {
  if (typeof text !== 'string' || !/^0x(?:[0-9a-f]{2})*$/.test(text) || text.endsWith('\n')) {
    throw new Malformed('ident.hex', `${what} must be lower-case hex with 0x in front`);
  }
  const bytes = new Uint8Array(Buffer.from(text.slice(2), 'hex'));
  if (size !== null && bytes.length !== size) {
    throw new Malformed('ident.hex', `${what} must be ${size} bytes, not ${bytes.length}`);
  }
  return bytes;
}

export function toBigInt(bytes) {
  return bytes.length ? BigInt(toHex(bytes)) : 0n;
}

// Big-endian in exactly `size` bytes.
export function fromBigInt(value, size) {
  const digits = BigInt(value).toString(16).padStart(size * 2, '0');
  if (digits.length !== size * 2) throw new RangeError(`${value} does not fit ${size} bytes`);
  return new Uint8Array(Buffer.from(digits, 'hex'));
}
