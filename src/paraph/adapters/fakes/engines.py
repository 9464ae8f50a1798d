"""Fake engines: they follow the ports to the letter and know nothing.

For tests and for trying a node without a model. Their answers are made of hashes; their profile says `fake`, and a
verdict shows it. Never serve one for pay.
"""

import hashlib
from collections.abc import AsyncIterator
from math import prod

from paraph.core.encode import Json, JsonObject, as_integer, as_list, as_object, as_text, canonical
from paraph.core.errors import Malformed, Rejected, Unavailable
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

_RANGES = {
    "temperature": (0, 10),
    "top_p": (0, 1),
    "top_k": (0, 1 << 20),
    "min_p": (0, 1),
    "repeat_penalty": (0, 10),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "seed": (0, 2**32 - 1),
}


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
        return frozenset({*_RANGES, "stop", "logprobs", "top_logprobs"})

    @property
    def context_tokens(self) -> int:
        """Words of prompt and answer together."""
        return self._context_tokens

    async def generate(self, request: JsonObject) -> AsyncIterator[TextEvent]:
        """As the port says."""
        if self._closed:
            raise Unavailable("engine.closed", "this engine was closed")
        prompt, most, stops = self._read(request)
        ids = tuple(hashlib.sha256(word.encode()).digest()[0] for word in prompt.split())
        if len(ids) + most > self._context_tokens:
            raise Rejected(
                "engine.context",
                f"{len(ids)} tokens of prompt and {most} of answer exceed the context of {self._context_tokens}",
                prompt_tokens=len(ids),
                max_tokens=most,
                context_tokens=self._context_tokens,
            )
        seed = canonical({name: value for name, value in request.items() if name not in ("stop", "max_tokens")})
        tokens = [hashlib.sha256(seed + index.to_bytes(4, "big")).digest()[0] % len(_WORDS) for index in range(most)]
        words = [(" " if index else "") + _WORDS[token] for index, token in enumerate(tokens)]
        whole = "".join(words)
        # The whole answer is known beforehand, so where it stops is too.
        found = min(((whole.find(stop), stop) for stop in stops if stop in whole), default=(len(whole), ""))
        cut, end = found[0], found[0] + len(found[1])
        ended = False
        shown = count = 0
        try:
            yield Given(prompt, ids)
            for token, word in zip(tokens, words, strict=True):
                count += 1
                logprobs = (_entry(word, request.get("top_logprobs", 0)),) if request.get("logprobs") else ()
                yield Piece(word[: max(0, cut - shown)], (token,), logprobs)
                shown += len(word)
                if found[1] and shown >= end:
                    break
            ended = True
            yield Finish("stop" if found[1] else "length", len(ids), count)
        finally:
            self.cancelled += not ended

    def _read(self, request: JsonObject) -> tuple[str, int, list[str]]:
        """Prompt, most tokens and stop strings. Raises `Rejected` as the port says."""
        unknown = sorted(request.keys() - self.parameters - {"kind", "model", "messages", "prompt", "max_tokens"})
        if unknown:
            raise Rejected("engine.parameter", f"this engine does not honour {', '.join(unknown)}")
        try:
            for name, (low, high) in _RANGES.items():
                found = request.get(name, low)
                if not isinstance(found, int | float) or not low <= found <= high:
                    raise Malformed("json.shape", f"{name} must be from {low} to {high}")
            most = as_integer(request.get("max_tokens"), "max_tokens", 1)
            stops = [as_text(stop, "stop") for stop in as_list(request.get("stop", ()), "stop", items_max=16)]
            if "" in stops:
                raise Malformed("json.shape", "a stop string must not be empty")
            if request.get("kind") == "completion":
                return as_text(request.get("prompt"), "prompt"), most, stops
            messages = [
                as_object(each, "message") for each in as_list(request.get("messages"), "messages", items_max=999)
            ]
            return "".join(f"{each.get('role')}: {each.get('content')}\n" for each in messages), most, stops
        except Malformed as error:
            raise Rejected("engine.request", f"the request: {error.message}") from error

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
        _check(self._inputs, inputs)
        known = {spec.name: spec for spec in self._outputs}
        if not known.keys() >= set(outputs) or len(set(outputs)) != len(outputs):
            raise Rejected("engine.output_name", f"the outputs are {sorted(known)}; asked for {list(outputs)}")
        rows = inputs[0].rows if inputs else 1
        return tuple(_made(known[name], rows, inputs) for name in outputs or known)

    async def close(self) -> None:
        """Later calls raise `Unavailable`."""
        self._closed = True


def _check(specs: tuple[TensorSpec, ...], inputs: tuple[Tensor, ...]) -> None:
    expected = {spec.name: spec for spec in specs}
    names = sorted(tensor.name for tensor in inputs)
    if names != sorted(expected):
        raise _wrong("input_name", "the inputs", ", ".join(sorted(expected)), ", ".join(names))
    for tensor in inputs:
        spec = expected[tensor.name]
        if tensor.datatype != spec.datatype:
            raise _wrong("input_dtype", f"the datatype of {tensor.name}", spec.datatype, tensor.datatype)
        fits = len(tensor.shape) == len(spec.shape) and all(
            declared in (-1, side) for declared, side in zip(spec.shape, tensor.shape, strict=True)
        )
        if not fits:
            raise _wrong("input_shape", f"the shape of {tensor.name}", str(list(spec.shape)), str(list(tensor.shape)))


def _wrong(reason: str, what: str, expected: str, got: str) -> Rejected:
    return Rejected(f"engine.{reason}", f"{what} must be {expected}; got {got}", expected=expected, got=got)


def _entry(word: str, top: Json) -> JsonObject:
    entry: dict[str, Json] = {"token": word, "logprob": -1.5, "bytes": list(word.encode())}
    return {**entry, "top_logprobs": [entry][: as_integer(top, "top_logprobs", 0, 20)]}


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
