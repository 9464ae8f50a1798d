// ed25519 as docs/spec/light.md has it: RFC 8032 without the cofactor, keys canonical and not of small order.
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concat, equal, toBigInt } from './bytes.js';

const { Point } = ed25519;
const FIELD = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

const little = (bytes) => toBigInt(Uint8Array.from(bytes).reverse());

// The point that a key spells, or null.
function pointOf(key) {
  if ((little(key) & (2n ** 255n - 1n)) >= FIELD) return null;
  try {
    const point = Point.fromBytes(key);
    return point.isSmallOrder() ? null : point;
  } catch {
    return null;
  }
}

export function verify(key, message, signature) {
  if (key.length !== 32 || signature.length !== 64) return false;
  const point = pointOf(key);
  const r = signature.slice(0, 32);
  const s = little(signature.slice(32));
  if (point === null || s >= ORDER) return false;
  const k = little(sha512(concat(r, key, message))) % ORDER;
  // R is compared as it is spelled: what only agrees after multiplying by eight is refused.
  const kA = k === 0n ? Point.ZERO : point.multiplyUnsafe(k);
  const sB = s === 0n ? Point.ZERO : Point.BASE.multiplyUnsafe(s);
  return equal(sB.subtract(kA).toBytes(), r);
}
