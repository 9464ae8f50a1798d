// The units of a response, and its form (docs/spec/receipt.md).
import { Malformed } from './errors.js';
import { asInteger, asList, asText, take } from './json.js';
import { readTensor } from './tensor.js';

const TENSORS_MAX = 256;
const unreadable = (message) => new Malformed('response.units', message);

function hold(holds, message) {
  if (!holds) throw new Malformed('response.form', message);
}

// --- units ---

function count(value) {
  if (!Number.isInteger(value) || value < 0) throw unreadable('units used must be whole numbers');
  return BigInt(value);
}

function member(value, name) {
  if (!(value instanceof Map) || !value.has(name)) throw unreadable(`no ${name}`);
  return value.get(name);
}

function rows(tensors) {
  if (!Array.isArray(tensors) || tensors.length === 0) throw unreadable('no tensors');
  const shape = asList(member(tensors[0], 'shape'), 'shape', 16);
  return count(shape.length ? shape[0] : 1);
}

export function units(body, response) {
  if (member(response, 'kind') === 'tensors') return [rows(member(body, 'inputs')), rows(member(response, 'outputs'))];
  const usage = member(response, 'usage');
  return [count(member(usage, 'input_tokens')), count(member(usage, 'output_tokens'))];
}

// --- form ---

const FORMS = {
  'chat text': checkText,
  'completion text': checkText,
  'embeddings embeddings': checkEmbeddings,
  'infer tensors': checkTensors,
};

export function checkForm(body, given, response) {
  const kinds = [body.get('kind'), response.get('kind')];
  const name = kinds.join(' ');
  hold(kinds.every((kind) => typeof kind === 'string') && Object.hasOwn(FORMS, name), 'the kinds are no pair');
  FORMS[name](body, given, response, units(body, response));
}

// How many ids are shown, or null.
function shown(ids, what) {
  if (ids === null) return null;
  return BigInt(asList(ids, what, Infinity).map((id) => asInteger(id, what)).length);
}

function checkText(body, given, response, [tokensIn, tokensOut]) {
  const [text, ids] = take(given, 'given', ['text', 'token_ids']);
  asText(text, 'given.text');
  asText(response.get('text'), 'text');
  hold(tokensOut <= BigInt(asInteger(body.get('max_tokens'), 'max_tokens')), 'more tokens than asked for');
  const shownIn = shown(ids, 'given.token_ids');
  const shownOut = shown(response.get('token_ids') ?? null, 'token_ids');
  hold(shownIn === null || shownIn === tokensIn, 'other ids than counted in');
  if (shownOut === null) return;
  const fits = response.get('finish_reason') === 'cancelled' ? shownOut <= tokensOut : shownOut === tokensOut;
  hold(fits, 'other ids than counted out');
}

function checkEmbeddings(body, given, response, [, tokensOut]) {
  hold(given === null, 'nothing stands beside the texts');
  const texts = asList(body.get('inputs'), 'inputs', Infinity);
  const vectors = asList(response.get('embeddings'), 'embeddings', texts.length).map(readTensor);
  hold(vectors.length === texts.length, 'a vector for each text');
  hold(vectors.every(({ datatype, shape }) => datatype === 'FP32' && shape.length === 1), 'vectors of FP32');
  hold(tokensOut === 0n, 'embeddings have no tokens out');
}

function checkTensors(body, given, response) {
  hold(given === null, 'nothing stands beside the inputs');
  const asked = asList(body.get('outputs'), 'outputs', TENSORS_MAX);
  const names = asList(response.get('outputs'), 'outputs', TENSORS_MAX).map((each) => readTensor(each).name);
  hold(new Set(names).size === names.length, 'two tensors of one name');
  hold(asked.length === 0 || (asked.length === names.length && asked.every((name, at) => name === names[at])), 'others');
}
