"""The opened columns of a proof, checked fast against both commitments and both tests.

Specified in docs/spec/zk.md, sections 8 and 9.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import numpy as np

from paraph.adapters.provers.check_argument import Reduced
from paraph.adapters.provers.elements import Indices, columns
from paraph.adapters.provers.encode import encoded, evaluated, places
from paraph.adapters.provers.hearing import Hearing, Value, canonical, refuse
from paraph.adapters.provers.kernels import Words, combined, rows_multiplied
from paraph.adapters.provers.ranks import ranked
from paraph.adapters.provers.speech import MINUS_ONE, Form, join
from paraph.core.ident import Digest
from paraph.proofs.zk.field import ELEMENT_BYTES, GENERATOR, ONE, ZERO, Ext, P, add, mul, powers, root_of_unity, sub
from paraph.proofs.zk.plan import HASH_BYTES, MASK_ROWS, SALT_BYTES, Plan, Segment
from paraph.proofs.zk.statement import Mode

LINES_AT_ONCE: Final = 32
"""Known lines that are encoded at once."""


def open_columns(hearing: Hearing, reduced: Reduced, witness: Digest, weights: Digest) -> dict[int, list[int]]:
    """Check what is left against both commitments; the witness's opened columns.

    Raises:
        Unverified: `zk.…`: the first thing that is not right.
    """
    plan, hiding = hearing.plan, hearing.hiding
    equations = _equations(hearing) if hiding else []
    mu = hearing.sent(b"mu") if hiding else ZERO
    beta = hearing.challenge(b"beta") if hiding else ONE
    factors = powers(hearing.challenge(b"delta"), 1 + len(reduced.weights) + len(equations))
    right = add(mu, mul(beta, _right(reduced, factors, equations)))
    # u's own mask has no part in the combination of rows.
    own_rows = plan.weight_rows + plan.witness_rows - (4 if hiding else 0)
    mixing = columns([hearing.challenge(b"tau") for _ in range(own_rows)])
    near = hearing.elements(b"u", plan.degree)
    test = hearing.elements(b"q", plan.test_degree)
    if _over_points(test, plan.line) != right:
        refuse("zk.sum", "the committed values do not fit what was said of them")
    chosen = sorted(set(hearing.transcript.indices(b"columns", plan.queries, plan.codeword)))
    of_weights = _columns(hearing, chosen, plan.weight_rows, weights, "weights", salted=False)
    of_witness = _columns(hearing, chosen, plan.witness_rows, witness, "witness", salted=hiding)
    where = places(plan.codeword)[chosen]
    bits = plan.line.bit_length() - 1
    if (_mixed(plan, mixing, of_weights, of_witness) != evaluated(near, bits)[where]).any():
        refuse("zk.proximity", "the rows' combination is not what their opened columns give")
    factors = [mul(beta, each) for each in factors]
    tested = _tested(hearing, reduced, factors, equations, of_weights, of_witness, where)
    if hiding:
        tested = (tested + _masks(plan, of_witness, chosen)) % P
    if (tested != evaluated(test, bits)[where]).any():
        refuse("zk.test", "the linear test is not what its opened columns give")
    hearing.end()
    return dict(zip(chosen, of_witness.T.tolist(), strict=True))


def _equations(hearing: Hearing) -> list[Value]:
    """All equations between pads, those of the products last."""
    found = list(hearing.equations)
    epsilon = hearing.challenge(b"epsilon")
    for number, (x, y) in enumerate(hearing.products):
        z = hearing.plan.messages + 3 * number
        t = hearing.sent(b"t")
        found.append(Value(sub(ZERO, t), {x: epsilon, z + 1: ONE}))
        found.append(Value(ZERO, {y: t, z: sub(ZERO, epsilon), z + 2: MINUS_ONE}))
    return found


def _right(reduced: Reduced, factors: Sequence[Ext], equations: Sequence[Value]) -> Ext:
    """The combined claim's value."""
    values = [reduced.value.known, *(each.value for each in reduced.weights)]
    values += [sub(ZERO, each.known) for each in equations]
    found = ZERO
    for value, factor in zip(values, factors, strict=True):
        found = add(found, mul(value, factor))
    return found


def _over_points(test: Words, line: int) -> Ext:
    """The sum of a polynomial's values on H."""
    a, b, c, d = (int(each) * line % P for each in test[:, ::line].astype(np.int64).sum(axis=1))
    return a, b, c, d


def _columns(hearing: Hearing, chosen: Sequence[int], rows: int, root: Digest, what: str, *, salted: bool) -> Words:
    """The opened columns of a matrix, (rows, columns), plain."""
    salt, size = SALT_BYTES if salted else 0, rows * ELEMENT_BYTES
    data = hearing.take(len(chosen) * (salt + size))
    parts = [data[at : at + salt + size] for at in range(0, len(data), salt + size)]
    found = canonical(b"".join(part[salt:] for part in parts), f"a column of the {what}")
    hashes = [sha256(b"\0" + part).digest() for part in parts]
    if _root(hearing, chosen, hashes) != root:
        refuse(f"zk.{what}", f"the opened columns are not those of the committed {what}")
    return np.ascontiguousarray(found.reshape(-1, rows).T)


def _root(hearing: Hearing, chosen: Sequence[int], leaves: Sequence[bytes]) -> bytes:
    """The root that leaves at these rising indices lead to, with the hashes that the proof gives."""
    indices, level = list(chosen), list(leaves)
    for _ in range(hearing.plan.codeword.bit_length() - 1):
        above: list[int] = []
        hashes: list[bytes] = []
        at, count = 0, len(indices)
        while at < count:
            index, own = indices[at], level[at]
            at += 1
            if index & 1:
                pair = hearing.take(HASH_BYTES) + own
            elif at < count and indices[at] == index + 1:
                pair = own + level[at]
                at += 1
            else:
                pair = own + hearing.take(HASH_BYTES)
            above.append(index >> 1)
            hashes.append(sha256(b"\1" + pair).digest())
        indices, level = above, hashes
    return level[0]


def _mixed(plan: Plan, mixing: Words, weights: Words, witness: Words) -> Indices:
    """What u is at the opened columns, (columns, 4)."""
    own = witness
    if plan.mode is Mode.HIDING:
        own = np.concatenate((witness[:-MASK_ROWS], witness[4 - MASK_ROWS :]))
    rows = np.concatenate((weights, own))
    found: Indices = combined(mixing, rows).astype(np.int64)
    if plan.mode is Mode.HIDING:
        found += witness[-MASK_ROWS : 4 - MASK_ROWS]
    return found.T % P


def _masks(plan: Plan, witness: Words, chosen: Sequence[int]) -> Indices:
    """What q's masks are at the opened columns, (columns, 4)."""
    root = root_of_unity(plan.codeword.bit_length() - 1)
    # X^ℓ at the column's point.
    powers_there = np.array([pow(GENERATOR * pow(root, index, P), plan.line, P) for index in chosen], np.int64)
    found: Indices = (witness[-8:-4] + witness[-4:].astype(np.int64) * powers_there % P) % P
    return found.T


def _tested(
    hearing: Hearing,
    reduced: Reduced,
    factors: Sequence[Ext],
    equations: Sequence[Value],
    weights: Words,
    witness: Words,
    where: Indices,
) -> Indices:
    """What q is at the opened columns less its masks, (columns, 4)."""
    plan = hearing.plan
    whole = Segment(0, plan.witness_bits)
    _, over, along = ranked(whole, reduced.point, plan.line, mul(factors[0], reduced.factor))
    lines, mixed = [along], [combined(over, witness[: plan.vector_rows])]
    for claim, factor in zip(reduced.weights, factors[1:], strict=False):
        first, over, along = ranked(claim.segment, claim.point, plan.line, factor)
        lines.append(along)
        mixed.append(combined(over, weights[first : first + over.shape[1]]))
    if hearing.hiding:
        wanted: Form = {}
        join(wanted, reduced.value.pads, sub(ZERO, factors[0]))
        for equation, factor in zip(equations, factors[1 + len(reduced.weights) :], strict=True):
            join(wanted, equation.pads, factor)
        pads = np.zeros((4, plan.pad_groups * plan.line), np.uint32)
        numbers = list(wanted)
        pads[:, numbers] = columns([wanted[number] for number in numbers])
        for group in range(plan.pad_groups):
            lines.append(np.ascontiguousarray(pads[:, group * plan.line : (group + 1) * plan.line]))
            first = plan.vector_rows + 4 * group
            mixed.append(witness[first : first + 4])
    found = np.zeros((len(where), 4), np.int64)
    for at in range(0, len(lines), LINES_AT_ONCE):
        some = np.concatenate(lines[at : at + LINES_AT_ONCE])
        known = encoded(some, np.empty((len(some), 0), np.uint32))[where]
        heard = np.ascontiguousarray(np.concatenate(mixed[at : at + LINES_AT_ONCE]).T)
        found += rows_multiplied(heard, known)
    return found % P
