"""The engine profile: every field is in its digest, and other JSON is refused."""

from dataclasses import replace

import pytest
from tests.support.build import KINDS, Kind, profile_of, valid
from tests.support.change import varied

from paraph.core.encode import Json
from paraph.core.errors import Malformed
from paraph.proofs.check import judge
from paraph.proofs.profile import profile_from_json

PROFILE = profile_of("text")


def test_every_field_matters() -> None:
    """Any field changed changes the digest, and two neighbours' texts do not run into each other."""
    seen = {PROFILE.digest()}
    for name, other in varied(PROFILE):
        assert other.digest() not in seen, name
        seen.add(other.digest())

    assert replace(PROFILE, engine="ab", engine_version="c").digest() != (
        replace(PROFILE, engine="a", engine_version="bc").digest()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_checked(kind: Kind) -> None:
    """A profile that differs in any field from the signed one fails the bundle."""
    case = valid(kind)
    answer = case.bundle.answer
    for name, other in varied(answer.profile):
        found = judge(replace(case.bundle, answer=replace(answer, profile=other)), case.trust)
        assert [code for code, _ in found.reasons] == ["receipt.digests"], name


def test_profile_round_trips() -> None:
    """A profile is read back."""
    assert profile_from_json(PROFILE.as_json()) == PROFILE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("engine", 1),
        ("engine", "x" * 257),
        ("threads", -1),
        ("threads", 4097),
        ("threads", "4"),
        ("threads", True),
        ("kv_type", None),
        ("more", ""),
    ],
)
def test_other_json_is_refused(name: str, value: Json) -> None:
    """A member of another type, too long, out of range or unknown is refused."""
    with pytest.raises(Malformed) as caught:
        profile_from_json({**PROFILE.as_json(), name: value})

    assert caught.value.code == "json.shape"
