// The two Merkle trees: RFC 6962 for batches (docs/spec/batch.md), sparse for state (docs/spec/state-proof.md).
import { equal } from './bytes.js';
import { sha256 } from './digest.js';

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const NOTHING = new Uint8Array(32);

export function leafHash(leaf) {
  return sha256(LEAF, leaf);
}

function nodeHash(left, right) {
  return sha256(NODE, left, right);
}

// --- batches ---

// RFC 6962 section 2.1, word for word: split at the largest power of two below the size.
export function root(leaves) {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leafHash(leaves[0]);
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(root(leaves.slice(0, split)), root(leaves.slice(split)));
}

// The root that a path leads to, or null when its length does not fit. Index and size are BigInt.
export function rootFromInclusion(leaf, index, size, path) {
  if (index < 0n || index >= size) return null;
  let current = leafHash(leaf);
  let at = 0;
  for (let last = size - 1n; last > 0n; last >>= 1n, index >>= 1n) {
    if ((index & 1n) === 0n && index === last) continue;
    if (at === path.length) return null;
    current = index & 1n ? nodeHash(path[at], current) : nodeHash(current, path[at]);
    at += 1;
  }
  return at === path.length ? current : null;
}

// RFC 9162 section 2.1.4.2, for sizes that are plain numbers.
export function consistent(oldRoot, oldSize, newRoot, newSize, proof) {
  if (oldSize <= 0 || oldSize > newSize) return false;
  if (oldSize === newSize) return equal(oldRoot, newRoot) && proof.length === 0;
  const path = Number.isInteger(Math.log2(oldSize)) ? [oldRoot, ...proof] : [...proof];
  if (path.length === 0) return false;
  let [fn, sn] = [oldSize - 1, newSize - 1];
  while (fn & 1) [fn, sn] = [fn >> 1, sn >> 1];
  let [fr, sr] = [path[0], path[0]];
  for (const step of path.slice(1)) {
    if (sn === 0) return false;
    if (fn & 1 || fn === sn) {
      [fr, sr] = [nodeHash(step, fr), nodeHash(step, sr)];
      while (fn && !(fn & 1)) [fn, sn] = [fn >> 1, sn >> 1];
    } else {
      sr = nodeHash(sr, step);
    }
    [fn, sn] = [fn >> 1, sn >> 1];
  }
  return sn === 0 && equal(fr, oldRoot) && equal(sr, newRoot);
}

// --- state ---

function bit(path, depth) {
  return (path[depth >> 3] >> (7 - (depth & 7))) & 1;
}

// The root of a state, straight from the definition: pairs of key and value, none twice.
export function stateRoot(state) {
  return subtree(state.map(([key, value]) => ({ path: sha256(key), value: sha256(value) })), 0);
}

function subtree(leaves, depth) {
  if (leaves.length === 0) return NOTHING;
  if (leaves.length === 1) return sha256(LEAF, leaves[0].path, leaves[0].value);
  const side = (which) => subtree(leaves.filter((leaf) => bit(leaf.path, depth) === which), depth + 1);
  return nodeHash(side(0), side(1));
}

// True when the proof shows that `key` holds `value`, or with null that it holds nothing.
export function proves(stateRootHash, key, value, proof) {
  const path = sha256(key);
  const { siblings, other } = proof;
  if (siblings.length > 256) return false;
  let current;
  if (value !== null) {
    if (other.length) return false;
    current = sha256(LEAF, path, sha256(value));
  } else if (other.length) {
    const otherPath = other.slice(0, 32);
    if (other.length !== 64 || equal(otherPath, path)) return false;
    if (siblings.some((_, depth) => bit(otherPath, depth) !== bit(path, depth))) return false;
    current = sha256(LEAF, other);
  } else {
    current = NOTHING;
  }
  siblings.forEach((sibling, height) => {
    const right = bit(path, siblings.length - 1 - height);
    current = right ? nodeHash(sibling, current) : nodeHash(current, sibling);
  });
  return equal(current, stateRootHash);
}

