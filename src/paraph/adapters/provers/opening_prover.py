"""Both tests of the committed rows, and the columns that they are checked on.

Specified in docs/spec/zk.md, sections 8 and 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paraph.adapters.provers.elements import columns
from paraph.adapters.provers.encode import encoded, interpolated, recovered
from paraph.adapters.provers.kernels import Words, combined, rows_multiplied
from paraph.adapters.provers.layers_prover import Reduced
from paraph.adapters.provers.ranks import ranked
from paraph.adapters.provers.rows_committed import Rows
from paraph.adapters.provers.speech import Form, Speech, join
from paraph.adapters.provers.weights import CommittedWeights
from paraph.proofs.zk.field import ONE, ZERO, Ext, P, add, mul, powers, sub
from paraph.proofs.zk.plan import Segment
from paraph.proofs.zk.statement import Mode

CLAIMS_AT_ONCE = 32
"""Products of polynomials that are held at once."""


@dataclass(frozen=True, slots=True)
class Product:
    """A known line times a sum of rows.

    Args:
        line: (4, ℓ), on H.
        mixed: (4, ℓ): the sum of rows on H, plain.
        tail: (4, T): its randomness, plain.
    """

    line: Words
    mixed: Words
    tail: Words


def open_columns(speech: Speech, weights: CommittedWeights, rows: Rows, reduced: Reduced) -> None:
    """Say both tests, and open the columns that they are checked on.

    Args:
        speech: what was said so far.
        weights: the model's.
        rows: the witness's.
        reduced: what must be shown of both.
    """
    plan = speech.plan
    hiding = plan.mode is Mode.HIDING
    equations = _products(speech, rows) if hiding else []
    mask, beta = np.zeros((4, plan.test_degree), np.uint32), ONE
    if hiding:
        mask[:, : plan.degree] = rows.masks[1]
        mask[:, plan.line :] = (mask[:, plan.line :].astype(np.int64) + rows.masks[2]) % P
        speech.put(b"mu", _over_points(mask, plan.line))
        beta = speech.hear(b"beta")
    factors = powers(speech.hear(b"delta"), 1 + len(reduced.weights) + len(equations))
    near = _near(speech, weights, rows)
    speech.put_all(b"u", _packed(near))
    products = _of_vectors(speech, weights, rows, reduced, [mul(beta, each) for each in factors])
    if hiding:
        products += _of_pads(speech, rows, reduced, equations, [mul(beta, each) for each in factors])
    test = (_multiplied(speech, products).astype(np.int64) + mask) % P
    speech.put_all(b"q", _packed(test.astype(np.uint32)))
    chosen = sorted(set(speech.transcript.indices(b"columns", plan.queries, plan.codeword)))
    speech.data += weights.committed.opened(chosen)
    speech.data += rows.committed.opened(chosen)


def _products(speech: Speech, rows: Rows) -> list[Form]:
    """All equations between pads, those of the products last, for which the t's are said."""
    found = list(speech.equations)
    epsilon = speech.hear(b"epsilon")
    for number, (x, y) in enumerate(speech.products):
        z = speech.plan.messages + 3 * number
        t = add(mul(epsilon, rows.pads[x]), rows.pads[z + 1])
        speech.put(b"t", t)
        found.append({x: epsilon, z + 1: ONE})
        found.append({y: t, z: sub(ZERO, epsilon), z + 2: sub(ZERO, ONE)})
    return found


def _near(speech: Speech, weights: CommittedWeights, rows: Rows) -> Words:
    """u, (4, k)."""
    plan = speech.plan
    of_weights = _coins(speech, len(weights.lines))
    of_rows = _coins(speech, len(rows.lines))
    mixed = combined(of_weights, weights.lines).astype(np.int64) + combined(of_rows, rows.lines)
    found = np.zeros((4, plan.degree), np.int64)
    found[:, : plan.line] = interpolated((mixed % P).astype(np.uint32))
    tail = combined(of_rows, rows.tails).astype(np.int64)
    found[:, : plan.tail] -= tail
    found[:, plan.line :] += tail
    if plan.mode is Mode.HIDING:
        found += rows.masks[0]
        found += combined(_coins(speech, 8), np.concatenate(rows.masks[1:]))
    return (found % P).astype(np.uint32)


def _coins(speech: Speech, count: int) -> Words:
    """One for each row."""
    return columns([speech.hear(b"tau") for _ in range(count)])


def _of_vectors(
    speech: Speech, weights: CommittedWeights, rows: Rows, reduced: Reduced, factors: Sequence[Ext]
) -> list[Product]:
    """What is claimed of the witness vector, and of the weights."""
    plan = speech.plan
    no_tail = np.zeros((4, plan.tail), np.uint32)
    whole = Segment(0, plan.witness_bits)
    _, over, along = ranked(whole, reduced.point, plan.line, mul(factors[0], reduced.factor))
    vector, tails = rows.lines[: plan.vector_rows], rows.tails[: plan.vector_rows]
    found = [Product(along, combined(over, vector), combined(over, tails))]
    for claim, factor in zip(reduced.weights, factors[1:], strict=False):
        first, over, along = ranked(claim.segment, claim.point, plan.line, factor)
        mixed = combined(over, weights.lines[first : first + over.shape[1]])
        found.append(Product(along, mixed, no_tail))
    return found


def _of_pads(
    speech: Speech, rows: Rows, reduced: Reduced, equations: Sequence[Form], factors: Sequence[Ext]
) -> list[Product]:
    """What is claimed of the pads."""
    plan = speech.plan
    wanted: Form = {}
    join(wanted, reduced.form, sub(ZERO, factors[0]))
    for form, factor in zip(equations, factors[1 + len(reduced.weights) :], strict=True):
        join(wanted, form, factor)
    lines = np.zeros((4, plan.pad_groups * plan.line), np.uint32)
    numbers = list(wanted)
    lines[:, numbers] = columns([wanted[number] for number in numbers])
    found = []
    for group in range(plan.pad_groups):
        line = np.ascontiguousarray(lines[:, group * plan.line : (group + 1) * plan.line])
        first = plan.vector_rows + 4 * group
        found.append(Product(line, rows.lines[first : first + 4], rows.tails[first : first + 4]))
    return found


def _multiplied(speech: Speech, products: Sequence[Product]) -> Words:
    """The sum of all products, (4, Δ)."""
    plan = speech.plan
    cosets = -(-plan.test_degree // plan.line)
    none = np.zeros((4, 0), np.uint32)
    total = np.zeros((cosets * plan.line, 4), np.int64)
    for at in range(0, len(products), CLAIMS_AT_ONCE):
        some = products[at : at + CLAIMS_AT_ONCE]
        lines = encoded(np.concatenate([each.line for each in some]), np.concatenate([none for _ in some]), cosets)
        mixed = encoded(
            np.concatenate([each.mixed for each in some]), np.concatenate([each.tail for each in some]), cosets
        )
        total += rows_multiplied(mixed, lines)
    found = recovered((total % P).astype(np.uint32), plan.line.bit_length() - 1)
    return np.ascontiguousarray(found[:, : plan.test_degree])


def _over_points(test: Words, line: int) -> Ext:
    """The sum of a polynomial's values on H."""
    a, b, c, d = (int(each) * line % P for each in test[:, ::line].astype(np.int64).sum(axis=1))
    return (a, b, c, d)


def _packed(elements: Words) -> bytes:
    return np.ascontiguousarray(elements.T).astype("<u4").tobytes()
