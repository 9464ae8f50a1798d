// Light blocks (docs/spec/light.md): reading, the bytes that are hashed and signed, and the seven steps.
import { EMPTY, concat, equal, fromHex, toHex, utf8 } from './bytes.js';
import { sha256 } from './digest.js';
import { verify } from './ed25519.js';
import { Malformed, Unverified } from './errors.js';
import { asDecimal, asInteger, asList, asText, take } from './json.js';
import { root } from './trees.js';

const VALIDATORS_MAX = 200;
const BLOCKS_MAX = 64;
const POWER_MAX = (2n ** 63n - 1n) / 8n;
const COMMIT = 2;
const NIL = 3;

function hold(holds, code) {
  if (!holds) throw new Unverified(code);
}

// --- reading ---

const digest = (value, what) => fromHex(value, 32, what);

function readMembers(value, what, members) {
  const names = Object.keys(members);
  const found = take(value, what, names);
  return Object.fromEntries(names.map((name, at) => [name, members[name](found[at], `${what}.${name}`)]));
}

const readTime = (value, what) =>
  readMembers(value, what, {
    seconds: (each, name) => asInteger(each, name, 0, 253402300799),
    nanos: (each, name) => asInteger(each, name, 0, 999999999),
  });

const partsTotal = (value, what) => asInteger(value, what, 1, 2 ** 32 - 1);
const BLOCK_ID = { hash: digest, parts_total: partsTotal, parts_hash: digest };

function readAppHash(value, what) {
  const found = fromHex(value, null, what);
  if (found.length > 64) throw new Malformed('light.shape', `${what} is longer than 64 bytes`);
  return found;
}

const HEADER = {
  version_block: (value, what) => asInteger(value, what),
  version_app: (value, what) => asInteger(value, what),
  chain_id: (value, what) => asText(value, what, 50),
  height: (value, what) => asInteger(value, what, 1),
  time: readTime,
  last_block_id: (value, what) => (value === null ? null : readMembers(value, what, BLOCK_ID)),
  last_commit_hash: digest,
  data_hash: digest,
  validators_hash: digest,
  next_validators_hash: digest,
  consensus_hash: digest,
  app_hash: readAppHash,
  last_results_hash: digest,
  evidence_hash: digest,
  proposer: (value, what) => fromHex(value, 20, what),
};

const readVote = (value, what) =>
  value === null
    ? null
    : readMembers(value, what, {
        flag: (each, name) => asInteger(each, name, COMMIT, NIL),
        time: readTime,
        signature: (each, name) => fromHex(each, 64, name),
      });

const COMMIT_MEMBERS = {
  round: (value, what) => asInteger(value, what, 0, 2 ** 31 - 1),
  parts_total: partsTotal,
  parts_hash: digest,
  signatures: (value, what) => asList(value, what, VALIDATORS_MAX).map((each) => readVote(each, what)),
};

const readSet = (value, what) =>
  asList(value, what, VALIDATORS_MAX).map((each) =>
    readMembers(each, what, { key: digest, power: (power, name) => asDecimal(power, name, POWER_MAX) }),
  );

export function readLightBlock(value) {
  const members = {
    header: (each, what) => readMembers(each, what, HEADER),
    commit: (each, what) => readMembers(each, what, COMMIT_MEMBERS),
    validators: readSet,
  };
  const found = readMembers(value, 'a light block', members);
  if (found.commit.signatures.length !== found.validators.length) {
    throw new Malformed('light.shape', 'one place for each validator');
  }
  return found;
}

export function readAnchor(value) {
  return readMembers(value, 'anchor', {
    height: (each, what) => asInteger(each, what, 1),
    validators: readSet,
    time_s: (each, what) => asInteger(each, what, 0, 253402300799),
  });
}

// --- bytes ---

function varint(value) {
  const parts = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) parts.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...parts, Number(rest)]);
}

function number(field, value) {
  return BigInt(value) === 0n ? EMPTY : concat(varint(8 * field), varint(value));
}

function fixed(field, value) {
  if (BigInt(value) === 0n) return EMPTY;
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return concat(varint(8 * field + 1), bytes);
}

function message(field, bytes) {
  return concat(varint(8 * field + 2), varint(bytes.length), bytes);
}

function data(field, bytes) {
  return bytes.length ? message(field, bytes) : EMPTY;
}

const timeBytes = ({ seconds, nanos }) => concat(number(1, seconds), number(2, nanos));

function blockIdBytes({ hash, parts_total: total, parts_hash: parts }) {
  return concat(data(1, hash), message(2, concat(number(1, total), data(2, parts))));
}

export function headerHash(header) {
  return root([
    concat(number(1, header.version_block), number(2, header.version_app)),
    data(1, utf8(header.chain_id)),
    number(1, header.height),
    timeBytes(header.time),
    header.last_block_id === null ? message(2, EMPTY) : blockIdBytes(header.last_block_id),
    data(1, header.last_commit_hash),
    data(1, header.data_hash),
    data(1, header.validators_hash),
    data(1, header.next_validators_hash),
    data(1, header.consensus_hash),
    data(1, header.app_hash),
    data(1, header.last_results_hash),
    data(1, header.evidence_hash),
    data(1, header.proposer),
  ]);
}

export function setHash(validators) {
  return root(validators.map(({ key, power }) => concat(message(1, data(1, key)), number(2, power))));
}

// What the vote in a place signs, or null where there is none.
export function voteMessage({ header, commit }, place) {
  const vote = commit.signatures[place];
  if (vote === null) return null;
  const named = blockIdBytes({ hash: headerHash(header), ...commit });
  const bytes = concat(
    number(1, 2),
    fixed(2, header.height),
    fixed(3, commit.round),
    vote.flag === COMMIT ? message(4, named) : EMPTY,
    message(5, timeBytes(vote.time)),
    data(6, utf8(header.chain_id)),
  );
  return concat(varint(bytes.length), bytes);
}

// --- verifying ---

const sum = (validators) => validators.reduce((total, { power }) => total + power, 0n);
const address = ({ key }) => toHex(sha256(key).slice(0, 20));

function inOrder(one, other) {
  return one.power > other.power || (one.power === other.power && address(one) < address(other));
}

function checkSet(validators) {
  const keys = new Set(validators.map(({ key }) => toHex(key)));
  const fits = validators.length > 0 && validators.length <= VALIDATORS_MAX && keys.size === validators.length;
  const powers = validators.every(({ power }) => power >= 1n) && sum(validators) <= POWER_MAX;
  const order = validators.every((each, at) => at === 0 || inOrder(validators[at - 1], each));
  hold(fits && powers && order, 'light.set');
}

// Steps 1 to 5. Returns who signed. Step 4 cannot fail for a block that was read from JSON.
export function check(block, chainId) {
  const { header, validators } = block;
  hold(header.chain_id === chainId, 'light.chain');
  hold(header.version_block === 11, 'light.version');
  hold(header.height >= 1, 'light.height');
  checkSet(validators);
  hold(equal(setHash(validators), header.validators_hash), 'light.validators_hash');
  const signers = validators.filter(({ key }, place) => {
    const vote = block.commit.signatures[place];
    return vote !== null && vote.flag === COMMIT && verify(key, voteMessage(block, place), vote.signature);
  });
  hold(3n * sum(signers) > 2n * sum(validators), 'light.power');
  return signers;
}

const later = (one, other) =>
  one.seconds > other.seconds || (one.seconds === other.seconds && one.nanos > other.nanos);

// Steps 6 and 7, from `trusted`: {before, validators, nextHash, isLater, chainId}.
function extend(trusted, { header }, signers) {
  hold(trusted.chainId === null || trusted.chainId === header.chain_id, 'light.chain');
  hold(header.height > trusted.before, 'light.height');
  hold(trusted.isLater(header.time), 'light.time');
  if (header.height === trusted.before + 1) {
    hold(equal(header.validators_hash, trusted.nextHash), 'light.next_set');
    return;
  }
  const keys = new Set(signers.map(({ key }) => toHex(key)));
  const still = trusted.validators.filter(({ key }) => keys.has(toHex(key)));
  hold(3n * sum(still) > sum(trusted.validators), 'light.overlap');
}

function fromAnchor(anchor) {
  checkSet(anchor.validators);
  return {
    before: anchor.height - 1,
    validators: anchor.validators,
    nextHash: setHash(anchor.validators),
    isLater: (time) => time.seconds >= anchor.time_s,
    chainId: null,
  };
}

function fromBlock({ header, validators }) {
  return {
    before: header.height,
    validators,
    nextHash: header.next_validators_hash,
    isLater: (time) => later(time, header.time),
    chainId: header.chain_id,
  };
}

export function verifyChain(anchor, blocks, chainId) {
  hold(blocks.length > 0 && blocks.length <= BLOCKS_MAX, 'light.hops');
  blocks.forEach((block, at) => {
    const signers = check(block, chainId);
    extend(at === 0 ? fromAnchor(anchor) : fromBlock(blocks[at - 1]), block, signers);
  });
}
