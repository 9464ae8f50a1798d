#!/usr/bin/env node
// node verify.js BUNDLE --trust TRUST: exit code 0 verified, 1 not verified, 2 malformed or misused.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Malformed } from './src/errors.js';
import { readBundle, readTrust } from './src/formats.js';
import { judge } from './src/judge.js';

function main() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { trust: { type: 'string' } } });
  if (positionals.length !== 1 || values.trust === undefined) throw new Error('use: verify.js BUNDLE --trust TRUST');
  const verdict = judge(readBundle(readFileSync(positionals[0])), readTrust(readFileSync(values.trust)));
  for (const { code, outcome } of verdict.claims) console.log(`${outcome} ${code}`);
  console.log(verdict.verified ? 'verified' : 'NOT VERIFIED');
  return verdict.verified ? 0 : 1;
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(error instanceof Malformed ? `malformed: ${error.message} [${error.code}]` : error.message);
  process.exitCode = 2;
}
