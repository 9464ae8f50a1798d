"""Fake engines: they follow the ports to the letter and know nothing.

For tests and for trying a node without a model. Their answers are made of hashes; their profile says `fake`, and a
verdict shows it. Never serve one for pay.
"""

import hashlib
from collections.abc import AsyncIterator
from math import prod

from paraph.adapters.engines.onnx import check_inputs, choose_outputs
from paraph.adapters.engines.request import SAMPLING, read_request
from paraph.adapters.engines.stops import Stops
from paraph.core.encode import Json, JsonObject, canonical
from paraph.core.errors import Rejected, Unavailable
from paraph.core.tensor import ELEMENT_BYTES, Tensor
from paraph.flows.ports import Finish, Given, Piece, TensorSpec, TextEvent
from paraph.proofs.profile import EngineProfile

FAKE_PROFILE = EngineProfile(
    engine="fake",
    engine_version="1",
    isa="",
    threads=1,
    optimisation="",
    batch_class="invariant",
    flash_attention="",
    kv_type="",
    chat_template_digest="",
    sampler="",
    bit_exact="yes",
)

_WORDS = ("a", "bee", "came", "down", "every", "fine", "green", "hill", "in", "July", "kindly", "looking", "me", "over")


class FakeTextEngine:
    """A `TextEngine` whose words are chosen by the hash of the request, one token a word; it never ends by itself."""

    def __init__(self, context_tokens: int = 512) -> None:
        self._context_tokens = context_tokens
        self._closed = False
        self.cancelled = 0
        """How many answers were closed before their end."""

    @property
    def profile(self) -> EngineProfile:
        """Says `fake`."""
        return FAKE_PROFILE

    @property
    def parameters(self) -> frozenset[str]:
        """Those that the real engines have, but for tools and response formats."""
        return SAMPLING | {"stop", "logprobs", "top_logprobs"}

    @property
    def context_tokens(self) -> int:
        """Words of prompt and answer together."""
        return self._context_tokens

    async def generate(self, request: JsonObject) -> AsyncIterator[TextEvent]:
        """As the port says."""
        if self._closed:
            raise Unavailable("engine.closed", "this engine was closed")
        wanted = read_request(request, self.parameters)
        prompt = wanted.prompt or "".join(f"{message['role']}: {message['content']}\n" for message in wanted.messages)
        ids = tuple(hashlib.sha256(word.encode()).digest()[0] for word in prompt.split())
        if len(ids) + wanted.max_tokens > self._context_tokens:
            raise Rejected(
                "engine.context",
                f"{len(ids)} tokens of prompt and {wanted.max_tokens} of answer exceed {self._context_tokens}",
                prompt_tokens=len(ids),
                max_tokens=wanted.max_tokens,
                context_tokens=self._context_tokens,
            )
        seed = canonical({name: value for name, value in request.items() if name not in ("stop", "max_tokens")})
        stops = Stops(wanted.stop)
        ended = False
        count = 0
        try:
            yield Given(prompt, ids)
            while count < wanted.max_tokens and not stops.found:
                token = hashlib.sha256(seed + count.to_bytes(4, "big")).digest()[0] % len(_WORDS)
                word = (" " if count else "") + _WORDS[token]
                count += 1
                logprobs = (_entry(word, wanted.top_logprobs),) if wanted.logprobs else ()
                yield Piece(stops.feed(word), (token,), logprobs)
            rest = stops.rest()
            if rest:
                yield Piece(rest)
            ended = True
            yield Finish("stop" if stops.found else "length", len(ids), count)
        finally:
            self.cancelled += not ended

    async def embed(self, texts: tuple[str, ...]) -> tuple[tuple[tuple[float, ...], ...], int]:
        """Eight numbers of each text's hash."""
        rows = tuple(tuple(byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:8]) for text in texts)
        return rows, sum(len(text.split()) for text in texts)

    async def close(self) -> None:
        """Later calls raise `Unavailable`."""
        self._closed = True


class FakeTensorEngine:
    """A `TensorEngine` whose outputs are hashes of its inputs, row by row where both have rows."""

    def __init__(
        self,
        inputs: tuple[TensorSpec, ...] = (TensorSpec("x", "FP32", (-1, 4)),),
        outputs: tuple[TensorSpec, ...] = (TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "UINT8", (-1, 2))),
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._closed = False

    @property
    def profile(self) -> EngineProfile:
        """Says `fake`."""
        return FAKE_PROFILE

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As given."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """As given."""
        return self._outputs

    async def infer(self, inputs: tuple[Tensor, ...], outputs: tuple[str, ...]) -> tuple[Tensor, ...]:
        """As the port says."""
        if self._closed:
            raise Unavailable("engine.closed", "this engine was closed")
        check_inputs(self._inputs, inputs)
        rows = inputs[0].rows if inputs else 1
        return tuple(_made(spec, rows, inputs) for spec in choose_outputs(self._outputs, outputs))

    async def close(self) -> None:
        """Later calls raise `Unavailable`."""
        self._closed = True


def _entry(word: str, top: int) -> JsonObject:
    entry: dict[str, Json] = {"token": word, "logprob": -1.5, "bytes": list(word.encode())}
    return {**entry, "top_logprobs": [entry][:top]}


def _made(spec: TensorSpec, rows: int, inputs: tuple[Tensor, ...]) -> Tensor:
    shape = tuple(rows if side == -1 else side for side in spec.shape)
    each = prod(shape) // rows if rows else 0
    parts = []
    for row in range(rows):
        seed = spec.name.encode() + b"".join(
            tensor.data[row * size : (row + 1) * size] for tensor in inputs for size in (len(tensor.data) // rows,)
        )
        digest = hashlib.sha256(seed).digest()
        for index in range(each):
            byte = digest[index % len(digest)]
            if spec.datatype == "BYTES":
                parts.append(b"\x02\x00\x00\x00" + f"{byte:02x}".encode())
            elif spec.datatype == "BOOL":
                parts.append(bytes([byte & 1]))
            else:
                parts.append(byte.to_bytes(ELEMENT_BYTES[spec.datatype], "little"))
    return Tensor(spec.name, spec.datatype, shape, b"".join(parts))
