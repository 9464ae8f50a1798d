// Reading the vectors with our own strict reader: objects are Maps, here made plain for the ease of the tests.
import { readFileSync } from 'node:fs';
import { fromHex } from '../src/bytes.js';
import { decode } from '../src/json.js';

export function bytesOf(path) {
  return new Uint8Array(readFileSync(new URL(`../../${path}`, import.meta.url)));
}

export function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]));
  return value;
}

// Hex by name, as bytes.
export function bytesByName(value) {
  return new Map([...value].map(([name, each]) => [name, fromHex(each)]));
}

export function casesOf(kind) {
  return decode(bytesOf(`${kind}/cases.json`));
}

// The code of the refusal that `act` meets, or null.
export function codeOf(act) {
  try {
    act();
  } catch (error) {
    if (error.code === undefined) throw error;
    return error.code;
  }
  return null;
}
