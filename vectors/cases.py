"""The cases of each kind of vector but bundles: what goes in and what must come out, by the project's own code."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, ParamSpec

from vectors import enclaves, forms, light, validators, world

from paraph.core import eip712, encode, merkle, rlp
from paraph.core.digest import keccak256, sha256, tagged
from paraph.core.encode import Json, canonical
from paraph.core.errors import Malformed, must
from paraph.core.ident import ZERO_DIGEST, Address, Digest, to_hex
from paraph.core.keys import CURVE_ORDER, PrivateKey, address_from_text, checksummed, recover
from paraph.core.smt import EMPTY, StateProof, proves
from paraph.core.tags import Tag
from paraph.ledger import tree
from paraph.ledger.block import Result
from paraph.ledger.contract import Log
from paraph.ledger.genesis import decode_genesis
from paraph.proofs import records
from paraph.proofs.header import HASHES_KEPT, HEAD_KEY, hash_key
from paraph.proofs.manifest import manifest_from_json
from paraph.proofs.policy import decode_trust
from paraph.proofs.receipt import RECEIPT_STRUCT, SIGNATURE_EVIDENCE, stream_next, stream_start
from paraph.proofs.request import REQUEST_STRUCT, SETTLEMENT, domain
from paraph.proofs.seal import engine_chain_id

HERE: Final = Path(__file__).parent


P = ParamSpec("P")


def code_of(act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> str | None:
    """The code of the refusal that `act` meets, or None."""
    try:
        act(*args, **kwargs)
    except Malformed as error:
        return error.code
    return None


# --- canonical JSON ----------------------------------------------------------------------------------------------

WRITTEN: Final = {
    "null": "null",
    "spaces": ' { "b" : [ 1 , 2 ] ,\t"a":\r\n{ } } ',
    "names sort by UTF-16": '{"\\ud83e\\udd50":1,"\\ufb33":2,"é":3,"e":4,"":5,"10":6,"9":7,"\\r":8}',
    "escapes": '"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\\\/\\u007f\\u2028\\u20ac"',
    "letters beyond the BMP": '["🥐","\\ud83e\\udd50"]',
    "integers": "[0,-1,9007199254740991,-9007199254740991,1234567890123456]",
    "integers in other spellings": "[1.0,1e3,-0,-0.0,100e-2,9.007199254740991e15]",
    "fractions": "[0.1,-0.5,1.5e-7,0.000001,0.0000001,123456789.123456789,2.5e-5,5e-324,2.2250738585072014e-308]",
    "fractions that are rounded": "[0.30000000000000004,0.1000000000000000055511151231257827,4503599627370497.5]",
    "depth 32": "[" * 32 + "1" + "]" * 32,
    "an empty name and an empty text": '{"":""}',
}
REFUSED: Final[dict[str, bytes]] = {
    "nothing": b"",
    "two values": b"1 2",
    "a trailing comma": b"[1,]",
    "a missing value": b'{"a":}',
    "a name without quotes": b"{a:1}",
    "a leading zero": b"[01]",
    "a leading plus": b"[+1]",
    "a bare point": b"[1.]",
    "a leading point": b"[.5]",
    "an exponent without digits": b"[1e]",
    "hexadecimal": b"[0x10]",
    "a word": b"[True]",
    "a form feed between values": b"[1,\x0c2]",
    "a no-break space between values": b"[1,\xc2\xa02]",
    "a string without end": b'"abc',
    "a string that ends in a backslash": b'"abc\\',
    "a control in a string": b'"a\x01b"',
    "an escape that is none": b'"\\q"',
    "a short escape": b'"\\u12"',
    "an escape with a space": b'"\\u 123"',
    "NaN": b"[NaN]",
    "an infinity": b"[Infinity]",
    "a negative infinity": b"[-Infinity]",
    "2^53": b"[9007199254740992]",
    "-2^53": b"[-9007199254740992]",
    "2^53 as a float": b"[9007199254740992.0]",
    "1e21": b"[1e21]",
    "1e400": b"[1e400]",
    "20 digits": b"[12345678901234567890]",
    "a name twice": b'{"a":1,"b":2,"a":1}',
    "a name twice in depth": b'[{"a":{"b":1,"b":2}}]',
    "a name twice by escape": b'{"a":1,"\\u0061":2}',
    "a high surrogate alone": b'["\\ud800"]',
    "a low surrogate alone": b'["\\udc00"]',
    "a surrogate in a name": b'{"\\ud800":1}',
    "surrogates with a gap": b'["\\ud83e \\udd50"]',
    "depth 33": b"[" * 33 + b"]" * 33,
    "depth 33 of objects": b'{"a":' * 33 + b"1" + b"}" * 33,
    "a lone continuation byte": b'"\x80"',
    "an overlong slash": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "beyond U+10FFFF": b'"\xf4\x90\x80\x80"',
    "a byte-order mark": b"\xef\xbb\xbf1",
}
DOUBLES: Final = (
    "0000000000000001 8000000000000001 7fefffffffffffff ffefffffffffffff 4340000000000000 c340000000000000"
    " 433fffffffffffff 4430000000000000 44b52d02c7e14af5 44b52d02c7e14af6 7ff8000000000000 7ff0000000000000"
    " 8000000000000000 3eb0c6f7a0b5ed8d 3eb0c6f7a0b5ed8c 3e7ad7f29abcaf48 41b3de4355555553 becbf647612f3696"
    " 43143ff3c1cb0959 3fb999999999999a 3ff0000000000001 4024333333333333"
).split()


def canonical_json() -> Json:
    """Texts and what becomes of them, and doubles and their spelling."""
    written: list[Json] = []
    for name, text in WRITTEN.items():
        value = encode.decode(text.encode())
        exact = code_of(encode.decode_exact, text.encode())
        again = canonical(value)
        written.append(
            {"name": name, "text": text, "canonical": again.decode(), "sha256": to_hex(sha256(again)), "exact": exact}
        )
    refused: list[Json] = [
        {"name": name, "bytes": to_hex(data), "refused": code_of(encode.decode, data)} for name, data in REFUSED.items()
    ]
    bits = [*DOUBLES, *(validators.seeded(f"double {index}")[:8].hex() for index in range(200))]
    # Half of the seeded ones are brought near 1, where people's numbers are.
    bits[-100:] = [f"{0x3F0 + int(each[:2], 16) % 0x60:03x}{each[3:]}" for each in bits[-100:]]
    return {"written": written, "refused": refused, "doubles": [_double(each) for each in bits]}


def _double(bits: str) -> Json:
    value = struct.unpack(">d", bytes.fromhex(bits))[0]
    code = code_of(encode.spelled, value)
    return {"bits": "0x" + bits} | ({"spelled": encode.spelled(value)} if code is None else {"refused": code})


def digests() -> Json:
    """Every tag over the same bytes."""
    data = b"paraph"
    return {
        "data": to_hex(data),
        "sha256": to_hex(sha256(data)),
        "keccak256": to_hex(keccak256(data)),
        "tagged": {tag.value: to_hex(tagged(tag, data)) for tag in Tag},
    }


# --- keys, requests, receipts, headers ---------------------------------------------------------------------------


def keys() -> Json:
    """Addresses, signatures, and what is refused."""
    secrets = [
        bytes(31) + b"\x01",
        (CURVE_ORDER - 1).to_bytes(32, "big"),
        *(validators.seeded(f"k{i}") for i in range(3)),
    ]
    sign = [(secret, digest) for secret in secrets for digest in (Digest(bytes(32)), validators.seeded("message"))]
    message = validators.seeded("message")
    good = world.PAYER.sign(message)
    r, s, v = good[:32], good[32:64], good[64:]
    order = CURVE_ORDER.to_bytes(32, "big")
    high = (CURVE_ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    signatures = {
        "as signed": good,
        "by another v": r + s + bytes((55 - v[0],)),
        "high s": r + high + bytes((55 - v[0],)),
        "64 bytes": good[:64],
        "66 bytes": good + b"\x00",
        "v of 0": r + s + b"\x00",
        "v of 29": r + s + b"\x1d",
        "r of zero": bytes(32) + s + v,
        "s of zero": r + bytes(32) + v,
        "r at the order": order + s + v,
        "r that is no point": (5).to_bytes(32, "big") + s + v,
    }
    texts = [checksummed(world.PAYER.address), to_hex(world.PAYER.address), "0x" + world.PAYER.address.hex().upper()]
    mixed = texts[0]
    swapped = mixed[:2] + "".join(_swap_first(mixed[2:]))
    texts += [swapped, mixed[:-1], mixed + "0", mixed[2:], "0X" + mixed[2:], "0x" + "g" * 40, ""]
    return {
        "address": [
            {
                "secret": to_hex(s_),
                "address": to_hex(PrivateKey(s_).address),
                "text": checksummed(PrivateKey(s_).address),
            }
            for s_ in secrets
        ],
        "secret_refused": [
            {"secret": to_hex(each), "refused": code_of(PrivateKey, each)}
            for each in (b"", bytes(32), order, b"\xff" * 32, bytes(30) + b"\x01", bytes(32) + b"\x01")
        ],
        "sign": [
            {"secret": to_hex(secret), "digest": to_hex(digest), "signature": to_hex(PrivateKey(secret).sign(digest))}
            for secret, digest in sign
        ],
        "recover": [
            {
                "name": name,
                "digest": to_hex(message),
                "signature": to_hex(signature),
                **_address(recover, message, signature),
            }
            for name, signature in signatures.items()
        ],
        "address_text": [{"text": text, **_address(address_from_text, text, "it")} for text in texts],
    }


def _swap_first(digits: str) -> Iterator[str]:
    """The digits with the case of the first letter turned."""
    turned = False
    for digit in digits:
        yield digit.swapcase() if digit.isalpha() and not turned else digit
        turned = turned or digit.isalpha()


def _address(act: Callable[P, Address], *args: P.args, **kwargs: P.kwargs) -> dict[str, Json]:
    try:
        return {"address": to_hex(act(*args, **kwargs))}
    except Malformed as error:
        return {"refused": error.code}


def requests() -> Json:
    """Signed requests with every hash on the way."""
    made: list[Json] = []
    for story in (world.TEXT, world.TENSOR):
        signed = story.request()
        made.append(
            {
                "name": story.name,
                "body": canonical(story.body).decode(),
                "request": signed.as_json(),
                "struct_hash": to_hex(signed.request.hash()),
                "signing_digest": to_hex(signed.request.signing_digest(signed.chain_id)),
            }
        )
    typed = eip712.Typed(REQUEST_STRUCT)
    return {
        "type": typed.type_string,
        "type_hash": to_hex(typed.type_hash),
        "verifying_contract": to_hex(SETTLEMENT),
        "domain_separator": to_hex(domain(world.CHAIN_ID)),
        "requests": made,
    }


def receipts() -> Json:
    """Signed receipts with what their digests stand for."""
    made: list[Json] = []
    for story in (world.TEXT, world.TENSOR, world.LATE):
        receipt = story.receipt()
        signed = world.sign_receipt(receipt)
        given = story.body["inputs"] if story.given is None else story.given
        made.append(
            {
                "name": story.name,
                "given": canonical(given).decode(),
                "response": canonical(story.response).decode(),
                "profile": canonical(story.profile.as_json()).decode(),
                "evidence": canonical(SIGNATURE_EVIDENCE).decode(),
                "receipt": signed.as_json(),
                "struct_hash": to_hex(receipt.hash()),
                "signing_digest": to_hex(receipt.signing_digest(world.CHAIN_ID)),
            }
        )
    typed = eip712.Typed(RECEIPT_STRUCT)
    return {
        "type": typed.type_string,
        "type_hash": to_hex(typed.type_hash),
        "chain_id": world.CHAIN_ID,
        "receipts": made,
    }


def streams() -> Json:
    """Chains over chunks."""
    made: list[Json] = []
    for name, chunks in (("no chunks", ()), ("two chunks", world.CHUNKS), ("two chunks, swapped", world.CHUNKS[::-1])):
        start = world.TEXT.request().request.hash()
        links = [stream_start(start)]
        for chunk in chunks:
            links.append(stream_next(links[-1], chunk))
        texts: list[Json] = [canonical(chunk).decode() for chunk in chunks]
        shown: list[Json] = [to_hex(link) for link in links]
        made.append({"name": name, "request_hash": to_hex(start), "chunks": texts, "links": shown})
    return made


def headers() -> Json:
    """Signed headers, their hash, what of them stands in state, and the places of earlier hashes there."""
    first = world.LEDGER.header
    zero = world.Ledger({}, world.STRANGER, height=0, gas_used=0, parent=bytes(32)).header
    heights = (0, 1, 255, 256, HASHES_KEPT - 1, HASHES_KEPT, HASHES_KEPT + 44, 2**53 - 1)
    return {
        "headers": [
            {
                "name": name,
                "header": signed.as_json(),
                "hash": to_hex(signed.header.hash()),
                "signer": to_hex(recover(signed.header.hash(), signed.signature)),
                "head": to_hex(signed.header.head().encode()),
            }
            for name, signed in (("a block", first), ("an empty state at height 0", zero))
        ],
        "head_key": to_hex(HEAD_KEY),
        "hash_keys": [{"height": height, "key": to_hex(hash_key(height))} for height in heights],
    }


def results() -> Json:
    """Results of transactions, the leaves that a header commits to, and their root."""
    where = Address(bytes(18) + b"\x0a\x05")
    log = Log(where, (validators.seeded("event"), validators.seeded("topic")), b"data")
    made = {
        "a call": Result(1, validators.seeded("tx 1"), 50_000, 10**9, b"output", "", (log, Log(where, (), b""))),
        "a transfer": Result(1, validators.seeded("tx 2"), 21_000, 10**9, b"", "", ()),
        "a failed call": Result(
            0, validators.seeded("tx 3"), 30_000, 2 * 10**9, b"revert data", "escrow.empty: there is not enough", ()
        ),
        "a failure in other words": Result(
            0, validators.seeded("tx 3"), 30_000, 2 * 10**9, b"other data", "escrow.empty: nothing is there", ()
        ),
        "one that was skipped": Result(2, ZERO_DIGEST, 0, 0, b"", "tx.nonce: the nonce is 3; 4 is next", ()),
    }
    leaves = [result.leaf() for result in made.values()]
    return {
        "results": [
            {
                "name": name,
                "status": result.status,
                "hash": to_hex(result.hash),
                "gas_used": result.gas_used,
                "gas_price": result.gas_price,
                "output": to_hex(result.output),
                "error": result.error,
                "logs": [
                    {
                        "address": to_hex(each.address),
                        "topics": [to_hex(topic) for topic in each.topics],
                        "data": to_hex(each.data),
                    }
                    for each in result.logs
                ],
                "leaf": to_hex(result.leaf()),
            }
            for name, result in made.items()
        ],
        "root": to_hex(merkle.root(leaves)),
    }


def genesis() -> Json:
    """Genesis documents, their digests, and the trust files that follow from them."""
    made: list[Json] = []
    for found in (world.GENESIS, world.GENESIS_VALIDATORS, enclaves.GENESIS):
        document = canonical(found.as_json())
        must(decode_genesis(document) == found, "a genesis reads back")
        made.append(
            {
                "name": found.network,
                "document": document.decode(),
                "digest": to_hex(found.digest()),
                "trust": found.trust().encode().decode(),
                "engine_chain_id": engine_chain_id(found.chain_id, found.digest()),
                "releases": [to_hex(records.release_id(each.platform, each.measurements)) for each in found.releases],
            }
        )
    return made


def trusts() -> Json:
    """Trust files, and what is refused."""
    solo, agreed = world.TRUST, world.TRUST_VALIDATORS
    good: dict[str, Any] = agreed.as_json()
    anchor: dict[str, Any] = good["anchor"]
    many = [to_hex(world.PRODUCER.address)] * 17
    wrong: dict[str, dict[str, Any]] = {
        "another format": {"format": "paraph/trust/2"},
        "nobody pinned": {"anchor": None},
        "a producer beside validators": {"producers": many[:1]},
        "devnet as a number": {"devnet": 0},
        "17 producers": {"producers": many},
        "a producer that is null": {"producers": [None]},
        "a genesis of 20 bytes": {"genesis": to_hex(world.PRODUCER.address)},
        "a name of 129 bytes": {"network": "n" * 129},
        "a chain id below zero": {"chain_id": -1},
        "a period below zero": {"trusting_period_s": -1},
        "a period that is null": {"trusting_period_s": None},
        "an unknown member": {"note": ""},
        "a simulated root where value is": {"simulated_root": "0x00", "devnet": False},
        "a simulated root of 1025 bytes": {"simulated_root": "0x" + "00" * 1_025},
        "a simulated root that is null": {"simulated_root": None},
        "a simulated root in capitals": {"simulated_root": "0xAA"},
        "an anchor that is a list": {"anchor": []},
        "an anchor at height 0": {"anchor": anchor | {"height": 0}},
        "an anchor after the end of time": {"anchor": anchor | {"time_s": 253_402_300_800}},
        "an anchor with a member more": {"anchor": anchor | {"more": 1}},
        "an anchor without validators": {"anchor": {name: anchor[name] for name in ("height", "time_s")}},
        "an anchor with a power as a number": {
            "anchor": anchor | {"validators": [{"key": "0x" + "00" * 32, "power": 1}]}
        },
    }
    return {
        "trusts": [
            {"name": name, "trust": found.encode().decode()}
            for name, found in (("a producer", solo), ("validators", agreed), ("enclaves", enclaves.TRUST))
        ],
        "refused": [
            {"name": name, "trust": good | changed, "refused": code_of(decode_trust, canonical(good | changed))}
            for name, changed in wrong.items()
        ],
    }


# --- trees and records -------------------------------------------------------------------------------------------


def merkle_trees() -> Json:
    """Roots, inclusion and consistency, true and false."""
    leaves = [bytes([index]) * index for index in range(20)]
    inclusion: list[dict[str, Any]] = []
    for size in (1, 2, 3, 5, 7, 8, 20):
        for index in sorted({0, 1, size // 2, size - 1} & set(range(size))):
            proof = list(merkle.inclusion_proof(leaves[:size], index))
            inclusion.append(_inclusion(leaves[index], index, size, proof))
    path = list(merkle.inclusion_proof(leaves[:7], 3))
    false: list[tuple[int, int, list[Digest]]] = [
        (3, 7, path[::-1]),
        (3, 7, path[:-1]),
        (3, 7, [*path, path[0]]),
        (2, 7, path),
        (7, 7, path),
        (3, 8, path),
    ]
    inclusion += [_inclusion(leaves[3], *each) for each in false]
    consistency = []
    for old, new in ((1, 1), (1, 2), (2, 3), (3, 7), (4, 7), (6, 20), (8, 20), (16, 20), (20, 20)):
        proof = list(merkle.consistency_proof(leaves[:new], old))
        consistency.append(_consistency(leaves, old, new, proof))
        consistency.append(_consistency(leaves, old, new, [*proof, validators.seeded("more")]))
        if proof:
            consistency.append(_consistency(leaves, old, new, proof[:-1]))
    roots: list[Json] = [to_hex(merkle.root(leaves[:size])) for size in range(len(leaves) + 1)]
    return {
        "leaves": [to_hex(leaf) for leaf in leaves],
        "roots": roots,
        "inclusion": inclusion,
        "consistency": consistency,
    }


def _inclusion(leaf: bytes, index: int, size: int, path: list[Digest]) -> dict[str, Any]:
    found = merkle.root_from_inclusion(leaf, index, size, path)
    shown = [to_hex(each) for each in path]
    return {"leaf": to_hex(leaf), "index": index, "size": size, "path": shown, "root": found and to_hex(found)}


def _consistency(leaves: list[bytes], old: int, new: int, proof: list[Digest]) -> dict[str, Any]:
    holds = merkle.consistent(merkle.root(leaves[:old]), old, merkle.root(leaves[:new]), new, proof)
    return {"old": old, "new": new, "proof": [to_hex(each) for each in proof], "holds": holds}


def state_proofs() -> Json:
    """States, their roots, and proofs of presence and absence, true and false."""
    states = [{}, {b"one": b"1"}, {bytes([index]): bytes([index]) * index for index in range(40)}]
    return [_state(state) for state in states]


def _state(state: dict[bytes, bytes]) -> Json:
    update = tree.update(dict[bytes, bytes]().get, EMPTY, state)
    shown: list[Json] = []

    def show(key: bytes, value: bytes | None, proof: StateProof) -> None:
        holds = proves(update.root, key, value, proof)
        said = None if value is None else to_hex(value)
        shown.append({"key": to_hex(key), "value": said, "proof": proof.as_json(), "holds": holds})

    asked = [*list(state)[:6], *(b"absent %d" % index for index in range(8))]
    for key in asked:
        value, proof = state.get(key), tree.prove(update.added.get, update.root, key)
        show(key, value, proof)
        show(key, b"a lie" if value is None else None, proof)
        if proof.siblings:
            show(key, value, StateProof(proof.siblings[::-1], proof.other))
            show(key, value, StateProof(proof.siblings[1:], proof.other))
        if proof.other:
            for other in (proof.other[:63], proof.other[:1], proof.other + b"\x00", sha256(key) + proof.other[32:]):
                show(key, value, StateProof(proof.siblings, other))
            show(key, value, StateProof(proof.siblings))
    return {
        "state": [[to_hex(key), to_hex(value)] for key, value in state.items()],
        "root": to_hex(update.root),
        "proofs": shown,
    }


def record_bytes() -> Json:
    """Records, their keys in state and their bytes."""
    model_id = world.TEXT_MODEL.model_id()
    signer, stranger, node = world.SIGNER.address, world.STRANGER.address, world.NODE.address
    rows: list[tuple[bytes, list[Json], records.Record]] = [
        (records.node_key_key(signer), [to_hex(signer)], records.NodeKey(node, 10, 0)),
        (records.node_key_key(stranger), [to_hex(stranger)], records.NodeKey(node, 10, 39)),
        (records.model_key(model_id), [to_hex(model_id)], world.model_record(world.TEXT)),
        (records.price_key(model_id, 1), [to_hex(model_id), 1], world.TEXT_PRICE),
        (records.price_key(model_id, 258), [to_hex(model_id), 258], records.Price(2**200, 0, 1, world.TIME_S)),
        (records.batch_key(world.BATCH_NUMBER), [world.BATCH_NUMBER], world.BATCH),
    ]
    rows += [(HEAD_KEY, [], world.LEDGER.header.header.head())]
    signed, release = enclaves.SIGNER.address, enclaves.RELEASE_ID
    closed = replace(enclaves.enclave_record(), height_last=41, closed_s=world.TIME_S + 410)
    revoked = replace(enclaves.release_record(), height_last=42, revoked_s=world.TIME_S + 420)
    rows += [
        (records.enclave_key(signed), [to_hex(signed)], enclaves.enclave_record()),
        (records.enclave_key(signed), [to_hex(signed)], closed),
        (records.release_key(release), [to_hex(release)], enclaves.release_record()),
        (records.release_key(release), [to_hex(release)], revoked),
    ]
    return [
        {
            "record": type(record).__name__,
            "of": of,
            "key": to_hex(key),
            "fields": _fields(record),
            "value": to_hex(record.encode()),
        }
        for key, of, record in rows
    ]


def _fields(record: records.Record) -> dict[str, Json]:
    names: Any = record.__slots__
    found = {name: getattr(record, name) for name in names}
    return {name: _field(value) for name, value in found.items()}


def _field(value: Any) -> Json:
    match value:
        case bytes():
            return to_hex(value)
        case tuple():
            return [to_hex(each) for each in value]
        case _:
            return str(value)


def rlp_bytes() -> Json:
    """RLP, and what is refused."""
    long = b"x" * 56
    deep: rlp.Rlp = []
    for _ in range(16):
        deep = [deep]
    items: list[rlp.Rlp] = [
        b"",
        b"\x00",
        b"\x7f",
        b"\x80",
        b"dog",
        long,
        [],
        [b"cat", [b"", [b"\x01"]]],
        [long, long * 5],
        deep,
    ]
    refused = (
        "00 00|81 00|81 7f|b8 37|b8 00|b9 00 38|82 61|c1|c2 81 01|f8 00|f8 37|f7|b8|bf ff ff ff ff ff ff ff ff".split(
            "|"
        )
    )
    return {
        "items": [{"item": _shown(item), "rlp": to_hex(rlp.encode(item))} for item in items],
        "refused": ["0x", *("0x" + each.replace(" ", "") for each in refused), to_hex(world.nested_rlp(18))],
    }


def _shown(item: rlp.Rlp) -> Json:
    return to_hex(item) if isinstance(item, bytes) else [_shown(part) for part in item]


def manifests() -> Json:
    """Manifests with their ids, and what is refused."""
    made: list[Json] = [
        {
            "name": model.name,
            "manifest": model.as_json(),
            "digest": to_hex(model.digest()),
            "model_id": to_hex(model.model_id()),
        }
        for model in (world.TEXT_MODEL, world.TENSOR_MODEL)
    ]
    good = world.TEXT_MODEL.as_json()
    first, second = (file.as_json() for file in world.TEXT_MODEL.files)
    wrong: dict[str, dict[str, Json]] = {
        "another format": {"format": "paraph/manifest/2"},
        "another kind": {"kind": "image"},
        "another batch class": {"batch_class": "maybe"},
        "an unknown member": {"licence": "MIT"},
        "no files": {"files": []},
        "files out of order": {"files": [second, first]},
        "a file twice": {"files": [first, first]},
        "a name of 129 bytes": {"name": "n" * 129},
        "a size below zero": {"files": [first | {"size": -1}]},
    }
    paths = ["", "/a", "a/", "a//b", "../a", "a/./b", "a\\b", "a\nb", "a\x7f", "é.gguf", "a" * 257]
    wrong |= {f"the path {path[:20]!r}": {"files": [first | {"path": path}]} for path in paths}
    refused: list[Json] = [
        {"name": name, "manifest": good | changed, "refused": code_of(manifest_from_json, good | changed)}
        for name, changed in wrong.items()
    ]
    return {"manifests": made, "refused": refused}


KINDS: Final[dict[str, Callable[[], Json]]] = {
    "canonical-json": canonical_json,
    "digest": digests,
    "keys": keys,
    "rlp": rlp_bytes,
    "request": requests,
    "receipt": receipts,
    "stream": streams,
    "header": headers,
    "result": results,
    "trust": trusts,
    "genesis": genesis,
    "merkle": merkle_trees,
    "state-proof": state_proofs,
    "records": record_bytes,
    "manifest": manifests,
    "ed25519": light.ed25519_signatures,
    "light-block": light.light_blocks,
    "light-chain": light.light_chains,
    "response-form": forms.response_forms,
}
