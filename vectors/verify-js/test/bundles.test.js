// True bundles verify; every lie is found, by the same claims as paraph finds it by; no leaf can change unnoticed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readBundle, readTrust } from '../src/formats.js';
import { canonical, decode } from '../src/json.js';
import { judge } from '../src/judge.js';
import { edited } from './edits.js';
import { bytesOf, casesOf, plain } from './load.js';

const bases = plain(casesOf('bundle'));
const trusts = Object.fromEntries(bases.map(({ file, trust }) => [file, bytesOf(`bundle/${trust}`)]));
const leasts = Object.fromEntries(bases.map(({ file, least }) => [file, least]));

function outcome(bundle, trust, least) {
  try {
    const { claims } = judge(readBundle(bundle), readTrust(trust), least);
    return { failed: claims.filter((claim) => claim.outcome === 'FAIL').map((claim) => claim.code) };
  } catch (error) {
    if (error.code === undefined) throw error;
    return { malformed: error.code };
  }
}

test('bundle', () => {
  for (const { file, least, verdict } of bases) {
    const bytes = bytesOf(`bundle/${file}`);
    assert.deepEqual(canonical(decode(bytes)), bytes, 'a saved bundle is in canonical form');
    const { verified, claims } = judge(readBundle(bytes), readTrust(trusts[file]), least);
    assert.ok(verified, file);
    assert.deepEqual(claims.map(({ code, outcome: found }) => [code, found]), verdict, file);
  }
});

for (const each of casesOf('bundle-invalid')) {
  test(`bundle-invalid: ${each.get('name')}`, () => {
    const file = `${each.get('base')}.json`;
    const trust = each.has('trust') ? canonical(each.get('trust')) : trusts[file];
    const least = each.get('least') ?? leasts[file];
    assert.deepEqual(outcome(edited(bytesOf(`bundle/${file}`), each), trust, least), plain(each.get('expect')));
  });
}

// Every place of a value that is neither object nor array, with a value that differs in one character.
function* leaves(value, path = []) {
  const entries = value instanceof Map ? [...value] : Array.isArray(value) ? [...value.entries()] : null;
  if (entries === null) yield [path, changed(value)];
  else for (const [step, member] of entries) yield* leaves(member, [...path, step]);
}

function changed(value) {
  if (typeof value === 'string') return value.slice(0, -1) + (value.endsWith('1') ? '2' : '1');
  if (typeof value === 'number') return value + 1;
  return value === null ? 0 : !value;
}

for (const { file, least } of bases) {
  test(`no leaf of ${file} changes unnoticed`, () => {
    const base = bytesOf(`bundle/${file}`);
    for (const [path, value] of leaves(decode(base))) {
      const lie = edited(base, new Map([['set', [[path, value]]]]));
      assert.notDeepEqual(outcome(lie, trusts[file], least), { failed: [] }, path.join('.'));
    }
  });
}

test('the command exits 0, 1 and 2', () => {
  const here = (path) => fileURLToPath(new URL(path, import.meta.url));
  const said = (...words) => spawnSync(process.execPath, [here('../verify.js'), ...words], { encoding: 'utf8' });
  const run = (...words) => said(...words).status;
  const bundle = here('../../bundle/text-settled.json');
  const trust = here('../../bundle/trust.json');
  const folder = mkdtempSync(join(tmpdir(), 'paraph-vectors-'));
  const lie = join(folder, 'lie.json');
  const agreed = ['text-validators.json', 'trust-validators.json'].map((name) => here(`../../bundle/${name}`));
  assert.equal(run(agreed[0], '--trust', agreed[1]), 0);
  assert.equal(run(agreed[0], '--trust', trust), 1);
  const enclave = [here('../../bundle/text-enclave.json'), '--trust', here('../../bundle/trust-enclaves.json')];
  assert.equal(run(...enclave, '--min-trust', 'simulated'), 0);
  assert.match(said(...enclave, '--min-trust', 'simulated').stdout, /SIMULATED/);
  assert.doesNotMatch(said(bundle, '--trust', trust).stdout, /SIMULATED/);
  assert.equal(run(...enclave), 1);
  assert.equal(run(...enclave, '--min-trust', 'anything'), 2);
  writeFileSync(lie, edited(bytesOf('bundle/text-settled.json'), new Map([['set', [[['response', 'text'], 'No.']]]])));
  assert.equal(run(bundle, '--trust', trust), 0);
  assert.equal(run(lie, '--trust', trust), 1);
  rmSync(folder, { recursive: true });
  assert.equal(run(here('../../bundle/cases.json'), '--trust', trust), 2);
  assert.equal(run(bundle), 2);
  assert.equal(run(bundle, '--trust', bundle), 2);
});
