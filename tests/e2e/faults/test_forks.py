"""Two histories signed by real validators' keys: whoever is told of it hands it to consensus, and the bonds pay."""

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support.comet import from_rpc
from tests.support.lights import Middle, light
from tests.support.member import Member, until
from tests.support.purse import Purse
from tests.support.settling import calling, viewed
from tests.support.validators import BOND, Network
from tests.support_ledger.world import GOVERNOR

from paraph.core.digest import sha256
from paraph.core.encode import Json
from paraph.proofs.light.conflict import Fork, duplicate_votes
from paraph.proofs.light.reading import light_block_from_json
from paraph.proofs.light.types import ABSENT, BlockId, Commit, CommitSignature, Flag, LightBlock, LightHeader
from paraph.sdk.network import Network as NetworkFile
from paraph.sdk.network import save_network

pytestmark = pytest.mark.e2e

CUT = BOND * 500 // 10_000


def own_block(member: Member, height: int) -> LightBlock:
    """A member's block, as its engine tells it."""
    signed = member.engine_ask(f"commit?height={height}")["signed_header"]
    return from_rpc(signed, member.engine_ask(f"validators?height={height}&per_page=100")["validators"])


def voted(member: Member, voter: Member) -> LightBlock | None:
    """A block before the last one with a vote of that validator; a quick majority does not wait for it."""
    for height in range(2, member.height()):
        block = own_block(member, height)
        votes = zip(block.validators, block.commit.signatures, strict=True)
        if any(each.key == voter.key and vote.flag is Flag.COMMIT for each, vote in votes):
            return block
    return None


def forged(header: LightHeader, like: LightBlock, signers: Sequence[Member], round_: int) -> LightBlock:
    """A block that members sign with their validators' keys, and never showed to anybody else."""
    keys = {}
    for member in signers:
        kept = json.loads((member.home / "comet/config/priv_validator_key.json").read_text())
        keys[member.key] = Ed25519PrivateKey.from_private_bytes(b64decode(kept["priv_key"]["value"])[:32])
    empty = Commit(header.height, round_, BlockId(header.hash(), 1, header.data_hash), ())
    votes = []
    for each in like.validators:
        if each.key not in keys:
            votes.append(ABSENT)
            continue
        unsigned = CommitSignature(Flag.COMMIT, each.address, header.time, bytes(64))
        message = replace(empty, signatures=(unsigned,)).message(0, header.chain_id)
        votes.append(replace(unsigned, signature=keys[each.key].sign(message)))
    return LightBlock(header, replace(empty, signatures=tuple(votes)), like.validators)


def record(member: Member, of: Member) -> tuple[int, bool, bool]:
    """A validator as the state has it: its bond, whether it is in the set, whether it is out for ever."""
    _, _, bond, _, active, tombstoned_s = viewed(member, "Staking", "validator", of.operator.address)
    return bond, active, bool(tombstoned_s)


def struck(at: Member, guilty: Sequence[Member], network: Network) -> None:
    """Wait until all of them are."""
    until("they are struck", lambda: all(record(at, each)[2] for each in guilty), network.tails)


def test_pair_of_votes_is_punished(tmp_path: Path) -> None:
    """Two votes of one key that no engine saw together, told to one node, cost the bond; told again, nothing."""
    with Network(tmp_path) as network:
        network.start(4)
        first, guilty = network.members[0], network.members[3]
        truth = until("its vote is in a block", lambda: voted(first, guilty), network.tails)
        other = replace(truth.header, data_hash=sha256(b"other data"))
        false = forged(other, truth, [guilty], truth.commit.round)
        pairs = duplicate_votes(truth, false)
        fork: Json = Fork(truth, false, None, None, pairs).as_json()
        file = tmp_path / "fork.json"
        file.write_text(json.dumps({"code": "light.fork", "said": "two blocks", "evidence": fork}))

        told = reported(tmp_path, file, first.url)
        struck(first, [guilty], network)
        again = first.answer("paraph_reportFork", fork)["error"]
        network.grow(3, network.members[:3])

        assert [each["taken"] for each in told] == [True]
        assert again["data"]["code"] == "fork.nobody"
        assert "put out already" in again["message"]
        assert misbehaviours(first) == {"tendermint/DuplicateVoteEvidence"}
        assert record(first, guilty) == (BOND - CUT, False, True)
        assert [record(first, each) for each in network.members[:3]] == [(BOND, True, False)] * 3
        network.agree()


class Liar:
    """Forges the newest block from the time it is told to: what most validators signed of it is another history.

    Args:
        guilty: who sign it.
    """

    def __init__(self, guilty: Sequence[Member]) -> None:
        self.lying = False
        self.forged: dict[int, Json] = {}
        self._guilty = guilty

    def __call__(self, method: str, result: Any) -> Any:
        if self.lying and method == "paraph_getProof":
            blocks = result["seal"]["blocks"]
            blocks[-1] = self._forge(blocks[-1])
        if method == "paraph_getLightBlock":
            return self.forged.get(result["header"]["height"], result)
        return result

    def _forge(self, shown: Any) -> Json:
        truth = light_block_from_json(shown)
        header = replace(truth.header, consensus_hash=sha256(b"other limits"))
        return self.forged.setdefault(
            header.height, forged(header, truth, self._guilty, truth.commit.round + 1).as_json()
        )


@contextmanager
def lied_to(node: Member) -> Iterator[Middle]:
    """A server that passes a node's answers on."""
    middle = Middle(node.url)
    try:
        yield middle
    finally:
        middle.close()


def test_lie_to_a_light_client_is_punished(tmp_path: Path) -> None:
    """A block that three of four validators signed for a light client alone: it stops, writes, tells; their bonds pay.

    The signatures are of another round than the true ones, so that no two votes alone convict anybody.
    """
    with Network(tmp_path) as network, lied_to(network.members[0]) as middle:
        network.start(4)
        first, guilty = network.members[0], network.members[1:]
        file = tmp_path / "network.json"
        save_network(NetworkFile(middle.url, network.genesis.trust(), (network.members[1].url,)), file)
        liar = middle.lie = Liar(guilty)

        with light(tmp_path, file) as url:
            honest = asked(url, "eth_blockNumber")
            liar.lying = True
            stopped = until("it stops", lambda: asked(url, "eth_blockNumber").get("error"))
            told = until("it has told", lambda: told_of(asked(url, "eth_blockNumber")["error"]["message"]))
        struck(first, guilty, network)
        place = Path(stopped["data"]["facts"]["evidence"])
        again = reported(tmp_path, place, first.url)
        strange = reported(tmp_path, file, first.url)
        network.grow(3)

        assert "result" in honest
        assert "2 of 2 nodes took the evidence" in told
        assert json.loads(place.read_text())["evidence"]["votes"] == []
        assert [record(first, each) for each in guilty] == [(BOND - CUT, False, True)] * 3
        assert record(first, first) == (BOND, True, False)
        assert misbehaviours(first) == {"tendermint/LightClientAttackEvidence"}
        assert again["error"]["code"] == "fork.not_taken"
        assert "put out already" in again["error"]["message"]
        assert strange["error"]["branch"] == "malformed"
        network.agree()


def asked(url: str, method: str) -> Any:
    """The whole answer of a light client."""
    return httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": []}, timeout=60).json()


def told_of(message: str) -> str:
    """The message, once it says what became of the reports."""
    return message if "took the evidence" in message else ""


def reported(home: Path, file: Path, url: str) -> Any:
    """What `paraph network report-fork` says."""
    command = [sys.executable, "-m", "paraph.cli", "network", "report-fork", str(file), "--rpc", url, "--json"]
    done = subprocess.run(command, capture_output=True, timeout=60, env={**os.environ, "PARAPH_HOME": str(home)})
    return json.loads(done.stdout or done.stderr)


def misbehaviours(member: Member) -> set[str]:
    """The kinds of evidence in all blocks."""
    blocks = [member.engine_ask(f"block?height={height}")["block"] for height in range(1, member.height() + 1)]
    return {each["type"] for block in blocks for each in block["evidence"]["evidence"]}


def test_evidence_lasts_as_long_as_bonds(tmp_path: Path) -> None:
    """Bonds that stay longer can be slashed for longer: the engine's parameters follow, and nothing shortens them."""
    with Network(tmp_path, validators=1, parameters={"unbond_delay_s": 3_600}) as network:
        network.start()
        node, governor = network.members[0], Purse(GOVERNOR)
        before = node.engine_ask("consensus_params")["consensus_params"]

        network.must(calling(governor, "Params", "set", "unbond_delay_s", 7_200))
        lowered = network.included(network.send(calling(governor, "Params", "set", "unbond_delay_s", 7_199)))
        network.grow(2)
        after = node.engine_ask("consensus_params")["consensus_params"]

        assert lowered["status"] == "0x0"
        assert before["evidence"]["max_age_duration"] == str(3_600 * 10**9)
        wanted = {"max_age_num_blocks": "7200", "max_age_duration": str(7_200 * 10**9)}
        assert after == {**before, "evidence": {**before["evidence"], **wanted}}
