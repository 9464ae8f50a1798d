// The numbered check of docs/spec/verdict.md: from a bundle and a trust file to claims.
import { answeredBy, attested } from './attested.js';
import { equal, toHex } from './bytes.js';
import { claim } from './claims.js';
import { sha256, tagged } from './digest.js';
import { Malformed, Unverified } from './errors.js';
import { checkForm, units } from './form.js';
import { headerHash, receiptHash, receiptSigningDigest, requestHash, requestSigningDigest } from './formats.js';
import { canonical } from './json.js';
import { signedBy } from './keys.js';
import { verifyChain } from './light.js';
import { batchKey, modelKey, nodeKeyKey, priceKey, readRecord, validAt } from './records.js';
import { proves, rootFromInclusion } from './trees.js';

const NO_SOURCES = new Uint8Array(32);

// `least` is what an enclave's word must be worth at least.
export function judge(bundle, trust, least = 'hardware') {
  const { request, receipt, chain } = bundle;
  const asked = signedBy(request.payer, requestSigningDigest(request), request.signature);
  const signed = signedBy(receipt.signer, receiptSigningDigest(receipt, trust.chain_id), receipt.signature);
  const bodyDigest = tagged('paraph/request-body/1', canonical(bundle.body));
  const claims = [
    claim('request.signature', request.chain_id === trust.chain_id && asked), // 1
    claim('request.body', equal(bodyDigest, request.body_digest)), // 2
    claim('receipt.request', answers(receipt, request)), // 3
    claim('receipt.signature', signed), // 4
    claim('receipt.digests', digestsHold(bundle)), // 5
    ...(receipt.layer === 2 ? attested(bundle, trust, least) : [claim('evidence.layer', evidenceHolds(bundle))]), // 6
    claim('response.form', formHolds(bundle)), // 7
    claim('chain.seal', believed(chain.seal, trust)), // 9
    ...registry(bundle), // 10 and 8
    settlement(chain, receipt), // 11
  ];
  return { verified: claims.every((each) => each.outcome !== 'FAIL'), claims };
}

function answers(receipt, request) {
  return (
    equal(receipt.request_hash, requestHash(request)) &&
    equal(receipt.request_key, request.key) &&
    equal(receipt.payer, request.payer) &&
    equal(receipt.node, request.node) &&
    equal(receipt.model_id, request.model_id) &&
    receipt.layer === request.layer &&
    receipt.price <= request.max_price &&
    receipt.started_ms <= receipt.ended_ms &&
    BigInt(receipt.started_ms) <= BigInt(request.deadline) * 1000n
  );
}

function digestsHold({ body, given, response, profile, evidence, receipt }) {
  const shown = given === null ? ownInputs(body) : given;
  return (
    equal(tagged('paraph/given/1', canonical(shown)), receipt.given_digest) &&
    equal(tagged('paraph/response-body/1', canonical(response)), receipt.response_digest) &&
    equal(tagged('paraph/engine-profile/1', canonical(profile)), receipt.profile_digest) &&
    equal(tagged('paraph/evidence/1', canonical(evidence)), receipt.evidence_digest) &&
    equal(NO_SOURCES, receipt.sources_root)
  );
}

// A salt hides what can be guessed: the digest covers it too (docs/spec/receipt.md).
function ownInputs(body) {
  const inputs = body.get('inputs') ?? null;
  return body.has('salt') ? new Map([['inputs', inputs], ['salt', body.get('salt')]]) : inputs;
}

function evidenceHolds({ receipt, evidence, chain }) {
  const word = evidence.size === 1 && evidence.get('layer') === 'signature';
  return receipt.layer === 1 && word && chain.release === null;
}

function formHolds({ body, given, response, receipt }) {
  const model = toHex(receipt.model_id);
  try {
    checkForm(body, given, response);
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
  return !body.has('model') || body.get('model') === model;
}

export function engineChainId(chainId, genesis) {
  return `paraph-${chainId}-${toHex(genesis.slice(0, 16)).slice(2)}`;
}

function believed(seal, trust) {
  if (seal.kind === 'producer') {
    const { header } = seal;
    const known = header.chain_id === trust.chain_id && equal(header.genesis, trust.genesis);
    return known && trust.producers.some((each) => signedBy(each, headerHash(header), header.signature));
  }
  if (trust.anchor === null) return false;
  try {
    verifyChain(trust.anchor, seal.blocks, engineChainId(trust.chain_id, trust.genesis));
  } catch (error) {
    if (error instanceof Unverified) return false;
    throw error;
  }
  return true;
}

// --- the ledger's word ---

function registry({ body, response, receipt, chain }) {
  const { seal } = chain;
  let keys, model, price, used;
  try {
    keys = receipt.layer === 2 ? answeredBy(chain, receipt) : [nodeKeyClaim(chain, receipt)];
    model = readRecord('Model', chain.model.value);
    price = readRecord('Price', chain.price.value);
  } catch (error) {
    if (error instanceof Malformed) return [claim('registry.records', false)];
    throw error;
  }
  const proven = (place, proved) => proves(seal.stateRoot, place, proved.value, proved.proof);
  const offered = ((model.layers >> BigInt(receipt.layer - 1)) & 1n) === 1n;
  const claims = [
    // What belongs to the layer zkml is not read here yet: no answer of it verifies.
    ...(receipt.layer === 3 ? [claim('registry.exact', false)] : []),
    ...keys,
    claim('registry.model', proven(modelKey(receipt.model_id), chain.model) && offered),
  ];
  try {
    used = units(body, response);
  } catch (error) {
    if (error instanceof Malformed) return claims; // the form says so
    throw error;
  }
  const due = price.base + price.per_input_unit * used[0] + price.per_output_unit * used[1];
  const sameUnits = used[0] === BigInt(receipt.input_units) && used[1] === BigInt(receipt.output_units);
  const schedule = priceKey(receipt.model_id, receipt.price_version);
  return [...claims, claim('registry.price', proven(schedule, chain.price) && due === receipt.price && sameUnits)];
}

function nodeKeyClaim({ seal, key: { value, proof } }, receipt) {
  const key = readRecord('NodeKey', value);
  const holds = equal(key.node, receipt.node) && validAt(key, receipt.height) && receipt.height <= seal.height;
  return claim('registry.key', proves(seal.stateRoot, nodeKeyKey(receipt.signer), value, proof) && holds);
}

function settlement({ settled, seal }, receipt) {
  if (settled === null) return { code: 'settlement.batch', outcome: 'SKIP' };
  let batch;
  try {
    batch = readRecord('Batch', settled.record.value);
  } catch (error) {
    if (error instanceof Malformed) return claim('settlement.batch', false);
    throw error;
  }
  const proven = proves(seal.stateRoot, batchKey(settled.batch), settled.record.value, settled.record.proof);
  const found = rootFromInclusion(receiptHash(receipt), BigInt(settled.index), batch.size, settled.path);
  return claim('settlement.batch', proven && found !== null && equal(found, batch.root));
}

// --- streams (docs/spec/stream.md) ---

export function streamLinks(requestHashBytes, chunks) {
  const links = [tagged('paraph/stream/1', requestHashBytes)];
  for (const chunk of chunks) links.push(tagged('paraph/stream/1', links.at(-1), sha256(canonical(chunk))));
  return links;
}
