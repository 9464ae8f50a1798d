#!/usr/bin/env node
// node verify.js BUNDLE --trust TRUST [--min-trust CLASS]: exit code 0 verified, 1 not verified, 2 malformed or misused.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { TRUST_CLASSES } from './src/attestation.js';
import { isSimulated } from './src/attested.js';
import { Malformed } from './src/errors.js';
import { readBundle, readTrust } from './src/formats.js';
import { judge } from './src/judge.js';

function main() {
  const options = { trust: { type: 'string' }, 'min-trust': { type: 'string', default: 'hardware' } };
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const least = values['min-trust'];
  if (positionals.length !== 1 || values.trust === undefined || !TRUST_CLASSES.includes(least)) {
    throw new Error(`use: verify.js BUNDLE --trust TRUST [--min-trust ${TRUST_CLASSES.join('|')}]`);
  }
  const bundle = readBundle(readFileSync(positionals[0]));
  const verdict = judge(bundle, readTrust(readFileSync(values.trust)), least);
  for (const { code, outcome } of verdict.claims) console.log(`${outcome} ${code}`);
  if (isSimulated(bundle)) console.log('the enclave is SIMULATED: no hardware stands behind it');
  console.log(verdict.verified ? 'verified' : 'NOT VERIFIED');
  return verdict.verified ? 0 : 1;
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(error instanceof Malformed ? `malformed: ${error.message} [${error.code}]` : error.message);
  process.exitCode = 2;
}
