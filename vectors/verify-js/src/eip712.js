// EIP-712 for paraph's two flat structs, whose members are all single words (docs/spec/request.md).
import { concat, fromBigInt, fromHex, utf8 } from './bytes.js';
import { keccak256 } from './digest.js';

export const SETTLEMENT = fromHex('0x0000000000000000000000000000000000000a05', 20);
const DOMAIN = 'EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)';

// A member as its 32-byte word: bytes32 as it is, an address with zeros in front, an integer big-endian.
function word(value) {
  if (value instanceof Uint8Array) return concat(new Uint8Array(32 - value.length), value);
  return fromBigInt(value, 32);
}

export function typeHash(type) {
  return keccak256(utf8(type));
}

export function structHash(type, values) {
  return keccak256(typeHash(type), ...values.map(word));
}

export function domainSeparator(chainId) {
  return structHash(DOMAIN, [keccak256(utf8('paraph')), keccak256(utf8('1')), chainId, SETTLEMENT]);
}

export function signingDigest(chainId, hash) {
  return keccak256(Uint8Array.of(0x19, 0x01), domainSeparator(chainId), hash);
}
