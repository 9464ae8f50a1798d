// Reading the formats: request, receipt, header, profile, trust file, manifest, seal, bundle. Form only; verify.js judges.
import { fromHex, utf8 } from './bytes.js';
import { keccak256, tagged } from './digest.js';
import { signingDigest, structHash } from './eip712.js';
import { Malformed } from './errors.js';
import { asDecimal, asInteger, asList, asObject, asText, canonical, decodeExact, take } from './json.js';
import { readAnchor, readLightBlock } from './light.js';
import { encode, fromUint } from './rlp.js';

const UINT256_MAX = 2n ** 256n - 1n;
const RECORD_BYTES_MAX = 16 * 1024;
const CERTIFICATE_BYTES_MAX = 1024;

// Readers of one member each: a value and its name go in.
const digest = (value, what) => fromHex(value, 32, what);
const address = (value, what) => fromHex(value, 20, what);
const signature = (value, what) => fromHex(value, 65, what);
const integer = (value, what) => asInteger(value, what);
const uint32 = (value, what) => asInteger(value, what, 0, 2 ** 32 - 1);
const uint256 = (value, what) => asDecimal(value, what, UINT256_MAX);
const shortText = (value, what) => asText(value, what, 256);

// Layers beyond the three are refused after every member was read, as a second step of its own.
function checkLayer(found) {
  if (![1, 2, 3].includes(found.layer)) throw new Malformed('request.layer', `layer ${found.layer} is unknown`);
  return found;
}

function readMembers(value, what, members) {
  const names = Object.keys(members);
  const found = take(value, what, names);
  return Object.fromEntries(names.map((name, at) => [name, members[name](found[at], `${what}.${name}`)]));
}

// --- request and receipt ---

export const REQUEST_TYPE =
  'Request(bytes32 key,address payer,address node,bytes32 modelId,bytes32 bodyDigest,uint8 layer,uint256 maxPrice,uint64 deadline)';
export const RECEIPT_TYPE =
  'Receipt(bytes32 requestKey,bytes32 requestHash,address payer,address node,address signer,bytes32 modelId,' +
  'bytes32 givenDigest,bytes32 responseDigest,bytes32 streamDigest,bytes32 profileDigest,bytes32 sourcesRoot,' +
  'uint8 layer,bytes32 evidenceDigest,uint64 inputUnits,uint64 outputUnits,uint32 priceVersion,uint256 price,' +
  'uint64 height,uint64 startedMs,uint64 endedMs)';

const REQUEST = {
  key: digest,
  payer: address,
  node: address,
  model_id: digest,
  body_digest: digest,
  layer: integer,
  max_price: uint256,
  deadline: integer,
};

const RECEIPT = {
  request_key: digest,
  request_hash: digest,
  payer: address,
  node: address,
  signer: address,
  model_id: digest,
  given_digest: digest,
  response_digest: digest,
  stream_digest: digest,
  profile_digest: digest,
  sources_root: digest,
  layer: integer,
  evidence_digest: digest,
  input_units: integer,
  output_units: integer,
  price_version: uint32,
  price: uint256,
  height: integer,
  started_ms: integer,
  ended_ms: integer,
};

export function readRequest(value) {
  return checkLayer(readMembers(value, 'request', { chain_id: integer, ...REQUEST, signature }));
}

export function requestHash(request) {
  return structHash(REQUEST_TYPE, Object.keys(REQUEST).map((name) => request[name]));
}

export function requestSigningDigest(request) {
  return signingDigest(request.chain_id, requestHash(request));
}

export function readReceipt(value) {
  return checkLayer(readMembers(value, 'receipt', { ...RECEIPT, signature }));
}

export function receiptHash(receipt) {
  return structHash(RECEIPT_TYPE, Object.keys(RECEIPT).map((name) => receipt[name]));
}

export function receiptSigningDigest(receipt, chainId) {
  return signingDigest(chainId, receiptHash(receipt));
}

// --- header ---

const HEADER = {
  chain_id: integer,
  genesis: digest,
  height: integer,
  time_s: integer,
  parent: digest,
  proposer: address,
  state_root: digest,
  transactions_root: digest,
  results_root: digest,
  gas_used: integer,
  gas_limit: integer,
  base_fee: integer,
};

export function readHeader(value) {
  return readMembers(value, 'header', { ...HEADER, signature });
}

export function headerHash(header) {
  const items = Object.keys(HEADER).map((name) => header[name]);
  const coded = items.map((item) => (item instanceof Uint8Array ? item : fromUint(item)));
  return keccak256(encode([utf8('paraph/header/1'), ...coded]));
}

// --- profile, trust file, manifest ---

const PROFILE = {
  engine: shortText,
  engine_version: shortText,
  isa: shortText,
  threads: (value, what) => asInteger(value, what, 0, 4096),
  optimisation: shortText,
  batch_class: shortText,
  flash_attention: shortText,
  kv_type: shortText,
  chat_template_digest: shortText,
  sampler: shortText,
  bit_exact: shortText,
};

export function readTrust(bytes) {
  const names = ['format', 'network', 'chain_id', 'genesis', 'producers', 'devnet', 'anchor', 'trusting_period_s'];
  const found = take(decodeExact(bytes), 'trust file', [...names, 'simulated_root']);
  const [format, network, chainId, genesis, producers, devnet, anchor, period, simulated] = found;
  if (format !== 'paraph/trust/1') throw new Malformed('trust.format', 'not a trust file');
  const listed = asList(producers, 'producers', 16);
  if ((listed.length === 0) === (anchor === null) || typeof devnet !== 'boolean') {
    throw new Malformed('trust.producers', 'producers or validators, one of the two, and devnet true or false');
  }
  const root = fromHex(simulated, null, 'simulated_root');
  if (root.length > 0 && (!devnet || root.length > CERTIFICATE_BYTES_MAX)) {
    throw new Malformed('trust.simulated', 'only development networks believe simulated enclaves, by a certificate');
  }
  return {
    network: asText(network, 'network', 128),
    chain_id: asInteger(chainId, 'chain_id'),
    genesis: digest(genesis, 'genesis'),
    producers: listed.map((each) => address(each, 'producers')),
    devnet,
    anchor: anchor === null ? null : readAnchor(anchor),
    trusting_period_s: asInteger(period, 'trusting_period_s'),
    simulated_root: root,
  };
}

export function readManifest(value) {
  const [format, name, kind, batchClass, files] = take(value, 'manifest', [
    'format',
    'name',
    'kind',
    'batch_class',
    'files',
  ]);
  if (format !== 'paraph/manifest/1') throw new Malformed('manifest.format', 'not a manifest');
  if (!['text', 'tensor'].includes(kind) || !['single', 'invariant'].includes(batchClass)) {
    throw new Malformed('manifest.kind', 'an unknown kind or batch class');
  }
  const paths = asList(files, 'manifest.files', 1024).map(readPath);
  const ordered = paths.every((path, at) => at === 0 || paths[at - 1] < path);
  if (paths.length === 0 || !ordered) throw new Malformed('manifest.files', 'once each, at least one, in order of path');
  asText(name, 'manifest.name', 128);
  return value;
}

function readPath(file) {
  const [path, size, sha256] = take(file, 'manifest.files', ['path', 'size', 'sha256']);
  asText(path, 'path', 256);
  const parts = path.split('/');
  if (!/^[\x20-\x7e]*$/.test(path) || path.includes('\\') || parts.some((part) => ['', '.', '..'].includes(part))) {
    throw new Malformed('manifest.path', 'not a plain relative path');
  }
  asInteger(size, 'size');
  digest(sha256, 'sha256');
  return path;
}

export function manifestDigest(manifest) {
  return tagged('paraph/manifest/1', canonical(manifest));
}

export function modelId(manifest) {
  return tagged('paraph/model/1', canonical(manifest.get('files')));
}

// --- bundle ---

function readProof(value, what) {
  const [siblings, other] = take(value, what, ['siblings', 'other']);
  const listed = asList(siblings, `${what}.siblings`, 256);
  const leaf = fromHex(other, other === '0x' ? 0 : 64, `${what}.other`);
  return { siblings: listed.map((each) => digest(each, `${what}.siblings`)), other: leaf };
}

function readProved(value, what) {
  const [data, proof] = take(value, what, ['value', 'proof']);
  const record = fromHex(data, null, `${what}.value`);
  if (record.length > RECORD_BYTES_MAX) throw new Malformed('bundle.record', `${what} is too large`);
  return { value: record, proof: readProof(proof, `${what}.proof`) };
}

function readSettled(value) {
  const [batch, index, path, record] = take(value, 'settled', ['batch', 'index', 'path', 'record']);
  return {
    batch: asInteger(batch, 'settled.batch'),
    index: asInteger(index, 'settled.index'),
    path: asList(path, 'settled.path', 64).map((each) => digest(each, 'settled.path')),
    record: readProved(record, 'settled.record'),
  };
}

// Its height and state root are its own word until it is believed.
export function readSeal(value) {
  const kind = asObject(value, 'seal').get('kind');
  if (kind === 'producer') {
    const header = readHeader(take(value, 'seal', ['kind', 'header'])[1]);
    return { kind, header, height: header.height, stateRoot: header.state_root };
  }
  if (kind !== 'validators') throw new Malformed('seal.kind', 'a producer or validators');
  const blocks = asList(take(value, 'seal', ['kind', 'blocks'])[1], 'seal.blocks', 64).map(readLightBlock);
  if (blocks.length === 0) throw new Malformed('seal.kind', 'at least one light block');
  const last = blocks.at(-1).header;
  return { kind, blocks, height: last.height - 1, stateRoot: last.app_hash };
}

function readChain(value) {
  const names = ['seal', 'key', 'release', 'model', 'price', 'settled'];
  const [seal, key, release, model, price, settled] = take(value, 'chain', names);
  return {
    seal: readSeal(seal),
    key: readProved(key, 'chain.key'),
    release: release === null ? null : readProved(release, 'chain.release'),
    model: readProved(model, 'chain.model'),
    price: readProved(price, 'chain.price'),
    settled: settled === null ? null : readSettled(settled),
  };
}

export function readBundle(bytes) {
  const found = asObject(decodeExact(bytes), 'the bundle');
  if (found.get('format') !== 'paraph/bundle/1') throw new Malformed('bundle.format', 'not a bundle');
  const names = ['format', 'request', 'body', 'chain', 'given', 'response', 'profile', 'evidence', 'receipt'];
  const [, request, body, chain, given, response, profile, evidence, receipt] = take(found, 'bundle', names);
  readMembers(profile, 'profile', PROFILE);
  return {
    given,
    response: asObject(response, 'response'),
    profile,
    evidence: asObject(evidence, 'evidence'),
    receipt: readReceipt(receipt),
    request: readRequest(request),
    body: asObject(body, 'body'),
    chain: readChain(chain),
  };
}
