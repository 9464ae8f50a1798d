// secp256k1 in Ethereum's form: addresses, and signatures r ‖ s ‖ v with low s (docs/spec/encoding.md).
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { concat, fromHex, toBigInt, toHex, utf8 } from './bytes.js';
import { keccak256 } from './digest.js';
import { Malformed } from './errors.js';

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

function checkSecret(secret) {
  const number = toBigInt(secret);
  if (secret.length !== 32 || number === 0n || number >= ORDER) {
    throw new Malformed('key.secret', 'a private key must be 32 bytes, from 1 to the order less 1');
  }
}

function addressOfKey(uncompressed) {
  return keccak256(uncompressed.slice(1)).slice(12);
}

export function addressOf(secret) {
  checkSecret(secret);
  return addressOfKey(secp256k1.getPublicKey(secret, false));
}

export function sign(secret, digest) {
  checkSecret(secret);
  const found = secp256k1.sign(digest, secret, { prehash: false, format: 'recovered' });
  return concat(found.slice(1), Uint8Array.of(27 + found[0]));
}

export function recover(digest, signature) {
  if (signature.length !== 65) throw new Malformed('signature.length', 'a signature is 65 bytes');
  if (toBigInt(signature.slice(32, 64)) > ORDER / 2n) throw new Malformed('signature.high_s', 's is in the upper half');
  const v = signature[64];
  if (v !== 27 && v !== 28) throw new Malformed('signature.form', 'the last byte must be 27 or 28');
  try {
    const found = concat(Uint8Array.of(v - 27), signature.slice(0, 64));
    const key = secp256k1.recoverPublicKey(found, digest, { prehash: false });
    return addressOfKey(secp256k1.Point.fromBytes(key).toBytes(false));
  } catch {
    throw new Malformed('signature.form', 'no key makes this signature');
  }
}

// True when the key of `address` made the signature; a malformed signature is nobody's.
export function signedBy(address, digest, signature) {
  try {
    return toHex(recover(digest, signature)) === toHex(address);
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
}

export function checksummed(address) {
  const plain = toHex(address).slice(2);
  const nibbles = toHex(keccak256(utf8(plain))).slice(2);
  return '0x' + [...plain].map((letter, at) => (parseInt(nibbles[at], 16) >= 8 ? letter.toUpperCase() : letter)).join('');
}

export function addressFromText(text) {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text) || text.length !== 42) {
    throw new Malformed('address.text', 'must be 0x and 40 hex digits');
  }
  const digits = text.slice(2);
  const address = fromHex(text.toLowerCase(), 20);
  const mixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase();
  if (mixed && checksummed(address) !== text) throw new Malformed('address.text', 'the checksum does not hold');
  return address;
}
