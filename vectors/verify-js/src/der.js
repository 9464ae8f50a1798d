// DER as certificates use it (docs/spec/attestation.md): one spelling a value, any other refused.
import { equal, fromUtf8, toBigInt } from './bytes.js';
import { Malformed } from './errors.js';

const ITEMS_MAX = 64;
const INTEGER_BYTES_MAX = 1024;
const ARC_MAX = 2n ** 64n - 1n;

const hold = (holds, message, code = 'der.form') => {
  if (!holds) throw new Malformed(code, message);
};

function valueAt(bytes, at) {
  hold(at + 2 <= bytes.length, 'cut off');
  const tag = bytes[at];
  let size = bytes[at + 1];
  let start = at + 2;
  hold((tag & 0x1f) !== 0x1f, 'a tag of several bytes');
  if (size >= 0x80) {
    const width = size & 0x7f;
    hold(width >= 1 && width <= 4 && start + width <= bytes.length, 'a length of a form that is not read');
    size = Number(toBigInt(bytes.slice(start, start + width)));
    hold(size >= Math.max(0x80, 256 ** (width - 1)), 'a length that is not in its shortest form');
    start += width;
  }
  const end = start + size;
  hold(end <= bytes.length, 'cut off');
  return { tag, content: bytes.slice(start, end), raw: bytes.slice(at, end), end };
}

export function read(bytes) {
  const value = valueAt(bytes, 0);
  hold(value.end === bytes.length, 'bytes follow the value');
  return value;
}

export function parts(content) {
  const found = [];
  for (let at = 0; at < content.length; at = found.at(-1).end) {
    hold(found.length < ITEMS_MAX, 'too many values');
    found.push(valueAt(content, at));
  }
  return found;
}

export function expect(value, tag) {
  hold(value.tag === tag, `a value of the tag ${value.tag}, not ${tag}`, 'der.tag');
  return value.content;
}

export const sequence = (value) => parts(expect(value, 0x30));

export function integer(value) {
  const content = expect(value, 0x02);
  const spare = content.length > 1 && (content[0] === 0 || content[0] === 0xff) && (content[0] ^ content[1]) < 0x80;
  hold(content.length > 0 && !spare, 'an INTEGER that is not in its shortest form');
  hold(content.length <= INTEGER_BYTES_MAX, 'an INTEGER too large', 'der.size');
  return BigInt.asIntN(8 * content.length, toBigInt(content));
}

export function boolean(value) {
  const content = expect(value, 0x01);
  hold(content.length === 1 && (content[0] === 0 || content[0] === 0xff), 'a BOOLEAN that is neither 00 nor ff');
  return content[0] === 0xff;
}

// The bytes of a BIT STRING, and how many of its last bits are unused.
export function bitString(value) {
  const content = expect(value, 0x03);
  const unused = content.length ? content[0] : 8;
  const loose = unused > 0 && (content.length < 2 || (content.at(-1) & ((1 << unused) - 1)) !== 0);
  hold(unused <= 7 && !loose, 'a BIT STRING with wrong padding');
  return [content.slice(1), unused];
}

export function wholeBytes(value) {
  const [bytes, unused] = bitString(value);
  hold(unused === 0, 'a BIT STRING that is not of whole bytes');
  return bytes;
}

export function oid(value) {
  const content = expect(value, 0x06);
  const arcs = [];
  let number = 0n;
  let begins = true;
  for (const byte of content) {
    hold(!begins || byte !== 0x80, 'an OBJECT IDENTIFIER that is not in its shortest form');
    number = (number << 7n) | BigInt(byte & 0x7f);
    hold(number <= ARC_MAX, 'an OBJECT IDENTIFIER with a number too large');
    begins = byte < 0x80;
    if (begins) {
      arcs.push(number);
      number = 0n;
    }
  }
  hold(arcs.length > 0 && begins, 'an OBJECT IDENTIFIER that is cut off');
  const first = arcs[0] < 80n ? arcs[0] / 40n : 2n;
  return [first, arcs[0] - 40n * first, ...arcs.slice(1)].join('.');
}

export function text(value) {
  hold(value.tag === 0x0c || value.tag === 0x13, 'a value that is no text', 'der.tag');
  const found = fromUtf8(value.content, 'der.form', 'a text that is not UTF-8');
  hold(value.tag === 0x0c || /^[\x00-\x7f]*$/.test(found), 'a text that is not ASCII');
  return found;
}

// A UTCTime or GeneralizedTime in Unix seconds, as BigInt.
export function timeS(value) {
  const width = { 0x17: 2, 0x18: 4 }[value.tag];
  hold(width !== undefined, 'a value that is no time', 'der.tag');
  const written = Buffer.from(value.content).toString('latin1');
  hold(new RegExp(`^[0-9]{${width + 10}}Z$`).test(written) && written.length === width + 11, 'no time');
  const rest = written.slice(width).match(/[0-9]{2}/g).map(Number);
  let year = Number(written.slice(0, width));
  if (width === 2) year += year < 50 ? 2000 : 1900;
  const [month, day, hour, minute, second] = rest;
  const found = new Date(0);
  found.setUTCFullYear(year, month - 1, day);
  found.setUTCHours(hour, minute, second);
  // A date that no calendar has comes out as another one.
  const same = [found.getUTCFullYear(), found.getUTCMonth() + 1, found.getUTCDate()];
  hold(equal(same, [year, month, day]) && hour <= 23 && minute <= 59 && second <= 59, 'a time that no calendar has');
  return BigInt(found.getTime() / 1000);
}
