// Canonical JSON (docs/spec/encoding.md): a strict reader, the one way of writing, and typed access.
// Objects are Maps, so that no name (`__proto__`) means anything to the language.
import { fromUtf8, utf8 } from './bytes.js';
import { Malformed } from './errors.js';

const BYTES_MAX = 16 * 1024 * 1024;
const DEPTH_MAX = 32;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const ESCAPES = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const SHORT = { '\b': '\\b', '\t': '\\t', '\n': '\\n', '\f': '\\f', '\r': '\\r', '"': '\\"', '\\': '\\\\' };
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

// --- writing ---

export function spelled(number) {
  if (!Number.isFinite(number)) throw new Malformed('json.number', 'NaN and infinities have no JSON form');
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw new Malformed('json.number', 'an integer beyond 2^53 - 1 must be written as text');
  }
  return String(number === 0 ? 0 : number);
}

function quoted(text) {
  if (LONE.test(text)) throw new Malformed('json.text', 'a lone surrogate');
  const escape = (letter) => SHORT[letter] ?? '\\u' + letter.charCodeAt(0).toString(16).padStart(4, '0');
  return '"' + text.replace(/[\u0000-\u001f"\\]/g, escape) + '"';
}

function write(value, depth) {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return spelled(value);
  if (typeof value === 'string') return quoted(value);
  if (depth >= DEPTH_MAX) throw new Malformed('json.depth', 'nested too deep');
  if (Array.isArray(value)) return '[' + value.map((item) => write(item, depth + 1)).join(',') + ']';
  // The default order of strings in JavaScript is that of their UTF-16 code units, as RFC 8785 asks.
  const names = [...value.keys()].sort();
  return '{' + names.map((name) => quoted(name) + ':' + write(value.get(name), depth + 1)).join(',') + '}';
}

export function canonicalText(value) {
  return write(value, 0);
}

export function canonical(value) {
  return utf8(canonicalText(value));
}

// --- reading ---

class Reader {
  constructor(text, exact) {
    this.text = text;
    this.exact = exact;
    this.at = 0;
    this.lone = false;
    this.misspelled = false;
  }

  fail(what) {
    throw new Malformed('json.syntax', `not JSON: ${what} at character ${this.at}`);
  }

  space() {
    while (' \t\n\r'.includes(this.text[this.at] || '-')) this.at += 1;
  }

  take(letter) {
    if (this.text[this.at] !== letter) this.fail(`no ${letter}`);
    this.at += 1;
  }

  whole() {
    this.space();
    const value = this.value(0);
    this.space();
    if (this.at !== this.text.length) this.fail('something follows the value');
    if (this.lone) throw new Malformed('json.text', 'a string holds a lone surrogate');
    if (this.exact && this.misspelled) throw new Malformed('json.spelling', 'a string is not in canonical form');
    return value;
  }

  value(depth) {
    const letter = this.text[this.at];
    if (letter === '"') return this.string();
    if (letter === '{' || letter === '[') {
      if (depth >= DEPTH_MAX) throw new Malformed('json.depth', `nested deeper than ${DEPTH_MAX}`);
      return letter === '{' ? this.object(depth) : this.array(depth);
    }
    for (const [word, value] of [['null', null], ['true', true], ['false', false]]) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    for (const word of ['NaN', 'Infinity', '-Infinity']) {
      if (this.text.startsWith(word, this.at)) throw new Malformed('json.number', `${word} is not JSON`);
    }
    return this.number();
  }

  // The items between an opening and a closing letter.
  items(close, read) {
    this.at += 1;
    this.space();
    if (this.text[this.at] === close) {
      this.at += 1;
      return;
    }
    for (;;) {
      this.space();
      read();
      this.space();
      if (this.text[this.at] === close) {
        this.at += 1;
        return;
      }
      this.take(',');
    }
  }

  object(depth) {
    const found = new Map();
    this.items('}', () => {
      if (this.text[this.at] !== '"') this.fail('no name');
      const name = this.string();
      this.space();
      this.take(':');
      this.space();
      const value = this.value(depth + 1);
      if (found.has(name)) throw new Malformed('json.duplicate', 'a name stands twice in one object');
      found.set(name, value);
    });
    return found;
  }

  array(depth) {
    const found = [];
    this.items(']', () => found.push(this.value(depth + 1)));
    return found;
  }

  string() {
    const start = this.at;
    this.at += 1;
    let found = '';
    for (;;) {
      const letter = this.text[this.at];
      if (letter === undefined || letter < ' ') this.fail('a string is not closed, or holds a control character');
      this.at += 1;
      if (letter === '"') break;
      found += letter === '\\' ? this.escape() : letter;
    }
    if (LONE.test(found)) this.lone = true;
    else if (this.text.slice(start, this.at) !== quoted(found)) this.misspelled = true;
    return found;
  }

  escape() {
    const letter = this.text[this.at];
    this.at += 1;
    if (letter !== 'u') return ESCAPES[letter] ?? this.fail('an unknown escape');
    const digits = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail('a broken escape');
    this.at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }

  number() {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) this.fail('no value');
    this.at = NUMBER.lastIndex;
    const spelling = spelled(Number(match[0]));
    if (this.exact && spelling !== match[0]) {
      throw new Malformed('json.spelling', `the number ${match[0].slice(0, 40)} is not in canonical form`);
    }
    return Number(spelling);
  }
}

function read(bytes, exact) {
  if (bytes.length > BYTES_MAX) throw new Malformed('json.size', `more than ${BYTES_MAX} bytes`);
  return new Reader(fromUtf8(bytes, 'json.utf8', 'not UTF-8'), exact).whole();
}

export function decode(bytes) {
  return read(bytes, false);
}

export function decodeExact(bytes) {
  return read(bytes, true);
}

// --- typed access ---

function shape(holds, message) {
  if (!holds) throw new Malformed('json.shape', message);
}

export function asObject(value, what) {
  shape(value instanceof Map, `${what} must be an object`);
  return value;
}

// The values of exactly these members, in this order.
export function take(value, what, names) {
  asObject(value, what);
  shape(value.size === names.length && names.every((name) => value.has(name)), `${what}: missing or unknown members`);
  return names.map((name) => value.get(name));
}

export function asText(value, what, bytesMax = BYTES_MAX) {
  shape(typeof value === 'string' && utf8(value).length <= bytesMax, `${what} must be text of at most ${bytesMax} bytes`);
  return value;
}

export function asInteger(value, what, low = 0, high = Number.MAX_SAFE_INTEGER) {
  shape(Number.isInteger(value) && low <= value && value <= high, `${what} must be an integer from ${low} to ${high}`);
  return value;
}

export function asDecimal(value, what, high) {
  const digits = typeof value === 'string' && value.length <= 78 && /^(?:0|[1-9][0-9]*)$/.test(value);
  shape(digits && BigInt(value) <= high, `${what} must be decimal text from 0 to ${high}`);
  return BigInt(value);
}

export function asList(value, what, itemsMax) {
  shape(Array.isArray(value) && value.length <= itemsMax, `${what} must be an array of at most ${itemsMax}`);
  return value;
}
