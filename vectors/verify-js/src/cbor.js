// CBOR as attestation documents use it (docs/spec/attestation.md): strict, bounded; a map is a Map, an integer a BigInt.
import { fromUtf8, toBigInt } from './bytes.js';
import { Malformed } from './errors.js';

const ITEMS_MAX = 256;
const DEPTH_MAX = 6;
const INDEFINITE = 31;
const SIMPLES = new Map([[20, false], [21, true], [22, null]]);
const WIDTHS = new Map([[24, 1], [25, 2], [26, 4], [27, 8]]);

const fail = (message) => {
  throw new Malformed('cbor.form', message);
};

class Reader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
    this.left = ITEMS_MAX;
  }

  take(size) {
    if (size > BigInt(this.bytes.length - this.at)) fail('cut off');
    const start = this.at;
    this.at += Number(size);
    return this.bytes.slice(start, this.at);
  }

  argument(short) {
    if (short < 24) return BigInt(short);
    if (!WIDTHS.has(short)) fail('neither pieces nor numbers beyond 64 bits');
    const width = WIDTHS.get(short);
    const number = toBigInt(this.take(BigInt(width)));
    if (number < (width === 1 ? 24n : 1n << BigInt(4 * width))) fail('not the shortest form');
    return number;
  }

  item(depth) {
    this.left -= 1;
    if (depth > DEPTH_MAX || this.left < 0) throw new Malformed('cbor.size', 'too deep, or too many items');
    const head = this.take(1n)[0];
    const [kind, short] = [head >> 5, head & 31];
    if (kind === 7) return SIMPLES.has(short) ? SIMPLES.get(short) : fail('neither false, true nor null');
    if (kind === 4 || kind === 5) {
      const count = short === INDEFINITE ? null : this.argument(short);
      return kind === 4 ? this.array(count, depth) : this.map(count, depth);
    }
    const number = this.argument(short);
    if (kind === 0) return number;
    if (kind === 1) return -1n - number;
    if (kind === 2) return this.take(number);
    if (kind === 3) return fromUtf8(this.take(number), 'cbor.form', 'not UTF-8');
    return fail('a tag');
  }

  // Whether a collection goes on; past its end when it does not.
  more(count, done) {
    if (count !== null) return BigInt(done) < count;
    if (this.bytes[this.at] !== 0xff) return true;
    this.at += 1;
    return false;
  }

  array(count, depth) {
    const found = [];
    while (this.more(count, found.length)) found.push(this.item(depth + 1));
    return found;
  }

  map(count, depth) {
    const found = new Map();
    while (this.more(count, found.size)) {
      const key = this.item(depth + 1);
      if (typeof key !== 'bigint' && typeof key !== 'string') fail('a key is an integer or a text');
      if (found.has(key)) fail('a key twice');
      found.set(key, this.item(depth + 1));
    }
    return found;
  }
}

// The one item that fills the bytes; the tag 18 may stand before it where `tagged` says so.
export function decode(bytes, tagged = false) {
  const reader = new Reader(bytes, tagged && bytes[0] === 0xd2 ? 1 : 0);
  const item = reader.item(0);
  if (reader.at !== bytes.length) fail('bytes follow the item');
  return item;
}

// The head of a byte string of so many bytes.
export function bytesHead(size) {
  if (size < 24) return Uint8Array.of(0x40 + size);
  return size < 256 ? Uint8Array.of(0x58, size) : Uint8Array.of(0x59, size >> 8, size & 255);
}
