"""The auditor of enclaves and releases: each truth is seen to fail when state is tampered with."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support_ledger.enclaves import RELEASE_ID, Shown, believing
from tests.support_ledger.world import CAROL, OPERATOR, World, person

from paraph.core.ident import Digest
from paraph.ledger.rooms.measurements.keys import RELEASES
from paraph.ledger.rooms.nodes.keys import CURRENT, ENCLAVES, NODES
from paraph.ledger.state import State
from paraph.ledger.truths import broken
from paraph.proofs.records import Enclave, Release

SIGNER = person("born in the enclave").address


def world() -> World:
    found = believing()
    assert Shown(found).register().error == ""
    return found


def _enclave(state: State) -> Enclave:
    found = ENCLAVES.get(state, SIGNER)
    assert found is not None
    return found


def _release(state: State) -> Release:
    found = RELEASES.get(state, RELEASE_ID)
    assert found is not None
    return found


def enclave_of_nobody(state: State) -> None:
    ENCLAVES.put(state, SIGNER, replace(_enclave(state), node=CAROL.address))


def enclave_of_other_keys(state: State) -> None:
    ENCLAVES.put(state, CAROL.address, replace(_enclave(state), height_last=1))


def enclave_not_current(state: State) -> None:
    state.put(CURRENT + OPERATOR.address, CAROL.address)


def enclave_of_a_node_that_left(state: State) -> None:
    node = NODES.get(state, OPERATOR.address)
    assert node is not None
    NODES.put(state, OPERATOR.address, replace(node, leaving_s=1))


def enclave_of_no_release(state: State) -> None:
    ENCLAVES.put(state, SIGNER, replace(_enclave(state), release=Digest(bytes(32)), height_last=1))


def release_elsewhere(state: State) -> None:
    RELEASES.put(state, bytes(32), _release(state))


def release_pins_nothing(state: State) -> None:
    found = _release(state)
    RELEASES.put(state, RELEASE_ID, replace(found, values=(bytes(48), *found.values[1:])))


def release_ended_at_no_time(state: State) -> None:
    RELEASES.put(state, RELEASE_ID, replace(_release(state), height_last=9))


ENCLAVES_BROKEN = (
    enclave_of_nobody,
    enclave_of_other_keys,
    enclave_not_current,
    enclave_of_a_node_that_left,
    enclave_of_no_release,
)
RELEASES_BROKEN = (release_elsewhere, release_pins_nothing, release_ended_at_no_time)
TAMPERED = [(each, "enclaves_belong_to_nodes") for each in ENCLAVES_BROKEN] + [
    (each, "releases_are_whole") for each in RELEASES_BROKEN
]


@pytest.mark.parametrize(("tamper", "truth"), TAMPERED, ids=[tamper.__name__ for tamper, _ in TAMPERED])
def test_tampering_is_seen(tamper: Callable[[State], None], truth: str) -> None:
    """Whoever changes one record breaks a truth."""
    dump = world().state
    state = State(dump.get)

    tamper(state)
    state.keep()

    found = broken({key: value for key, value in (dump | state.changes()).items() if value is not None})
    assert truth in {sentence.partition(":")[0] for sentence in found}
