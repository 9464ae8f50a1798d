// The edits of bundle-invalid/FORMAT.md: from a true bundle to a false one.
import { fromHex, fromUtf8, utf8 } from '../src/bytes.js';
import { canonical, decode } from '../src/json.js';

function walk(value, steps) {
  return steps.reduce((found, step) => (found instanceof Map ? found.get(step) : found[step]), value);
}

export function edited(base, edits) {
  if (edits.has('bytes')) return fromHex(edits.get('bytes'));
  if (edits.has('replace')) {
    let text = fromUtf8(base);
    for (const [old, replacement] of edits.get('replace')) {
      const parts = text.split(old);
      if (parts.length !== 2) throw new Error(`${old} must occur once`);
      text = parts.join(replacement);
    }
    return utf8(text);
  }
  const value = decode(base);
  for (const [path, replacement] of edits.get('set') ?? []) {
    const place = walk(value, path.slice(0, -1));
    const last = path.at(-1);
    if (place instanceof Map) place.set(last, replacement);
    else place[last] = replacement;
  }
  for (const path of edits.get('remove') ?? []) walk(value, path.slice(0, -1)).delete(path.at(-1));
  return canonical(value);
}
