// One claim of a verdict: its code and its outcome.
export const claim = (code, holds) => ({ code, outcome: holds ? 'PASS' : 'FAIL' });
