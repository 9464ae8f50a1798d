// Compiles contracts/*.sol; exit code 1 on any error or warning, or where solc's ABI is not the generated one.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import solc from 'solc';

const folder = new URL('../../contracts/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.sol'));
const sources = Object.fromEntries(names.map((name) => [name, { content: readFileSync(new URL(name, folder), 'utf8') }]));
const settings = { outputSelection: { '*': { '*': ['abi'] } } };
const output = JSON.parse(solc.compile(JSON.stringify({ language: 'Solidity', sources, settings })));

for (const { formattedMessage } of output.errors ?? []) console.error(formattedMessage);

// The same entries in the same form: order is free.
const sorted = (entries) => entries.map((entry) => JSON.stringify(entry, Object.keys(flat(entry)).sort())).sort();
const flat = (value, found = {}) => {
  for (const [name, member] of Object.entries(value)) {
    found[name] = true;
    if (typeof member === 'object') flat(member, found);
  }
  return found;
};
for (const name of names) {
  const contract = name.slice(1, -4);
  const ours = JSON.parse(readFileSync(new URL(`abi/${contract}.json`, folder), 'utf8'));
  assert.deepEqual(sorted(output.contracts[name][`I${contract}`].abi), sorted(ours), name);
}
console.log(`${names.length} interfaces compile, ${output.errors?.length ?? 0} warnings`);
