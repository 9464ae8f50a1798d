// Every vector but bundles, checked by code that shares nothing with paraph's own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex, utf8 } from '../src/bytes.js';
import { keccak256, sha256, tagged } from '../src/digest.js';
import { domainSeparator, SETTLEMENT, typeHash } from '../src/eip712.js';
import * as formats from '../src/formats.js';
import { canonical, canonicalText, decode, decodeExact, spelled } from '../src/json.js';
import { addressFromText, addressOf, checksummed, recover, sign, signedBy } from '../src/keys.js';
import { batchKey, modelKey, nodeKeyKey, priceKey, readRecord, writeRecord } from '../src/records.js';
import * as rlp from '../src/rlp.js';
import { streamLinks } from '../src/judge.js';
import { consistent, proves, root, rootFromInclusion, stateRoot } from '../src/trees.js';
import { casesOf, codeOf, plain } from './load.js';

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
  for (const each of casesOf('header')) {
    const header = formats.readHeader(each.get('header'));
    assert.equal(toHex(formats.headerHash(header)), each.get('hash'));
    assert.equal(toHex(recover(formats.headerHash(header), header.signature)), each.get('signer'));
  }
});

test('genesis', () => {
  for (const { document, digest } of plain(casesOf('genesis'))) {
    assert.equal(canonicalText(decodeExact(utf8(document))), document);
    assert.equal(toHex(tagged('paraph/genesis/1', utf8(document))), digest);
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
  const shown = (value) => (value instanceof Uint8Array ? toHex(value) : String(value));
  for (const { record, fields, value } of plain(casesOf('records'))) {
    const found = readRecord(record, fromHex(value));
    assert.deepEqual(Object.fromEntries(Object.entries(found).map(([name, each]) => [name, shown(each)])), fields);
    assert.equal(toHex(writeRecord(record, found)), value);
  }
});

test('records: keys in state', () => {
  const makers = { NodeKey: nodeKeyKey, Model: modelKey, Price: priceKey, Batch: batchKey };
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
