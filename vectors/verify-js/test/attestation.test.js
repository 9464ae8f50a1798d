// Documents, attestations and their digests: each proves what is said, or is refused for its one fault.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as attestation from '../src/attestation.js';
import { fromHex, toHex } from '../src/bytes.js';
import * as nitro from '../src/nitro.js';
import { readRecord, writeRecord } from '../src/records.js';
import { bytesByName, casesOf, codeOf, plain } from './load.js';

const cases = casesOf('attestation');
const root = fromHex(cases.get('root'));

function shown(claims) {
  const hex = (bytes) => toHex(bytes);
  return {
    platform: claims.platform,
    trust: claims.trust,
    time_ms: Number(claims.timeMs),
    debug: claims.debug,
    measurements: Object.fromEntries([...claims.measurements].map(([name, value]) => [name, hex(value)])),
    data: hex(claims.data),
    nonce: hex(claims.nonce),
    key: hex(claims.key),
    module: claims.module,
    certificates: claims.certificates.map(([issuer, serial]) => [hex(issuer), String(serial)]),
  };
}

for (const each of cases.get('documents')) {
  test(`document: ${each.get('name')}`, () => {
    const nowS = BigInt(each.get('now_s') ?? cases.get('now_s'));
    const claims = () =>
      nitro.verify(nitro.read(fromHex(each.get('document'))), root, each.get('trust') ?? 'simulated', nowS);
    if (each.has('refused')) assert.equal(codeOf(claims), each.get('refused'));
    else assert.deepEqual(shown(claims()), plain(each.get('claims')));
  });
}

for (const each of cases.get('attestations')) {
  test(`attestation: ${each.get('name')}`, () => {
    const found = attestation.readAttestation(each.get('attestation'));
    const expected = bytesByName(each.get('measurements'));
    const believed = fromHex(each.get('simulated_root'));
    const proved = () =>
      attestation.prove(found, expected, believed, BigInt(each.get('now_s')), each.get('least'));
    assert.equal(codeOf(proved), each.get('refused'));
  });
}

test('bindings', () => {
  for (const each of plain(cases.get('bindings'))) {
    const keyset = readRecord('Keyset', fromHex(each.keyset));
    const nonce = fromHex(each.nonce);
    const devices = each.devices.map((device) => fromHex(device));
    const fields = Object.entries(keyset).map(([name, value]) => [name, typeof value === 'bigint' ? String(value) : toHex(value)]);
    assert.deepEqual(Object.fromEntries(fields), each.fields);
    assert.equal(toHex(writeRecord('Keyset', keyset)), each.keyset);
    assert.equal(toHex(attestation.keysetDigest(keyset)), each.digest);
    assert.equal(toHex(attestation.devicesDigest(devices)), each.devices_digest);
    assert.equal(toHex(attestation.deviceNonce(keyset, nonce)), each.device_nonce);
    assert.equal(toHex(attestation.bound(keyset, nonce, devices)), each.bound);
  }
});

test('nonces and releases', () => {
  for (const { block_hash: block, node, sequence, nonce } of plain(cases.get('registration_nonces'))) {
    assert.equal(toHex(attestation.registrationNonce(fromHex(block), fromHex(node), sequence)), nonce);
  }
  for (const each of cases.get('releases')) {
    const found = attestation.releaseId(each.get('platform'), bytesByName(each.get('measurements')));
    assert.equal(toHex(found), each.get('release'));
  }
});
