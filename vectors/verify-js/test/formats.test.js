// Every vector but bundles, checked by code that shares nothing with paraph's own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { releaseId } from '../src/attestation.js';
import { fromHex, toHex, utf8 } from '../src/bytes.js';
import { keccak256, sha256, tagged } from '../src/digest.js';
import { verify } from '../src/ed25519.js';
import { domainSeparator, SETTLEMENT, typeHash } from '../src/eip712.js';
import { checkForm } from '../src/form.js';
import * as formats from '../src/formats.js';
import { canonical, canonicalText, decode, decodeExact, spelled, take } from '../src/json.js';
import { addressFromText, addressOf, checksummed, recover, sign, signedBy } from '../src/keys.js';
import * as light from '../src/light.js';
import {
  batchKey,
  enclaveKey,
  hashKey,
  headKey,
  modelKey,
  nodeKeyKey,
  priceKey,
  readRecord,
  releaseKey,
  resultLeaf,
  writeRecord,
} from '../src/records.js';
import * as rlp from '../src/rlp.js';
import { engineChainId, streamLinks } from '../src/judge.js';
import { consistent, proves, root, rootFromInclusion, stateRoot } from '../src/trees.js';
import { bytesByName, casesOf, codeOf, plain } from './load.js';

test('canonical-json', () => {
  const { written, refused, doubles } = plain(casesOf('canonical-json'));
  for (const { name, text, canonical: expected, sha256: digest, exact } of written) {
    const value = decode(utf8(text));
    assert.equal(canonicalText(value), expected, name);
    assert.equal(toHex(sha256(canonical(value))), digest, name);
    assert.equal(codeOf(() => decodeExact(utf8(text))), exact, name);
    assert.equal(canonicalText(decodeExact(utf8(expected))), expected, name);
  }
  for (const { name, bytes, refused: code } of refused) {
    assert.equal(codeOf(() => decode(fromHex(bytes))), code, name);
    assert.equal(codeOf(() => decodeExact(fromHex(bytes))), code, name);
  }
  for (const { bits, spelled: expected, refused: code } of doubles) {
    const number = new DataView(fromHex(bits).buffer).getFloat64(0);
    if (code) assert.equal(codeOf(() => spelled(number)), code, bits);
    else assert.equal(spelled(number), expected, bits);
  }
});

test('digest', () => {
  const { data, sha256: plainSha, keccak256: keccak, tagged: tags } = plain(casesOf('digest'));
  assert.equal(toHex(sha256(fromHex(data))), plainSha);
  assert.equal(toHex(keccak256(fromHex(data))), keccak);
  for (const [tag, digest] of Object.entries(tags)) assert.equal(toHex(tagged(tag, fromHex(data))), digest, tag);
});

test('keys', () => {
  const cases = plain(casesOf('keys'));
  for (const { secret, address, text } of cases.address) {
    assert.equal(toHex(addressOf(fromHex(secret))), address);
    assert.equal(checksummed(fromHex(address)), text);
  }
  for (const { secret, refused } of cases.secret_refused) {
    assert.equal(codeOf(() => addressOf(fromHex(secret))), refused, secret);
  }
  for (const { secret, digest, signature } of cases.sign) {
    assert.equal(toHex(sign(fromHex(secret), fromHex(digest))), signature);
    assert.equal(toHex(recover(fromHex(digest), fromHex(signature))), toHex(addressOf(fromHex(secret))));
  }
  for (const { name, digest, signature, address, refused } of cases.recover) {
    if (refused) assert.equal(codeOf(() => recover(fromHex(digest), fromHex(signature))), refused, name);
    else assert.equal(toHex(recover(fromHex(digest), fromHex(signature))), address, name);
  }
  for (const { text, address, refused } of cases.address_text) {
    if (refused) assert.equal(codeOf(() => addressFromText(text)), refused, text);
    else assert.equal(toHex(addressFromText(text)), address, text);
  }
});

test('rlp', () => {
  const bytes = (item) => (Array.isArray(item) ? item.map(bytes) : fromHex(item));
  const hex = (item) => (Array.isArray(item) ? item.map(hex) : toHex(item));
  const { items, refused } = plain(casesOf('rlp'));
  for (const { item, rlp: coded } of items) {
    assert.equal(toHex(rlp.encode(bytes(item))), coded);
    assert.deepEqual(hex(rlp.decode(fromHex(coded))), item);
  }
  for (const coded of refused) assert.equal(codeOf(() => rlp.decode(fromHex(coded))), 'rlp.form', coded);
});

test('request', () => {
  const cases = casesOf('request');
  assert.equal(formats.REQUEST_TYPE, cases.get('type'));
  assert.equal(toHex(typeHash(formats.REQUEST_TYPE)), cases.get('type_hash'));
  assert.equal(toHex(SETTLEMENT), cases.get('verifying_contract'));
  for (const each of cases.get('requests')) {
    const request = formats.readRequest(each.get('request'));
    assert.equal(toHex(domainSeparator(request.chain_id)), cases.get('domain_separator'));
    assert.equal(toHex(tagged('paraph/request-body/1', utf8(each.get('body')))), toHex(request.body_digest));
    assert.equal(canonicalText(decodeExact(utf8(each.get('body')))), each.get('body'));
    assert.equal(toHex(formats.requestHash(request)), each.get('struct_hash'));
    assert.equal(toHex(formats.requestSigningDigest(request)), each.get('signing_digest'));
    assert.ok(signedBy(request.payer, formats.requestSigningDigest(request), request.signature));
  }
});

test('receipt', () => {
  const cases = casesOf('receipt');
  assert.equal(formats.RECEIPT_TYPE, cases.get('type'));
  assert.equal(toHex(typeHash(formats.RECEIPT_TYPE)), cases.get('type_hash'));
  const tags = { given: 'given', response: 'response-body', profile: 'engine-profile', evidence: 'evidence' };
  for (const each of cases.get('receipts')) {
    const receipt = formats.readReceipt(each.get('receipt'));
    for (const [name, tag] of Object.entries(tags)) {
      assert.equal(toHex(tagged(`paraph/${tag}/1`, utf8(each.get(name)))), toHex(receipt[`${name}_digest`]), name);
    }
    const digest = formats.receiptSigningDigest(receipt, cases.get('chain_id'));
    assert.equal(toHex(formats.receiptHash(receipt)), each.get('struct_hash'));
    assert.equal(toHex(digest), each.get('signing_digest'));
    assert.ok(signedBy(receipt.signer, digest, receipt.signature));
  }
});

test('stream', () => {
  for (const { request_hash: start, chunks, links } of plain(casesOf('stream'))) {
    const found = streamLinks(fromHex(start), chunks.map((chunk) => decodeExact(utf8(chunk))));
    assert.deepEqual(found.map(toHex), links);
  }
});

test('header', () => {
  const cases = casesOf('header');
  for (const each of cases.get('headers')) {
    const header = formats.readHeader(each.get('header'));
    assert.equal(toHex(formats.headerHash(header)), each.get('hash'));
    assert.equal(toHex(recover(formats.headerHash(header), header.signature)), each.get('signer'));
    assert.equal(toHex(writeRecord('Head', header)), each.get('head'));
    const whole = { ...readRecord('Head', fromHex(each.get('head'))), state_root: header.state_root };
    assert.equal(toHex(formats.headerHash(whole)), each.get('hash'), 'the head and its root are the header');
  }
  assert.equal(toHex(headKey()), cases.get('head_key'));
  for (const each of cases.get('hash_keys')) assert.equal(toHex(hashKey(each.get('height'))), each.get('key'));
});

test('result', () => {
  const { results, root: expected } = plain(casesOf('result'));
  const leaves = results.map((each) =>
    resultLeaf({
      ...each,
      hash: fromHex(each.hash),
      output: fromHex(each.output),
      logs: each.logs.map(({ address, topics, data }) => ({
        address: fromHex(address),
        topics: topics.map((topic) => fromHex(topic)),
        data: fromHex(data),
      })),
    }),
  );
  results.forEach(({ name, leaf }, at) => assert.equal(toHex(leaves[at]), leaf, name));
  assert.equal(toHex(root(leaves)), expected);
});

test('ed25519', () => {
  for (const { name, key, message, signature, holds } of plain(casesOf('ed25519'))) {
    assert.equal(verify(fromHex(key), fromHex(message), fromHex(signature)), holds, name);
  }
});

test('light-block', () => {
  const cases = casesOf('light-block');
  for (const each of cases.get('blocks')) {
    const block = light.readLightBlock(each.get('block'));
    const messages = block.validators.map((_, place) => light.voteMessage(block, place));
    assert.equal(toHex(light.headerHash(block.header)), each.get('hash'), each.get('name'));
    assert.equal(toHex(light.setHash(block.validators)), each.get('validators_hash'), each.get('name'));
    assert.deepEqual(messages.map((found) => found && toHex(found)), each.get('messages'), each.get('name'));
    assert.equal(codeOf(() => light.check(block, each.get('chain_id'))), each.get('unverified'), each.get('name'));
  }
  for (const each of cases.get('refused')) {
    assert.equal(codeOf(() => light.readLightBlock(each.get('block'))), each.get('refused'), each.get('name'));
  }
});

test('light-chain', () => {
  for (const each of casesOf('light-chain')) {
    const blocks = each.get('blocks').map(light.readLightBlock);
    const anchor = light.readAnchor(each.get('anchor'));
    const code = codeOf(() => light.verifyChain(anchor, blocks, each.get('chain_id')));
    assert.equal(code, each.get('unverified'), each.get('name'));
  }
});

test('response-form', () => {
  for (const each of casesOf('response-form')) {
    const code = codeOf(() => checkForm(each.get('body'), each.get('given'), each.get('response')));
    assert.equal(code === null, each.get('holds'), each.get('name'));
  }
});

test('trust', () => {
  const cases = casesOf('trust');
  for (const each of cases.get('trusts')) {
    const bytes = utf8(each.get('trust'));
    formats.readTrust(bytes);
    assert.equal(canonicalText(decodeExact(bytes)), each.get('trust'));
  }
  for (const each of cases.get('refused')) {
    const code = codeOf(() => formats.readTrust(canonical(each.get('trust'))));
    assert.equal(code, each.get('refused'), each.get('name'));
  }
});

// The trust file that follows from a genesis document (docs/spec/genesis.md), as it reads.
function trustOf(genesis, digest) {
  const parameter = (name, otherwise) => BigInt(genesis.get('parameters').get(name) ?? otherwise);
  const address = (key) => toHex(sha256(key).slice(0, 20));
  const ranked = genesis
    .get('validators')
    .map((each) => ({
      operator: each.get('operator'),
      key: fromHex(each.get('key')),
      power: BigInt(each.get('bond')) / 10n ** 18n,
    }))
    .sort((one, other) => Number(other.power - one.power) || (one.operator < other.operator ? -1 : 1))
    .slice(0, Number(parameter('validators_max', 40)))
    .sort((one, other) => Number(other.power - one.power) || (address(one.key) < address(other.key) ? -1 : 1));
  const validators = ranked.map(({ key, power }) => ({ key, power }));
  return {
    network: genesis.get('network'),
    chain_id: genesis.get('chain_id'),
    genesis: digest,
    producers: genesis.get('producers').map((each) => fromHex(each)),
    devnet: genesis.get('devnet'),
    anchor: validators.length ? { height: 1, validators, time_s: genesis.get('time_s') } : null,
    trusting_period_s: validators.length ? Number((parameter('unbond_delay_s', 1209600) * 2n) / 3n) : 0,
    simulated_root: fromHex(genesis.get('simulated_root')),
  };
}

const GENESIS_MEMBERS = [
  'format',
  'network',
  'chain_id',
  'time_s',
  'producers',
  'validators',
  'governor',
  'devnet',
  'allocations',
  'parameters',
  'releases',
  'simulated_root',
];

function releaseOf(value) {
  const members = ['platform', 'name', 'measurements', 'source', 'provenance'];
  const [platform, , measurements] = take(value, 'release', members);
  return releaseId(platform, bytesByName(measurements));
}

test('genesis', () => {
  for (const { document, digest, trust, engine_chain_id: engineId, releases } of plain(casesOf('genesis'))) {
    const found = decodeExact(utf8(document));
    take(found, 'genesis', GENESIS_MEMBERS);
    assert.deepEqual(found.get('releases').map((each) => toHex(releaseOf(each))), releases);
    assert.equal(canonicalText(found), document);
    assert.equal(toHex(tagged('paraph/genesis/1', utf8(document))), digest);
    assert.deepEqual(formats.readTrust(utf8(trust)), trustOf(found, fromHex(digest)));
    assert.equal(engineChainId(found.get('chain_id'), fromHex(digest)), engineId);
  }
});

test('merkle', () => {
  const { leaves, roots, inclusion, consistency } = plain(casesOf('merkle'));
  const bytes = leaves.map((leaf) => fromHex(leaf));
  roots.forEach((expected, size) => assert.equal(toHex(root(bytes.slice(0, size))), expected));
  for (const { leaf, index, size, path, root: expected } of inclusion) {
    const found = rootFromInclusion(fromHex(leaf), BigInt(index), BigInt(size), path.map((each) => fromHex(each)));
    assert.equal(found && toHex(found), expected);
  }
  for (const { old, new: size, proof, holds } of consistency) {
    const path = proof.map((each) => fromHex(each));
    assert.equal(consistent(fromHex(roots[old]), old, fromHex(roots[size]), size, path), holds);
  }
});

test('state-proof', () => {
  for (const { state, root: expected, proofs } of plain(casesOf('state-proof'))) {
    assert.equal(toHex(stateRoot(state.map(([key, value]) => [fromHex(key), fromHex(value)]))), expected);
    for (const { key, value, proof, holds } of proofs) {
      const shown = { siblings: proof.siblings.map((each) => fromHex(each)), other: fromHex(proof.other) };
      const said = value === null ? null : fromHex(value);
      assert.equal(proves(fromHex(expected), fromHex(key), said, shown), holds, key);
    }
  }
});

test('records', () => {
  const plainly = (value) => (value instanceof Uint8Array ? toHex(value) : String(value));
  const shown = (value) => (Array.isArray(value) ? value.map(plainly) : plainly(value));
  for (const { record, fields, value } of plain(casesOf('records'))) {
    const found = readRecord(record, fromHex(value));
    assert.deepEqual(Object.fromEntries(Object.entries(found).map(([name, each]) => [name, shown(each)])), fields);
    assert.equal(toHex(writeRecord(record, found)), value);
  }
});

test('records: keys in state', () => {
  const makers = { NodeKey: nodeKeyKey, Model: modelKey, Price: priceKey, Batch: batchKey, Head: headKey };
  Object.assign(makers, { Enclave: enclaveKey, Release: releaseKey });
  for (const { record, of, key } of plain(casesOf('records'))) {
    const parts = of.map((part) => (typeof part === 'string' ? fromHex(part) : part));
    assert.equal(toHex(makers[record](...parts)), key);
  }
});

test('manifest', () => {
  const cases = casesOf('manifest');
  for (const each of cases.get('manifests')) {
    const manifest = formats.readManifest(each.get('manifest'));
    assert.equal(toHex(formats.manifestDigest(manifest)), each.get('digest'));
    assert.equal(toHex(formats.modelId(manifest)), each.get('model_id'));
  }
  for (const each of cases.get('refused')) {
    assert.equal(codeOf(() => formats.readManifest(each.get('manifest'))), each.get('refused'), each.get('name'));
  }
});
