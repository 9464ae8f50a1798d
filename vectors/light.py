"""The cases of what validators sign: ed25519 signatures, light blocks, and chains of them, true and false."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from vectors import validators, world
from vectors.validators import FIRST, SECOND, THIRD, header, members, public, seeded, signed, with_votes

from paraph.core import ed25519
from paraph.core.encode import Json
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import to_hex
from paraph.proofs.light.reading import light_block_from_json
from paraph.proofs.light.types import ABSENT, Anchor, Flag, LightBlock, Timestamp, Validator, validators_hash
from paraph.proofs.light.verify import check, verify_chain

CHAIN_ID: Final = "vectors-light"
TIME_S: Final = world.TIME_S
ANCHOR: Final = Anchor(1, members(FIRST), TIME_S)
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""The order of ed25519's large subgroup (RFC 8032)."""
FIELD: Final = 2**255 - 19


def ed25519_signatures() -> Json:
    """Signatures, and what must be refused although a library may accept it."""
    message = b"a vote"
    key, good = public("ann"), validators.key("ann").sign(message)
    s_plus_order = (int.from_bytes(good[32:], "little") + ORDER).to_bytes(32, "little")
    order_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
    small = {"0": 0, "1": 1, "-1": FIELD - 1, "of order 8": order_8, "the other of order 8": FIELD - order_8}
    # R has a part of order 8: it verifies where both sides are multiplied by the cofactor, and must not here.
    cofactor = "4c261951fba9f4ba7ece40431f212269f58becc2473c54cecda0e8f1e6f9d253"
    cofactor += "09db24d29288588f1083db7f66a7c0e7f4c8ae1a3f9b90355c6259d08edca90e"
    neutral = (1).to_bytes(32, "little")
    made: list[tuple[str, bytes, bytes, bytes]] = [
        ("as signed", key, message, good),
        ("nothing signed", key, b"", validators.key("ann").sign(b"")),
        ("another message", key, b"a note", good),
        ("another key", public("ben"), message, good),
        ("another R", key, message, bytes((good[0] ^ 1,)) + good[1:]),
        ("another S", key, message, good[:32] + bytes((good[32] ^ 1,)) + good[33:]),
        ("S and the order", key, message, good[:32] + s_plus_order),
        ("only with the cofactor", key, message, bytes.fromhex(cofactor)),
        ("63 bytes", key, message, good[:63]),
        ("65 bytes", key, message, good + b"\x00"),
        ("a key of 31 bytes", key[:31], message, good),
        ("a key off the curve", (2).to_bytes(32, "little"), message, good),
        ("R not canonical", key, message, (FIELD + 1).to_bytes(32, "little") + good[32:]),
    ]
    for name, y in small.items():
        for sign in (0, 1):
            spelled = (y | sign << 255).to_bytes(32, "little")
            made.append((f"a key of y {name}, sign {sign}", spelled, message, neutral + bytes(32)))
    made += [
        (f"a key of y {y - FIELD} beyond the field", y.to_bytes(32, "little"), message, neutral + bytes(32))
        for y in (FIELD, FIELD + 1, FIELD + 2, 2**255 - 1)
    ]
    return [
        {
            "name": name,
            "key": to_hex(key),
            "message": to_hex(text),
            "signature": to_hex(signature),
            "holds": ed25519.verify(key, text, signature),
        }
        for name, key, text, signature in made
    ]


# --- blocks ------------------------------------------------------------------------------------------------------


def block(
    height: int, powers: validators.Powers, following: validators.Powers | None = None, **more: Any
) -> LightBlock:
    """A block of this page's own chain, signed by all, or as `signers`, `nil` and `round_` say."""
    votes = {name: more.pop(name) for name in ("signers", "nil", "round_") if name in more}
    chain_id = more.pop("chain_id", CHAIN_ID)
    return signed(header(chain_id, height, TIME_S + 10 * height, powers, following, **more), powers, **votes)


def light_blocks() -> Json:
    """Blocks, with every hash and signed message on the way, and what is refused."""
    many = {f"validator {index}": 1 + index % 3 for index in range(200)}
    good = {
        "one validator": block(2, {"ann": 1}),
        "four validators": block(2, FIRST),
        "the first block": block(1, FIRST),
        "another round": block(2, FIRST, round_=3),
        "one absent": block(2, FIRST, signers=("ann", "ben", "dan")),
        "one for no block": block(2, FIRST, nil=("cat",)),
        "only just enough": block(2, {"ann": 67, "ben": 33}, signers=("ann",)),
        "the set changes": block(9, FIRST, SECOND),
        "no application hash": block(2, FIRST, app_hash=b""),
        "a long application hash": block(2, FIRST, app_hash=bytes(range(64))),
        "no application version": block(2, FIRST, version_app=0),
        "at the end of time": block(2**53 - 1, FIRST, time=Timestamp(253_402_300_799, 999_999_999)),
        "at the beginning of time": block(2, FIRST, time=Timestamp(0, 0)),
        "a name in other letters": block(2, FIRST, chain_id="Brötchen 🥐"),
        "the most power": block(2, {"ann": (2**63 - 1) // 8}),
        "two hundred validators": block(2, many),
        "a forged vote among enough": forged(block(2, FIRST), 3),
    }
    bad = dict(_bad_blocks())
    return {
        "blocks": [_block(name, each) for name, each in (good | bad).items()],
        "refused": [
            {"name": name, "block": value, "refused": _refusal(value)} for name, value in _misshapen(block(2, FIRST))
        ],
    }


def forged(found: LightBlock, place: int) -> LightBlock:
    """The block with the vote in one place signed by another key."""
    votes = list(found.commit.signatures)
    message = found.commit.message(place, found.header.chain_id)
    votes[place] = replace(votes[place], signature=validators.key("a stranger").sign(message))
    return with_votes(found, *votes)


def _bad_blocks() -> Iterator[tuple[str, LightBlock]]:
    four = block(2, FIRST)
    ann, ben, cat, dan = four.commit.signatures
    yield "version 12", block(2, FIRST, version_block=12)
    yield "two thirds exactly", block(2, dict.fromkeys(("ann", "ben", "cat"), 1), signers=("ann", "ben"))
    yield "too few votes", block(2, FIRST, signers=("ben", "cat"))
    yield "no votes", block(2, FIRST, signers=())
    yield "too few for this block", block(2, FIRST, nil=("ann",))
    yield "a forged vote", forged(four, 0)
    yield "votes in each other's place", with_votes(four, ben, ann, cat, dan)
    yield "a vote for no block called one for it", with_votes(four, replace(ann, flag=Flag.NIL), ben, cat, dan)
    later = replace(ann, time=Timestamp(ann.time.seconds + 1, ann.time.nanos))
    yield "a vote at another time", with_votes(four, later, ben, cat, dan)
    yield "votes of another round", replace(four, commit=replace(four.commit, round=1))
    yield "votes of another chain", with_votes(four, *block(2, FIRST, chain_id="another").commit.signatures)
    parts = replace(four.commit.block_id, parts_total=2)
    yield "votes for other parts", replace(four, commit=replace(four.commit, block_id=parts))
    parts = replace(four.commit.block_id, parts_hash=seeded("other parts"))
    yield "votes for parts of another hash", replace(four, commit=replace(four.commit, block_id=parts))
    others: tuple[tuple[str, Any], ...] = (
        ("app_hash", seeded("another app")),
        ("height", 3),
        ("last_block_id", None),
        ("proposer", bytes(20)),
        ("next_validators_hash", seeded("another set")),
        ("time", Timestamp(four.header.time.seconds, 0)),
    )
    for name, value in others:
        yield f"votes for another {name}", replace(four, header=replace(four.header, **{name: value}))
    yield "another set than the header's", replace(four, validators=block(2, {**FIRST, "ann": 40_001}).validators)
    yield "nobody in the set", _of_set(())
    first = Validator(public("ann"), 2)
    yield "a key twice", _of_set((first, Validator(public("ann"), 1)))
    yield "no power", _of_set((first, Validator(public("ben"), 0)))
    yield "too much power", _of_set((Validator(public("ben"), (2**63 - 1) // 8), Validator(public("ann"), 1)))
    yield "the least power first", _of_set((Validator(public("ben"), 1), first))
    same = sorted((Validator(public(name), 1) for name in ("ann", "ben")), key=lambda each: each.address)
    yield "the highest address first", _of_set(tuple(reversed(same)))


def _of_set(found: tuple[Validator, ...]) -> LightBlock:
    """A block that names that set, whatever it is, and is signed by nobody."""
    made = block(2, FIRST)
    named = replace(made.header, validators_hash=validators_hash(found))
    return LightBlock(named, replace(made.commit, signatures=(ABSENT,) * len(found)), found)


def _block(name: str, found: LightBlock) -> Json:
    shown = found.as_json()
    read = light_block_from_json(shown)
    flags = [signature.flag for signature in read.commit.signatures]
    messages: list[Json] = [
        None if flag is Flag.ABSENT else to_hex(read.commit.message(index, read.header.chain_id))
        for index, flag in enumerate(flags)
    ]
    return {
        "name": name,
        "chain_id": read.header.chain_id,
        "block": shown,
        "hash": to_hex(read.header.hash()),
        "validators_hash": to_hex(validators_hash(read.validators)),
        "messages": messages,
        "unverified": _fault(read),
    }


def _fault(found: LightBlock) -> str | None:
    try:
        check(found, found.header.chain_id)
    except Unverified as error:
        return error.code
    return None


def _refusal(value: Json) -> str | None:
    try:
        light_block_from_json(value)
    except Malformed as error:
        return error.code
    return None


def _misshapen(found: LightBlock) -> Iterator[tuple[str, Json]]:
    good: Any = found.as_json()
    parts: dict[str, dict[str, Any]] = {
        "header": {
            "version_block": "11", "chain_id": "c" * 51, "height": 0, "time": {"seconds": 1}, "last_block_id": {},
            "data_hash": "0x", "app_hash": "0x" + "00" * 65, "proposer": "0x" + "00" * 21, "more": None,
        },
        "commit": {
            "round": 2**31, "parts_total": 0, "parts_hash": None, "signatures": good["commit"]["signatures"][:3],
            "height": 2, "more": None,
        },
    }  # fmt: skip
    for part, changes in parts.items():
        for name, value in changes.items():
            yield f"{part}.{name}", good | {part: good[part] | {name: value}}
    times = ({"seconds": -1}, {"seconds": 253_402_300_800}, {"nanos": 10**9}, {"nanos": 0.5}, {"more": 0})
    for at, each in enumerate(times):
        time = good["header"]["time"] | each
        yield f"header.time {at}", good | {"header": good["header"] | {"time": time}}
    vote = good["commit"]["signatures"][0]
    wrong: tuple[Any, ...] = (
        {}, False, vote | {"flag": 1}, vote | {"flag": 4}, vote | {"flag": "2"}, vote | {"signature": "0x"},
        vote | {"validator": to_hex(public("ann"))}, vote | {"time": None},
    )  # fmt: skip
    for at, each in enumerate(wrong):
        votes = [each, *good["commit"]["signatures"][1:]]
        yield f"vote {at}", good | {"commit": good["commit"] | {"signatures": votes}}
    member = good["validators"][0]
    for at, each in enumerate(
        ({"power": 1}, {"power": "01"}, {"power": str(2**60)}, {"key": "0x"}, {"more": None}, {"power": "-1"})
    ):
        yield f"validator {at}", good | {"validators": [member | each, *good["validators"][1:]]}
    yield "201 validators", _of_set(tuple(Validator(seeded(str(at)), 1) for at in range(201))).as_json()
    yield "no object", [good]
    yield "a member too few", {name: good[name] for name in ("header", "commit")}


# --- chains ------------------------------------------------------------------------------------------------------


def light_chains() -> Json:
    """Chains from an anchor, and the code of the step that fails."""
    return [_chain(*each) for each in _chains()]


def _chains() -> Iterator[tuple[str, Anchor, Sequence[LightBlock], str]]:
    def case(name: str, *blocks: LightBlock, anchor: Anchor = ANCHOR, chain_id: str = CHAIN_ID) -> Any:
        return name, anchor, blocks, chain_id

    later = Anchor(5, members(FIRST), TIME_S + 50)
    joined = {**THIRD, "hal": 6}
    yield case("the anchor's own block", block(1, FIRST))
    yield case("the next blocks", block(1, FIRST), block(2, FIRST, SECOND), block(3, SECOND, THIRD), block(4, THIRD))
    yield case("a block far ahead", block(1_000, FIRST))
    yield case("more than a third of the anchor's power", block(50, SECOND))
    yield case("over one in between", block(20, SECOND), block(50, {"eve": 5, "cat": 3}))
    yield case("next and far", block(20, SECOND, THIRD), block(21, THIRD), block(50, joined))
    yield case("64 blocks", *(block(height, {"ann": 1}) for height in range(1, 65)), anchor=_alone())
    yield case("from an anchor that is not the first", block(5, FIRST), anchor=later)
    yield case("at the anchor's very second", block(1, FIRST, time=Timestamp(TIME_S, 0)))
    yield case("a nanosecond later", block(1, FIRST), block(2, FIRST, time=Timestamp(TIME_S + 10, 250_000_001)))
    yield case("no blocks")
    yield case("65 blocks", *(block(height, {"ann": 1}) for height in range(1, 66)), anchor=_alone())
    yield case("another chain", block(1, FIRST), chain_id="another")
    yield case("another chain in the second", block(1, FIRST), block(2, FIRST, chain_id="another"))
    yield case("below the anchor", block(4, FIRST), anchor=later)
    yield case("before the anchor's time", block(5, FIRST, time=Timestamp(TIME_S + 49, 999_999_999)), anchor=later)
    yield case("the same height twice", block(2, FIRST), block(2, FIRST))
    yield case("a lower height", block(3, FIRST), block(2, FIRST))
    yield case("the same time twice", block(1, FIRST), block(2, FIRST, time=Timestamp(TIME_S + 10, 250_000_000)))
    yield case("another set at the anchor's height", block(1, SECOND))
    yield case("another set than announced", block(1, FIRST), block(2, SECOND))
    yield case("strangers far ahead", block(50, THIRD))
    third = {"ann": 1, "ben": 1, "cat": 1}
    yield case("a third exactly", block(50, {"ann": 1}), anchor=Anchor(1, members(third), TIME_S))
    yield case("powers are those of the trusted set", block(50, {"dan": 90, "eve": 10}))
    yield case("too few votes in between", block(20, SECOND, signers=("eve",)), block(21, SECOND))
    yield case("an anchor of nobody", block(1, FIRST), anchor=replace(ANCHOR, validators=()))
    yield case("an anchor out of order", block(1, FIRST), anchor=replace(ANCHOR, validators=ANCHOR.validators[::-1]))
    yield case("an anchor with a key twice", block(1, FIRST), anchor=replace(ANCHOR, validators=ANCHOR.validators * 2))
    other = tuple(replace(each, power=each.power + 1) for each in ANCHOR.validators)
    yield case("an anchor of other powers", block(1, FIRST), anchor=replace(ANCHOR, validators=other))
    yield case("an anchor of another network", block(1, FIRST), anchor=replace(ANCHOR, validators=members(THIRD)))


def _alone() -> Anchor:
    return Anchor(1, members({"ann": 1}), TIME_S)


def _chain(name: str, anchor: Anchor, blocks: Sequence[LightBlock], chain_id: str) -> Json:
    try:
        verify_chain(anchor, blocks, chain_id)
        fault = None
    except Unverified as error:
        fault = error.code
    shown: list[Json] = [each.as_json() for each in blocks]
    return {"name": name, "chain_id": chain_id, "anchor": anchor.as_json(), "blocks": shown, "unverified": fault}
