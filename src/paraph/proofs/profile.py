"""The engine profile: everything about the machine side of an answer that can change its bits.

An auditor who runs the same model files on the same request under an equal profile gets the same bytes. Its digest is
signed in the receipt.
"""

from dataclasses import dataclass, fields

from paraph.core.digest import tagged
from paraph.core.encode import Json, as_integer, as_text, canonical, take
from paraph.core.ident import Digest
from paraph.core.tags import Tag


@dataclass(frozen=True, slots=True)
class EngineProfile:
    """What ran the model. A field that does not apply to an engine is empty text.

    Args:
        engine: `onnxruntime`, `llama.cpp` or `openai-upstream`.
        engine_version: the version of the installed wheel, or what the upstream says of itself.
        isa: class of the instruction set that the kernels were chosen for, e.g. `x86_64-avx2`.
        threads: threads that compute.
        optimisation: graph optimisation level, e.g. `extended`.
        batch_class: how requests share a batch: `single`, or `invariant` when the model was probed to be so.
        flash_attention: `on` or `off`.
        kv_type: number format of the attention cache, e.g. `f16`.
        chat_template_digest: SHA-256 of the chat template, as hex with 0x.
        sampler: the sampler chain by name and order, e.g. `top_k;top_p;min_p;temperature`.
        bit_exact: `yes` when equal profiles give equal bits, `no` when nothing is promised.
    """

    engine: str
    engine_version: str
    isa: str
    threads: int
    optimisation: str
    batch_class: str
    flash_attention: str
    kv_type: str
    chat_template_digest: str
    sampler: str
    bit_exact: str

    def as_json(self) -> dict[str, Json]:
        """The profile as a JSON object."""
        return {name: getattr(self, name) for name in _NAMES}

    def digest(self) -> Digest:
        """The 32 bytes that the receipt signs."""
        return tagged(Tag.PROFILE, canonical(self.as_json()))


_NAMES = tuple(field.name for field in fields(EngineProfile))


def profile_from_json(value: Json) -> EngineProfile:
    """Read what `EngineProfile.as_json` wrote. Raises `Malformed` (`json.shape`)."""
    found = dict(zip(_NAMES, take(value, "profile", *_NAMES), strict=True))
    threads = as_integer(found.pop("threads"), "profile.threads", 0, 4096)
    texts = {name: as_text(text, f"profile.{name}", bytes_max=256) for name, text in found.items()}
    return EngineProfile(threads=threads, **texts)
