"""What a transaction's bytes tell before any state is asked: a settlement with a forged receipt is no transaction."""

from typing import Any

import pytest
from tests.support_ledger.world import ALICE, BOB, CAROL, CHAIN_ID, HOT, OPERATOR, call, receipt, request, signed

from paraph.core.amount import Wei
from paraph.core.errors import Malformed, ParaphError, Rejected
from paraph.core.ident import Address, Digest
from paraph.core.keys import PrivateKey, recover
from paraph.ledger.forms import check_whole
from paraph.ledger.tx import Tx, check_form
from paraph.ledger.versions import BY_NAME

SETTLEMENT = BY_NAME["Settlement"].address


def item(number: int = 1, payer: PrivateKey = ALICE, signer: PrivateKey = HOT, **changes: Any) -> Any:
    asked = request(number=number)
    return signed(asked, receipt(asked, **changes), payer, signer)


def settling(*items: Any, to: Address = SETTLEMENT, data: bytes | None = None) -> bytes:
    """A transaction that settles these."""
    found = call("Settlement", "settle", items) if data is None else data
    return Tx(2, CHAIN_ID, 0, 1, 10**10, 20_000_000, to, Wei(0), found).sign(OPERATOR)


def refused(raw: bytes, chain_id: int = CHAIN_ID) -> ParaphError:
    with pytest.raises((Malformed, Rejected)) as caught:
        check_whole(raw, chain_id)
    return caught.value


def test_honest_settlements_pass() -> None:
    """A settlement of signed receipts, of many or of none, is what `check_form` says of it."""
    for raw in (settling(item(1), item(2), item(3)), settling(), settling(item(1), item(1))):
        assert check_whole(raw, CHAIN_ID) == check_form(raw, CHAIN_ID)


@pytest.mark.parametrize(
    ("forged", "says"),
    [
        (item(2, payer=BOB), "request 1 of"),
        (item(2, signer=CAROL), "receipt 1 of"),
        ((item(2)[0], bytes(65), *item(2)[2:]), "request 1 of"),
        ((item(2)[0], b"", *item(2)[2:]), "request 1 of"),
        ((*item(2)[:3], bytes(65)), "receipt 1 of"),
        ((*item(2)[:3], item(3)[3]), "receipt 1 of"),
        ((*item(2)[:2], item(2, price=1)[2], item(2)[3]), "receipt 1 of"),
    ],
)
def test_one_forged_receipt_refuses_all(forged: Any, says: str) -> None:
    """One signature that is not by whom it names refuses the transaction, and says which."""
    error = refused(settling(item(1), forged, item(4)))

    assert (error.code, error.facts["index"]) == ("tx.receipts", 1)
    assert says in error.message


def test_receipts_of_another_chain_are_forged() -> None:
    """A receipt signed for another chain is signed by nobody here."""
    asked = request()
    strange = signed(asked, receipt(asked), chain_id=1)

    assert refused(settling(strange)).code == "tx.receipts"


LAYER = 64 + 12 * 32


@pytest.mark.parametrize("data", [b"", b"\0" * 31, b"\xff" * 64, call("Settlement", "settle", (item(),))[4:-32]])
def test_settlement_that_cannot_be_read(data: bytes) -> None:
    """Calldata that does not decode is refused."""
    error = refused(settling(data=call("Settlement", "settle", ())[:4] + data))

    assert error.code == "tx.receipts"
    assert "cannot be read" in error.message


def test_layer_that_there_is_not() -> None:
    """A member that no receipt can have is refused as what cannot be read."""
    values = list(item()[2])
    values[11] = 77

    assert refused(settling((*item()[:2], tuple(values), item()[3]))).code == "tx.receipts"


def test_only_settlements_are_looked_into() -> None:
    """The same bytes sent elsewhere, or as another method, are nobody's settlement."""
    forged = call("Settlement", "settle", (item(payer=BOB),))
    for raw in (settling(data=forged, to=BOB.address), settling(data=b"\0" + forged[1:]), settling(data=b"")):
        assert check_whole(raw, CHAIN_ID) == check_form(raw, CHAIN_ID)


def test_form_comes_first() -> None:
    """What is no transaction of this chain is refused as `check_form` refuses it."""
    for raw in (b"", b"\x02garbage", settling(item())[:-1]):
        with pytest.raises((Malformed, Rejected)) as caught:
            check_form(raw, CHAIN_ID)
        assert refused(raw).code == caught.value.code
    assert refused(settling(item()), chain_id=1).code == "tx.chain_id"


def test_every_signature_is_asked_of_recover() -> None:
    """The sender, each payer and each signer are found by the function given, once each, and by no other."""
    asked: list[bytes] = []

    def noting(digest: Digest, signature: bytes) -> Address:
        asked.append(signature)
        return recover(digest, signature)

    items = (item(1), item(2))
    check_whole(settling(*items), CHAIN_ID, noting)

    assert asked[1:] == [signature for each in items for signature in (each[1], each[3])]
    assert len(asked) == 5
