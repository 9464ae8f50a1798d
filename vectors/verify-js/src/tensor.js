// Tensors (docs/spec/encoding.md): the data is exactly what the shape says.
import { utf8 } from './bytes.js';
import { Malformed } from './errors.js';
import { asInteger, asList, asText, take } from './json.js';

const ELEMENT_BYTES = {
  BOOL: 1,
  UINT8: 1,
  INT8: 1,
  UINT16: 2,
  INT16: 2,
  FP16: 2,
  BF16: 2,
  UINT32: 4,
  INT32: 4,
  FP32: 4,
  UINT64: 8,
  INT64: 8,
  FP64: 8,
};

function fail(part, message) {
  throw new Malformed(`tensor.${part}`, message);
}

export function readTensor(value) {
  const [name, datatype, sides, text] = take(value, 'a tensor', ['name', 'datatype', 'shape', 'data']);
  asText(name, 'name', 128);
  asText(datatype, 'datatype', 16);
  const shape = asList(sides, 'shape', 16).map((side) => asInteger(side, 'shape'));
  asText(text, 'data');
  const data = new Uint8Array(Buffer.from(text, 'base64'));
  if (Buffer.from(data).toString('base64') !== text) fail('base64', 'not base64 in canonical form');
  if (utf8(name).length === 0) fail('name', 'a tensor has a name');
  const count = shape.reduce((product, side) => product * BigInt(side), 1n);
  if (datatype === 'BYTES') {
    if (BigInt(elements(data)) !== count) fail('data', 'another number of elements');
  } else if (Object.hasOwn(ELEMENT_BYTES, datatype)) {
    if (BigInt(data.length) !== count * BigInt(ELEMENT_BYTES[datatype])) fail('data', 'another number of bytes');
    if (datatype === 'BOOL' && data.some((byte) => byte > 1)) fail('data', 'a BOOL is 0 or 1');
  } else {
    fail('datatype', `unknown datatype ${datatype}`);
  }
  return { name, datatype, shape };
}

function elements(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  let count = 0;
  let at = 0;
  for (; at < data.length; count += 1) {
    if (at + 4 > data.length) fail('data', 'an element runs past the end');
    at += 4 + view.getUint32(at, true);
  }
  if (at !== data.length) fail('data', 'an element runs past the end');
  return count;
}
