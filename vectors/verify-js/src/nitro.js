// Documents of Nitro's form: from bytes to claims (docs/spec/attestation.md). Simulated enclaves have the same.
import { concat, EMPTY, equal, fromHex, utf8 } from './bytes.js';
import * as cbor from './cbor.js';
import { Malformed, Unverified } from './errors.js';
import { signedByKey } from './p384.js';
import { verifiedPath } from './x509.js';

const DOCUMENT_BYTES_MAX = 16896;
const PAYLOAD_BYTES_MAX = 16384;
const FIELD_BYTES_MAX = 1024;
const CERTIFICATE_BYTES_MAX = 1024;
const AUTHORITIES_MAX = 8;
const PROTECTED = fromHex('0xa1013822');
const MODULE = /^(sim-)?i-[0-9a-f]{8,17}-enc[0-9a-f]{1,24}$/;

const isBytes = (value) => value instanceof Uint8Array;

function hold(holds, part, message = part) {
  if (!holds) throw new Unverified(`envelope.${part}`, message);
}

function decoded(bytes, tagged) {
  try {
    return cbor.decode(bytes, tagged);
  } catch (error) {
    if (error instanceof Malformed) throw new Unverified('envelope.cbor', error.message);
    throw error;
  }
}

export function read(bytes) {
  hold(bytes.length > 0 && bytes.length <= DOCUMENT_BYTES_MAX, 'size');
  const parts = decoded(bytes, true);
  hold(Array.isArray(parts) && parts.length === 4, 'cose');
  const [header, unprotected, payload, signature] = parts;
  hold(isBytes(header) && equal(header, PROTECTED), 'algorithm');
  hold(unprotected instanceof Map && unprotected.size === 0, 'unprotected');
  hold(isBytes(payload) && payload.length > 0 && payload.length <= PAYLOAD_BYTES_MAX, 'cose');
  hold(isBytes(signature) && signature.length === 96, 'signature');
  const said = decoded(payload, false);
  hold(said instanceof Map, 'payload');
  hold(!said.has('nitrotpm_pcrs'), 'tpm');
  const [module, time] = [said.get('module_id'), said.get('timestamp')];
  hold(typeof module === 'string' && MODULE.test(module) && !module.endsWith('\n'), 'module');
  hold(said.get('digest') === 'SHA384', 'digest');
  hold(typeof time === 'bigint' && time > 0n && time < 2n ** 53n, 'time');
  const isCertificate = (value) => isBytes(value) && value.length > 0 && value.length <= CERTIFICATE_BYTES_MAX;
  const [certificate, authorities] = [said.get('certificate'), said.get('cabundle')];
  hold(isCertificate(certificate), 'certificate');
  hold(Array.isArray(authorities) && authorities.length > 0 && authorities.length <= AUTHORITIES_MAX, 'authorities');
  hold(authorities.every(isCertificate), 'authorities');
  return {
    payload,
    signature,
    module,
    timeMs: time,
    pcrs: readPcrs(said.get('pcrs')),
    certificate,
    authorities,
    key: readField(said.get('public_key')),
    data: readField(said.get('user_data')),
    nonce: readField(said.get('nonce')),
  };
}

function readPcrs(value) {
  hold(value instanceof Map && value.size > 0, 'pcrs');
  for (const [index, pcr] of value) {
    hold(typeof index === 'bigint' && index >= 0n && index < 32n, 'pcrs');
    hold(isBytes(pcr) && pcr.length === 48, 'pcrs');
  }
  return new Map([...value].map(([index, pcr]) => [Number(index), pcr]).sort(([one], [other]) => one - other));
}

// What is absent, null or empty is the same.
function readField(value) {
  if (value === undefined || value === null) return EMPTY;
  hold(isBytes(value) && value.length <= FIELD_BYTES_MAX, 'field');
  return value;
}

// What a document proves under a root, which is worth `trust`; times are BigInt.
export function verify(document, root, trust, nowS) {
  const refuse = (holds, code) => {
    if (!holds) throw new Unverified(code, code);
  };
  refuse(equal(document.authorities[0], root), 'quote.root');
  const path = verifiedPath([...document.authorities, document.certificate], nowS);
  const leaf = path.at(-1);
  const [name] = leaf.commonNames;
  refuse(leaf.commonNames.length === 1 && name.startsWith(`${document.module}.`), 'quote.name');
  refuse(signedByKey(leaf.key, signingInput(document.payload), document.signature), 'quote.signature');
  const simulated = trust === 'simulated';
  refuse(document.module.startsWith('sim-') === simulated, 'quote.simulated');
  const runs = (index) => document.pcrs.get(index)?.some((byte) => byte !== 0) ?? false;
  return {
    platform: simulated ? 'simulated' : 'nitro',
    trust,
    timeMs: document.timeMs,
    debug: ![0, 1, 2].every(runs),
    measurements: new Map([...document.pcrs].map(([index, pcr]) => [`pcr${index}`, pcr])),
    data: document.data,
    nonce: document.nonce,
    key: document.key,
    module: document.module,
    certificates: path.slice(1).map(({ issuer, serial }) => [issuer, serial]),
  };
}

// An array of four: "Signature1", the protected header, nothing from outside, the payload (RFC 9052, section 4.4).
function signingInput(payload) {
  return concat(
    Uint8Array.of(0x84, 0x6a),
    utf8('Signature1'),
    cbor.bytesHead(PROTECTED.length),
    PROTECTED,
    cbor.bytesHead(0),
    cbor.bytesHead(payload.length),
    payload,
  );
}
