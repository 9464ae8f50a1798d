"""What a bundle of the layer `zkml` claims: that the node promised a proof of this very answer, and that it holds.

The proof is verified here, whoever verified it before, on the graph and the commitment to the weights that the ledger
has, and against this input and output: that the input was theirs is for those who asked to check, and nobody else can.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from struct import unpack
from typing import Final

from paraph.core.digest import tagged
from paraph.core.encode import Json, JsonObject, as_list
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Digest, RequestKey, from_hex, to_hex
from paraph.core.limits import TENSORS_MAX
from paraph.core.smt import proves
from paraph.core.tags import Tag
from paraph.core.tensor import Tensor, tensor_from_json
from paraph.proofs.attested import UNALTERED
from paraph.proofs.bundle import Bundle
from paraph.proofs.policy import Trust
from paraph.proofs.promised import Promise, promise_from_json
from paraph.proofs.proven import BatchProof, ExactPart
from paraph.proofs.quotes.evidence import Checks
from paraph.proofs.receipt import Receipt
from paraph.proofs.records import ExactModel, Proven, exact_key, proven_key
from paraph.proofs.verdict import Claim, Outcome, claim
from paraph.proofs.zk.graph import Graph
from paraph.proofs.zk.statement import VERSION, Entry, Exact, Mode, Statement, commitment

SALT: Final = "salt"
"""The member of a body, and of its response, that makes their digests and the commitment hide them."""
SALT_BYTES: Final = 32
WORDS: Final = {Mode.SUCCINCT: "succinct (unaudited)", Mode.HIDING: "hiding (unaudited)"}
"""What a proof is called, everywhere: it is not said without that nobody has audited it."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an exact model, as its asker knows it.

    Args:
        salt: 32 random bytes, the asker's.
        inputs: int8.
        outputs: int32, little-endian.
    """

    salt: bytes
    inputs: bytes
    outputs: bytes

    @property
    def commitment(self) -> Digest:
        """What the node signs of it."""
        return commitment(self.salt, self.inputs, self.outputs)

    @property
    def x(self) -> Sequence[int]:
        """The input."""
        return unpack(f"<{len(self.inputs)}b", self.inputs)

    @property
    def y(self) -> Sequence[int]:
        """The output."""
        return unpack(f"<{len(self.outputs) // 4}i", self.outputs)

    def seed(self, key: RequestKey) -> Digest:
        """The seed of its rows in a hiding proof."""
        return seed_of(self.salt, key)


def seed_of(salt: bytes, key: bytes) -> Digest:
    """The seed of a request's rows in a hiding proof: whoever has the salt can derive it, and nobody else."""
    return tagged(Tag.ZK_SEED, salt + key)


def salt_of(value: Json) -> bytes:
    """Read a salt. Raises `Malformed` (`ident.hex`)."""
    return from_hex(value, SALT_BYTES, SALT)


def row_of(body: JsonObject) -> tuple[bytes, Tensor]:
    """The salt and the one row of integers of a request whose answer is to be proven.

    Raises:
        Malformed: `exact.request`: not one row of one INT8 input; `ident.hex`: no salt; the shapes of the parts.
    """
    return salt_of(body.get(SALT)), _one(body.get("inputs"), "inputs", "INT8")


def run_of(body: JsonObject, response: JsonObject) -> Run:
    """The run that a body and its response show.

    Raises:
        Malformed: as `row_of`, and `exact.response`: not one row of one INT32 output, or another salt.
    """
    salt, row = row_of(body)
    output = _one(response.get("outputs"), "outputs", "INT32")
    if response.get(SALT) != body[SALT]:
        raise Malformed("exact.response", "the response bears another salt than the request")
    return Run(salt, row.data, output.data)


def _one(listed: Json, what: str, datatype: str) -> Tensor:
    found = [tensor_from_json(each, what) for each in as_list(listed, what, items_max=TENSORS_MAX)]
    if [(each.datatype, each.shape[:1]) for each in found] != [(datatype, (1,))]:
        code = "exact.request" if datatype == "INT8" else "exact.response"
        raise Malformed(code, f"an answer is proven row by row: {what} must be one {datatype} tensor of one row")
    return found[0]


# --- the claims --------------------------------------------------------------------------------------------------


def evidence(bundle: Bundle) -> Claim:
    """`evidence.layer`: the promise is about exactly this input, output and salt."""
    receipt = bundle.answer.receipt.receipt
    try:
        part, _ = _parts(bundle)
        promise, run = promise_from_json(bundle.answer.evidence), run_of(bundle.body, bundle.answer.response)
        _need_fit(part.graph, run)
    except Malformed as error:
        return Claim("evidence.layer", Outcome.FAIL, f"the promise of a proof does not hold: {error.message}")
    return claim(
        "evidence.layer",
        promise.commitment == run.commitment and promise.due > receipt.height and bundle.chain.release is None,
        f"layer zkml: the node promised to prove, by block {promise.due}, that this output is the exact model's for"
        " this input",
        "the promise is of another input, output or salt, or due before it was made",
    )


def registered(bundle: Bundle) -> Claim:
    """`registry.exact`: what the ledger says that the model computes. Raises `Malformed` (`record.…`)."""
    receipt, root = bundle.answer.receipt.receipt, bundle.chain.seal.state_root
    part, shown = bundle.exact, bundle.chain.exact
    if part is None or shown is None:
        return Claim("registry.exact", Outcome.FAIL, "what the model computes exactly is not shown")
    record = ExactModel.decode(shown.record.value)
    return claim(
        "registry.exact",
        proves(root, exact_key(receipt.model_id), shown.record.value, shown.record.proof)
        and record.graph == part.graph.digest
        and record.version == VERSION,
        f"the model is registered as the exact model {_short(record.id)}: this graph, and weights by their commitment",
        "not shown by the ledger: that the model computes exactly this graph, proven by this version of the proofs",
    )


def proof(bundle: Bundle, trust: Trust, checks: Checks) -> Iterator[Claim]:
    """`proof.verified` and `proof.recorded`. Called where no other claim failed: it is the costliest to look at."""
    receipt = bundle.answer.receipt.receipt
    part, record = _parts(bundle)
    promise = promise_from_json(bundle.answer.evidence)
    if part.proof is None:
        yield Claim("proof.verified", Outcome.SKIP, f"promised by block {promise.due}, not proven yet in this file")
        yield _recorded(bundle, record, promise, None)
        return
    try:
        statement = _statement(part.graph, part.proof, record, receipt, trust)
        _prove(bundle, part.proof, statement, promise, checks)
    except (Malformed, Unverified) as error:
        yield Claim("proof.verified", Outcome.FAIL, f"the proof does not hold: {error.message} [{error.code}]")
        return
    yield Claim("proof.verified", Outcome.PASS, _proved(part.proof))
    yield _recorded(bundle, record, promise, statement)


def _statement(graph: Graph, shown: BatchProof, record: ExactModel, receipt: Receipt, trust: Trust) -> Statement:
    exact = Exact(graph, record.weight_root)
    return Statement(shown.mode, exact, receipt.node, trust.chain_id, shown.beacon, shown.entries)


def _prove(bundle: Bundle, shown: BatchProof, statement: Statement, promise: Promise, checks: Checks) -> None:
    key = bundle.answer.receipt.receipt.request_key
    if shown.entries[shown.index] != Entry(Digest(key), promise.commitment):
        raise Malformed("proof.entry", "the proof names another request, or another commitment, at this one's place")
    run = run_of(bundle.body, bundle.answer.response)
    seed = run.seed(key) if shown.mode is Mode.HIDING else None
    checks.zk(statement, shown.data).need_request(shown.index, run.x, run.y, seed)


def _proved(shown: BatchProof) -> str:
    count = len(shown.entries)
    others = "this request alone" if count == 1 else f"{count} requests, this one among them"
    return (
        f"proven, {WORDS[shown.mode]}: the node ran the registered exact model on this input, and this output came"
        f" out; the proof is about {others}"
    )


def _recorded(bundle: Bundle, record: ExactModel, promise: Promise, statement: Statement | None) -> Claim:
    receipt, seal = bundle.answer.receipt.receipt, bundle.chain.seal
    shown = None if bundle.chain.exact is None else bundle.chain.exact.proven
    if shown is None:
        return Claim("proof.recorded", Outcome.SKIP, "not shown that the network took a proof of this answer")
    try:
        found = Proven.decode(shown.value)
        mode = Mode(found.mode)
    except (Malformed, ValueError):
        return Claim("proof.recorded", Outcome.FAIL, "the ledger's record of the proof cannot be read")
    holds = (
        proves(seal.state_root, proven_key(receipt.payer, receipt.request_key), shown.value, shown.proof)
        and found.exact == record.id
        and found.height <= min(promise.due, seal.height)
    )
    if statement is not None:
        said = (statement.mode, statement.batch_root, len(statement.entries), statement.beacon)
        holds = holds and said == (mode, found.batch, found.size, found.beacon)
    return claim(
        "proof.recorded",
        holds,
        f"the network took a proof of it, {WORDS[mode]}, at block {found.height} of {promise.due} at the latest",
        "not shown by the ledger: that it took this proof of this answer",
    )


def _parts(bundle: Bundle) -> tuple[ExactPart, ExactModel]:
    if bundle.exact is None or bundle.chain.exact is None:
        raise Malformed("exact.missing", "what the model computes exactly is not shown")
    return bundle.exact, ExactModel.decode(bundle.chain.exact.record.value)


def _need_fit(graph: Graph, run: Run) -> None:
    found = len(run.inputs), len(run.outputs) // 4
    wanted = prod(graph.input), prod(graph.shapes[-1])
    if found != wanted:
        raise Malformed(
            "exact.shape", f"the model gives {wanted[1]} numbers for {wanted[0]}, not {found[1]} for {found[0]}"
        )


# --- what follows from them --------------------------------------------------------------------------------------


def answers(bundle: Bundle) -> Iterator[tuple[Outcome, str]]:
    """The answers to the four questions in their order, where no claim failed."""
    part, record = _parts(bundle)
    model = to_hex(bundle.answer.receipt.receipt.model_id)
    yield Outcome.PASS, f"{model}, by its exact model {to_hex(record.id)}, signs the node's registered key"
    if part.proof is None:
        promise = promise_from_json(bundle.answer.evidence)
        nothing = f"not shown yet: its proof is promised by block {promise.due}, and is not in this file"
        yield Outcome.SKIP, nothing
        yield Outcome.SKIP, nothing
    else:
        word = WORDS[part.proof.mode]
        yield Outcome.PASS, f"no: it ran with the weights that were committed to at registration; proven, {word}"
        yield Outcome.PASS, f"yes: this output is the model's for this input; proven, {word}"
    yield Outcome.PASS, UNALTERED


def not_checked(bundle: Bundle) -> Iterator[str]:
    """What is left to trust. Raises `Malformed` where the parts cannot be read."""
    part, _ = _parts(bundle)
    if part.proof is None:
        due = promise_from_json(bundle.answer.evidence).due
        yield f"that the node's machine ran this model: the proof is promised by block {due}, and not in this file"
    else:
        yield "that the proof system is sound, and hides what it should: nobody has audited it"
        yield "that the block in the proof's statement came after the request: only the ledger looks at that"
    if part.proof is not None and part.proof.mode is Mode.SUCCINCT:
        yield "who can learn of the input: parts of it can be learnt from a succinct proof, which is public"
    yield "that the weights committed to are the published ones: `paraph model recheck` commits to them anew"
    yield "that the exact model is as good as the one it was made from: its card holds a certificate of how close it is"
    yield "when it ran, and how long it took: times are the node's own word"


def _short(digest: Digest) -> str:
    return f"{to_hex(digest)[:18]}…"
