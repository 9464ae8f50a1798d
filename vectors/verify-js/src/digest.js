// The hash functions, and digests under a domain tag (docs/spec/encoding.md).
import { sha256 as sha2, sha512 as sha2Long } from '@noble/hashes/sha2.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { concat, utf8 } from './bytes.js';

export function sha256(...parts) {
  return sha2(concat(...parts));
}

export function keccak256(...parts) {
  return keccak_256(concat(...parts));
}

export function tagged(tag, ...parts) {
  const prefix = sha256(utf8(tag));
  return sha256(prefix, prefix, ...parts);
}

export function sha512(...parts) {
  return sha2Long(concat(...parts));
}

export function tagged64(tag, ...parts) {
  const prefix = sha512(utf8(tag));
  return sha512(prefix, prefix, ...parts);
}
