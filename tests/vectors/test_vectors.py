"""The frozen vectors: the generator writes the same bytes again, and what is read from the files is what we compute.

The same files are read a second time by code that shares nothing with ours: `npm test` in vectors/verify-js.
"""

import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from vectors import exact, generate
from vectors.cases import code_of

from paraph.core import ed25519, encode, rlp
from paraph.core.digest import sha256, tagged
from paraph.core.encode import canonical
from paraph.core.errors import Malformed, Unverified
from paraph.core.ident import Address, Digest, to_hex
from paraph.core.keys import PrivateKey, recover
from paraph.core.merkle import consistent, root, root_from_inclusion
from paraph.core.smt import StateProof, proves
from paraph.core.tags import Tag
from paraph.ledger.block import Result
from paraph.ledger.contract import Log
from paraph.ledger.genesis import decode_genesis
from paraph.proofs import header, records
from paraph.proofs.attestation import attestation_from_json, prove
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import check_form, judge
from paraph.proofs.header import HEAD_KEY, Head, hash_key, header_from_json
from paraph.proofs.light.reading import anchor_from_json, light_block_from_json
from paraph.proofs.light.types import ABSENT, validators_hash
from paraph.proofs.light.verify import check, verify_chain
from paraph.proofs.manifest import manifest_from_json
from paraph.proofs.policy import decode_trust
from paraph.proofs.quotes import binding, nitro
from paraph.proofs.quotes.claims import trust_class
from paraph.proofs.quotes.ecdsa import p384_sha384
from paraph.proofs.quotes.policy import Policy
from paraph.proofs.receipt import receipt_from_json, stream_next, stream_start
from paraph.proofs.records import release_id
from paraph.proofs.request import body_digest, request_from_json
from paraph.proofs.seal import engine_chain_id
from paraph.proofs.zk.graph_json import graph_from_bytes
from paraph.proofs.zk.statement import Entry, Exact, Mode, Statement, commitment
from paraph.proofs.zk.verify import verify as verify_zk
from paraph.proofs.zk.weights import weight_root

FOLDER: Final = Path(generate.__file__).parent
FILES: Final = generate.files()


def cases(kind: str) -> Any:
    return json.loads((FOLDER / kind / "cases.json").read_bytes())


TRUSTS: Final = {case["file"]: (FOLDER / "bundle" / case["trust"]).read_bytes() for case in cases("bundle")}
LEASTS: Final = {case["file"]: case["least"] for case in cases("bundle")}


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def unverified(act: Callable[[], object]) -> str | None:
    """The code of the step that fails, or None."""
    try:
        act()
    except (Malformed, Unverified) as error:
        return error.code
    return None


def named(found: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", found, ids=[str(case["name"]) for case in found])


@pytest.mark.parametrize("path", FILES)
def test_generator_reproduces(path: str) -> None:
    """The committed file is, byte for byte, what the generator writes."""
    assert (FOLDER / path).read_bytes() == FILES[path](), "run python -m vectors.generate, and write why in the commit"


def test_every_file_is_generated() -> None:
    """No vector lies about that the generator does not know."""
    assert {str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*.json")} - {
        "verify-js/package.json",
        "verify-js/package-lock.json",
    } == set(FILES)


@pytest.mark.parametrize("kind", generate.KINDS)
def test_kind_has_its_format(kind: str) -> None:
    """Each kind says in FORMAT.md how it is read."""
    assert (FOLDER / kind / "FORMAT.md").read_text().startswith(f"# {kind}\n")


@named(cases("canonical-json")["written"])
def test_canonical_json_written(case: dict[str, Any]) -> None:
    """A text is read, written again in the one way, and hashed; read exactly, it is accepted or refused as said."""
    value = encode.decode(case["text"].encode())

    assert encode.canonical(value).decode() == case["canonical"]
    assert to_hex(sha256(encode.canonical(value))) == case["sha256"]
    assert code_of(encode.decode_exact, case["text"].encode()) == case["exact"]
    assert encode.decode_exact(case["canonical"].encode()) == value


@named(cases("canonical-json")["refused"])
def test_canonical_json_refused(case: dict[str, Any]) -> None:
    """What is not strict JSON is refused with its code, read exactly or not."""
    assert code_of(encode.decode, raw(case["bytes"])) == case["refused"]
    assert code_of(encode.decode_exact, raw(case["bytes"])) == case["refused"]


@pytest.mark.parametrize("case", cases("canonical-json")["doubles"], ids=lambda case: case["bits"])
def test_double_is_spelled(case: dict[str, Any]) -> None:
    """A double is spelled as ECMAScript spells it, and reads back to the same bits."""
    value = struct.unpack(">d", raw(case["bits"]))[0]

    if "refused" in case:
        assert code_of(encode.spelled, value) == case["refused"]
    else:
        assert encode.spelled(value) == case["spelled"]
        assert float(case["spelled"]) == value


def test_tagged_digests() -> None:
    """Every tag is in the vectors, with its digest."""
    found = cases("digest")

    assert {tag.value: to_hex(tagged(tag, raw(found["data"]))) for tag in Tag} == found["tagged"]


def test_signatures() -> None:
    """Signatures are deterministic and recover; all else is refused with its code."""
    found = cases("keys")
    for case in found["sign"]:
        key = PrivateKey(raw(case["secret"]))
        assert to_hex(key.sign(Digest(raw(case["digest"])))) == case["signature"]
        assert recover(Digest(raw(case["digest"])), raw(case["signature"])) == key.address
    for case in found["recover"]:
        refused = code_of(recover, Digest(raw(case["digest"])), raw(case["signature"]))
        assert refused == case.get("refused"), case["name"]


def test_rlp() -> None:
    """Items and their bytes, both ways; what is not in its one form is refused."""

    def item(shown: Any) -> rlp.Rlp:
        return raw(shown) if isinstance(shown, str) else [item(each) for each in shown]

    found = cases("rlp")
    for case in found["items"]:
        assert rlp.encode(item(case["item"])) == raw(case["rlp"])
        assert rlp.decode(raw(case["rlp"])) == item(case["item"])
    for text in found["refused"]:
        with pytest.raises(Malformed, match=r"rlp\.form"):
            rlp.decode(raw(text))


@named(cases("request")["requests"])
def test_request(case: dict[str, Any]) -> None:
    """A signed request reads, hashes, and was signed by its payer over its body."""
    signed = request_from_json(case["request"])

    assert to_hex(signed.request.hash()) == case["struct_hash"]
    assert to_hex(signed.request.signing_digest(signed.chain_id)) == case["signing_digest"]
    assert (
        body_digest(encode.as_object(encode.decode_exact(case["body"].encode()), "body")) == signed.request.body_digest
    )
    assert signed.signed_by_payer()


@named(cases("receipt")["receipts"])
def test_receipt(case: dict[str, Any]) -> None:
    """A signed receipt reads, hashes, and was signed by its signer over the digests of what is shown."""
    signed = receipt_from_json(case["receipt"])
    tags = (("given", Tag.GIVEN), ("response", Tag.RESPONSE_BODY), ("profile", Tag.PROFILE), ("evidence", Tag.EVIDENCE))

    assert to_hex(signed.receipt.hash()) == case["struct_hash"]
    for name, tag in tags:
        assert tagged(tag, case[name].encode()) == getattr(signed.receipt, f"{name}_digest")
    assert signed.signed_by_signer(cases("receipt")["chain_id"])


@named(cases("stream"))
def test_stream(case: dict[str, Any]) -> None:
    """Each link follows from the one before and the chunk."""
    links = [stream_start(Digest(raw(case["request_hash"])))]
    for chunk in case["chunks"]:
        links.append(stream_next(links[-1], encode.decode_exact(chunk.encode())))

    assert [to_hex(link) for link in links] == case["links"]


@named(cases("header")["headers"])
def test_header(case: dict[str, Any]) -> None:
    """A header reads, hashes, its signature recovers, and its head gives it back."""
    signed = header_from_json(case["header"])

    assert to_hex(signed.header.hash()) == case["hash"]
    assert to_hex(recover(signed.header.hash(), signed.signature)) == case["signer"]
    assert Head.decode(raw(case["head"])).header(signed.header.state_root) == signed.header


def test_heads_and_hashes_in_state() -> None:
    """The head and the hashes of earlier headers have their keys."""
    found = cases("header")

    assert raw(found["head_key"]) == HEAD_KEY
    assert all(raw(case["key"]) == hash_key(case["height"]) for case in found["hash_keys"])


def test_results() -> None:
    """A result's leaf is that of its values, whatever the sentence of its failure; the root is over the leaves."""
    found = cases("result")
    leaves = []
    for case in found["results"]:
        logs = [
            Log(Address(raw(each["address"])), tuple(Digest(raw(topic)) for topic in each["topics"]), raw(each["data"]))
            for each in case["logs"]
        ]
        made = Result(
            case["status"],
            Digest(raw(case["hash"])),
            case["gas_used"],
            case["gas_price"],
            raw(case["output"]),
            case["error"].partition(":")[0] + ": in other words" if case["error"] else "",
            tuple(logs),
        )
        leaves.append(made.leaf())
        assert to_hex(leaves[-1]) == case["leaf"], case["name"]

    assert to_hex(root(leaves)) == found["root"]


@named(cases("genesis"))
def test_genesis(case: dict[str, Any]) -> None:
    """A genesis reads, has its digest, and the trust file follows from it."""
    found = decode_genesis(case["document"].encode())

    assert to_hex(found.digest()) == case["digest"]
    assert [to_hex(release_id(each.platform, each.measurements)) for each in found.releases] == case["releases"]
    assert found.trust().encode().decode() == case["trust"]
    assert engine_chain_id(found.chain_id, found.digest()) == case["engine_chain_id"]


def test_trust_files() -> None:
    """Trust files read and are written again; what is none is refused."""
    found = cases("trust")
    for case in found["trusts"]:
        assert decode_trust(case["trust"].encode()).encode().decode() == case["trust"]
    for case in found["refused"]:
        assert code_of(decode_trust, encode.canonical(case["trust"])) == case["refused"], case["name"]


@named(cases("ed25519"))
def test_ed25519(case: dict[str, Any]) -> None:
    """A signature verifies or not, as said."""
    assert ed25519.verify(raw(case["key"]), raw(case["message"]), raw(case["signature"])) == case["holds"]


@named(cases("light-block")["blocks"])
def test_light_block(case: dict[str, Any]) -> None:
    """A block has its hashes and messages, and is checked or refused by the step that says so."""
    block = light_block_from_json(case["block"])
    signed = [
        None if vote == ABSENT else to_hex(block.commit.message(index, case["chain_id"]))
        for index, vote in enumerate(block.commit.signatures)
    ]

    assert to_hex(block.header.hash()) == case["hash"]
    assert to_hex(validators_hash(block.validators)) == case["validators_hash"]
    assert signed == case["messages"]
    assert unverified(lambda: check(block, case["chain_id"])) == case["unverified"]


@named(cases("light-block")["refused"])
def test_light_block_refused(case: dict[str, Any]) -> None:
    """What is no light block is refused when it is read."""
    assert code_of(light_block_from_json, case["block"]) == case["refused"]


@named(cases("light-chain"))
def test_light_chain(case: dict[str, Any]) -> None:
    """A chain of blocks leads from the anchor to its end, or the step that fails is named."""
    blocks = [light_block_from_json(block) for block in case["blocks"]]
    anchor = anchor_from_json(case["anchor"])

    assert unverified(lambda: verify_chain(anchor, blocks, case["chain_id"])) == case["unverified"]


@named(cases("response-form"))
def test_response_form(case: dict[str, Any]) -> None:
    """A response is of the form that its body asks for, or not."""
    assert (code_of(check_form, case["body"], case["given"], case["response"]) is None) == case["holds"]


def test_merkle() -> None:
    """Roots, inclusion and consistency are as said, the false ones too."""
    found = cases("merkle")
    leaves = [raw(leaf) for leaf in found["leaves"]]
    for size, expected in enumerate(found["roots"]):
        assert to_hex(root(leaves[:size])) == expected
    for case in found["inclusion"]:
        path = [raw(each) for each in case["path"]]
        leads = root_from_inclusion(raw(case["leaf"]), case["index"], case["size"], path)
        assert (leads and to_hex(leads)) == case["root"]
    for case in found["consistency"]:
        old, new = case["old"], case["new"]
        roots = raw(found["roots"][old]), raw(found["roots"][new])
        assert consistent(roots[0], old, roots[1], new, [raw(each) for each in case["proof"]]) == case["holds"]


def test_state_proofs() -> None:
    """Proofs of presence and absence hold or not, as said."""
    for state in cases("state-proof"):
        for case in state["proofs"]:
            proof = StateProof(
                tuple(Digest(raw(each)) for each in case["proof"]["siblings"]), raw(case["proof"]["other"])
            )
            value = None if case["value"] is None else raw(case["value"])
            assert proves(raw(state["root"]), raw(case["key"]), value, proof) == case["holds"]


def test_records() -> None:
    """A record's bytes read back to the record, and write to the same bytes."""
    for case in cases("records"):
        record = getattr(header if case["record"] == "Head" else records, case["record"]).decode(raw(case["value"]))
        assert record.encode() == raw(case["value"])


def test_manifests() -> None:
    """Manifests have their ids; what is not a manifest is refused."""
    found = cases("manifest")
    for case in found["manifests"]:
        manifest = manifest_from_json(case["manifest"])
        assert (to_hex(manifest.digest()), to_hex(manifest.model_id())) == (case["digest"], case["model_id"])
    for case in found["refused"]:
        assert code_of(manifest_from_json, case["manifest"]) == case["refused"], case["name"]


@pytest.mark.parametrize("case", cases("bundle"), ids=lambda case: case["file"])
def test_bundle(case: dict[str, Any]) -> None:
    """A true bundle verifies, claim by claim."""
    data = (FOLDER / "bundle" / case["file"]).read_bytes()
    verdict = judge(decode_bundle(data), decode_trust(TRUSTS[case["file"]]), trust_class(case["least"]))

    assert verdict.verified
    assert [[claim.code, claim.outcome.value] for claim in verdict.claims] == case["verdict"]
    assert decode_bundle(data).encode() == data


@named(cases("bundle-invalid"))
def test_bundle_invalid(case: dict[str, Any]) -> None:
    """A lie is found: by the claims that fail, or because the file is malformed."""
    base = (FOLDER / "bundle" / f"{case['base']}.json").read_bytes()
    trust = encode.canonical(case["trust"]) if "trust" in case else TRUSTS[f"{case['base']}.json"]

    least = case.get("least", LEASTS[f"{case['base']}.json"])

    assert generate.outcome(generate.edited(base, case), trust, least) == case["expect"]


@named(cases("attestation")["documents"])
def test_document(case: dict[str, Any]) -> None:
    """A document proves what is said, to the last claim, or is refused for its one fault."""
    found = cases("attestation")
    root = nitro.Root(raw(found["root"]), trust_class(case.get("trust", "simulated")))
    now_s = case.get("now_s", found["now_s"])

    def claims() -> Any:
        return nitro.verify(nitro.read(raw(case["document"])), root, now_s, p384_sha384)

    assert unverified(claims) == case.get("refused")
    if "claims" in case:
        said, expected = claims(), case["claims"]
        fields = ("time_ms", "debug", "module", "platform")
        assert {name: getattr(said, name) for name in fields} == {name: expected[name] for name in fields}
        assert said.trust.word == expected["trust"]
        assert {name: to_hex(value) for name, value in said.measurements.items()} == expected["measurements"]
        assert [to_hex(each) for each in (said.data, said.nonce, said.key)] == [
            expected[name] for name in ("data", "nonce", "key")
        ]
        assert [[to_hex(issuer), str(serial)] for issuer, serial in said.certificates] == expected["certificates"]


@named(cases("attestation")["attestations"])
def test_attestation(case: dict[str, Any]) -> None:
    """An attestation proves its keys under what is expected, or is refused for its one fault."""
    shown = attestation_from_json(case["attestation"])
    release = {name: raw(value) for name, value in case["measurements"].items()}

    def claims() -> object:
        expected = Policy((release,), trust_class(case["least"]))
        return prove(shown, expected, raw(case["simulated_root"]), case["now_s"])

    assert unverified(claims) == case["refused"]
    assert shown.as_json() == case["attestation"]


def test_bindings() -> None:
    """Keysets have their bytes and digests; nonces and what is bound follow from them, whatever the devices' order."""
    found = cases("attestation")
    for case in found["bindings"]:
        keyset, nonce = binding.Keyset.decode(raw(case["keyset"])), Digest(raw(case["nonce"]))
        devices = binding.devices_digest([raw(each) for each in case["devices"]])
        assert keyset.encode() == raw(case["keyset"])
        assert str(keyset.not_after_s) == case["fields"]["not_after_s"]
        assert to_hex(keyset.digest()) == case["digest"]
        assert to_hex(devices) == case["devices_digest"]
        assert to_hex(binding.device_nonce(keyset, nonce)) == case["device_nonce"]
        assert to_hex(binding.bound(keyset, nonce, devices)) == case["bound"]
    for case in found["registration_nonces"]:
        asked = Digest(raw(case["block_hash"])), Address(raw(case["node"])), case["sequence"]
        assert to_hex(binding.registration_nonce(*asked)) == case["nonce"]
    for case in found["releases"]:
        measured = {name: raw(value) for name, value in case["measurements"].items()}
        assert to_hex(release_id(case["platform"], measured)) == case["release"]


ZKML = cases("bundle-zkml")


@named(ZKML["true"])
def test_zkml_bundle(case: dict[str, Any]) -> None:
    """A true bundle of the layer zkml verifies, claim by claim."""
    verdict = judge(decode_bundle(canonical(case["bundle"])), decode_trust(canonical(ZKML["trust"])))

    assert verdict.verified
    assert [[claim.code, claim.outcome.value] for claim in verdict.claims] == case["verdict"]


@named(ZKML["lies"])
def test_zkml_lie(case: dict[str, Any]) -> None:
    """A lie is found by the one claim that it is about."""
    verdict = judge(decode_bundle(canonical(case["bundle"])), decode_trust(canonical(ZKML["trust"])))

    assert [code for code, _ in verdict.reasons] == [case["failed"]]


@cache
def statement(name: str) -> tuple[Statement, bytes, dict[str, Any]]:
    """A statement about an exact model as the file tells it, its proof, and the case."""
    case = next(each for each in cases("zk") if each["name"] == name)
    exact = Exact(graph_from_bytes(case["graph"].encode()), Digest(raw(case["weight_root"])))
    entries = tuple(Entry(Digest(raw(each["key"])), Digest(raw(each["commitment"]))) for each in case["requests"])
    place = Address(raw(case["prover"])), case["chain_id"], Digest(raw(case["beacon"]))
    return Statement(Mode(case["mode"]), exact, *place, entries), raw(case["proof"]), case


@named(cases("zk"))
def test_zk_proof_holds(case: dict[str, Any]) -> None:
    """A proof holds, and each of its requests finds its own input and output in it."""
    said, proof, _ = statement(case["name"])

    opened = verify_zk(said, proof)

    assert to_hex(weight_root(said.exact.graph, raw(case["weights"]))) == case["weight_root"]
    assert to_hex(said.exact.id) == case["exact_id"]
    assert to_hex(said.batch_root) == case["batch_root"]
    for index, each in enumerate(case["requests"]):
        seed = None if each["seed"] is None else raw(each["seed"])
        opened.need_request(index, each["inputs"], each["outputs"], seed)
        x = b"".join(value.to_bytes(1, "little", signed=True) for value in each["inputs"])
        y = b"".join(value.to_bytes(4, "little", signed=True) for value in each["outputs"])
        assert commitment(raw(each["salt"]), x, y) == said.entries[index].commitment
        path = [raw(node) for node in each["path"]]
        assert root_from_inclusion(said.entries[index].leaf(index), index, len(said.entries), path) == said.batch_root


@named(cases("zk-forged"))
def test_zk_forgery_is_refused(case: dict[str, Any]) -> None:
    """A lie about a true proof is refused, with its code."""
    said, proof, _ = statement(case["of"])

    assert exact.code(*exact.edited(said, proof, case["edits"])) == case["refused"]
