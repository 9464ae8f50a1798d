// ECDSA over P-384 with SHA-384, a signature as r ‖ s and a key as its point, uncompressed (docs/spec/attestation.md).
import { p384 } from '@noble/curves/nist.js';
import { toBigInt } from './bytes.js';

const ORDER = p384.Point.Fn.ORDER;

export function signedByKey(key, message, signature) {
  if (signature.length !== 96 || key.length !== 97 || key[0] !== 4) return false;
  const numbers = [signature.slice(0, 48), signature.slice(48)].map(toBigInt);
  if (!numbers.every((number) => number > 0n && number < ORDER)) return false;
  try {
    return p384.verify(signature, message, key, { lowS: false });
  } catch {
    return false; // the key is no point of the curve
  }
}
