"""Stock Ethereum clients, unchanged, against a real full node: web3.py, eth-account, and our own example."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from tests.support_ledger.world import ALICE, CHAIN_ID, person
from tests.unit.full_node.world import Live, live, native
from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError
from web3.logs import DISCARD
from web3.middleware import SignAndSendRawMiddlewareBuilder

from paraph.core.amount import WEI_PER_OPG
from paraph.ledger.versions import BY_NAME, CONTRACTS

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "transfer_and_register.py"
GWEI = 10**9
strangers = count()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("node")) as found:
        yield found


@pytest.fixture
def me(node: Live) -> LocalAccount:
    """A new account with 1 000 OPG, made by eth-account."""
    account: LocalAccount = Account.create()
    funder: LocalAccount = Account.from_key(ALICE.dangerous_secret())
    web3 = connected(node, funder)
    receipt(web3, web3.eth.send_transaction({"to": account.address, "value": web3.to_wei(1_000, "ether")}))
    return account


def connected(node: Live, account: LocalAccount) -> Any:
    """web3.py as its documentation sets it up: a provider, and a local account that signs."""
    web3: Any = Web3(Web3.HTTPProvider(node.url))
    web3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    web3.eth.default_account = account.address
    return web3


@pytest.fixture
def web3(node: Live, me: LocalAccount) -> Any:
    return connected(node, me)


def receipt(web3: Any, tx_hash: Any) -> Any:
    return web3.eth.wait_for_transaction_receipt(tx_hash, timeout=20, poll_latency=0.02)


def contract(web3: Any, name: str) -> Any:
    return web3.eth.contract(Web3.to_checksum_address(native(name)), abi=BY_NAME[name].abi_json)


def somebody() -> str:
    return Web3.to_checksum_address(person(f"a stranger {next(strangers)}").address)


def test_reads(web3: Any) -> None:
    """The chain introduces itself."""
    assert web3.is_connected()
    assert (web3.eth.chain_id, web3.net.version, web3.eth.syncing) == (CHAIN_ID, str(CHAIN_ID), False)
    assert web3.client_version.startswith("paraph/")
    block = web3.eth.get_block("latest", full_transactions=True)
    assert block["number"] == web3.eth.block_number
    assert web3.eth.get_block(block["hash"])["hash"] == block["hash"]
    assert block["baseFeePerGas"] == GWEI
    assert web3.eth.get_code(Web3.to_checksum_address(native("Opg"))) == b"\xfe"
    assert web3.eth.fee_history(5, "latest", [10, 90])["baseFeePerGas"][-1] == GWEI


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_native_transfer_signed_by_eth_account(web3: Any, me: LocalAccount, kind: int) -> None:
    """A transfer of each type, signed by eth-account, arrives and costs what its receipt says."""
    to = somebody()
    before = web3.eth.get_balance(me.address)
    fees: dict[str, Any] = {"gasPrice": web3.eth.gas_price}
    if kind == 1:
        fees |= {"accessList": [{"address": to, "storageKeys": ["0x" + "00" * 32]}], "type": 1}
    if kind == 2:
        fees = {"maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": web3.eth.max_priority_fee}
    asked: dict[str, Any] = {"to": to, "value": 12_345, "nonce": web3.eth.get_transaction_count(me.address, "pending")}
    gas = web3.eth.estimate_gas({"from": me.address, **asked, **fees})
    signed = me.sign_transaction({**asked, **fees, "gas": gas, "chainId": web3.eth.chain_id})

    tx_hash = web3.eth.send_raw_transaction(signed.raw_transaction)
    found = receipt(web3, tx_hash)

    assert tx_hash == signed.hash
    assert (found["status"], found["type"], found["from"], found["to"]) == (1, kind, me.address, to)
    assert found["gasUsed"] == gas == (25_300 if kind == 1 else 21_000)
    assert web3.eth.get_balance(to) == 12_345
    cost = found["gasUsed"] * found["effectiveGasPrice"]
    assert web3.eth.get_balance(me.address) == before - 12_345 - cost
    shown = web3.eth.get_transaction(tx_hash)
    assert (shown["from"], shown["value"], shown["input"]) == (me.address, 12_345, b"")
    assert Account.recover_transaction(signed.raw_transaction) == me.address


def test_erc20(web3: Any, me: LocalAccount) -> None:
    """OPG works as any ERC-20: transfer, approve, transferFrom by another, and their events."""
    opg, spender, to = contract(web3, "Opg"), Account.create(), somebody()
    receipt(web3, web3.eth.send_transaction({"to": spender.address, "value": WEI_PER_OPG}))

    sent = receipt(web3, opg.functions.transfer(to, 5).transact())
    receipt(web3, opg.functions.approve(spender.address, 7).transact())
    other = connected_as(web3, spender)
    receipt(other, contract(other, "Opg").functions.transferFrom(me.address, to, 3).transact())

    (event,) = opg.events.Transfer().process_receipt(sent)
    assert dict(event["args"]) == {"from": me.address, "to": to, "value": 5}
    assert opg.functions.balanceOf(to).call() == 8 == web3.eth.get_balance(to)
    assert opg.functions.allowance(me.address, spender.address).call() == 4


def connected_as(web3: Any, account: LocalAccount) -> Any:
    again: Any = Web3(web3.provider)
    again.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    again.eth.default_account = account.address
    return again


SAMPLES: dict[str, Any] = {"address": "0x" + "00" * 19 + "aa", "string": "x", "bool": True, "bytes": b"", "tuple": ()}


def sample(field: dict[str, Any]) -> Any:
    """Some value of an ABI type."""
    kind = field["type"]
    if kind.endswith("[]"):
        return []
    if kind == "tuple":
        return tuple(sample(each) for each in field["components"])
    if kind.startswith("bytes") and kind != "bytes":
        return bytes(int(kind[5:]))
    return 1 if "int" in kind else Web3.to_checksum_address(SAMPLES[kind]) if kind == "address" else SAMPLES[kind]


def refused(function: Any, sender: LocalAccount) -> str:
    """Why a call is refused; empty when it is not."""
    try:
        function.call({"from": sender.address})
    except ContractLogicError as refusal:
        return str(refusal.message).removeprefix("execution reverted: ")
    return ""


@pytest.mark.parametrize("name", [each.name for each in CONTRACTS])
def test_every_method_is_callable_by_its_abi(web3: Any, me: LocalAccount, name: str) -> None:
    """web3.py encodes every method from the JSON ABI, and the ledger understands it: it answers or says why not."""
    found = contract(web3, name)
    for method in BY_NAME[name].abi_json:
        if method["type"] != "function":
            continue
        inputs: Any = method["inputs"]
        function = found.get_function_by_name(str(method["name"]))(*(sample(each) for each in inputs))
        reason = refused(function, me)
        assert not reason.startswith(("call.", "abi.")), (method["name"], reason)


def test_model_registry(web3: Any, me: LocalAccount) -> None:
    """A model registered through web3.py is read back through web3.py."""
    models, model_id = contract(web3, "Models"), os.urandom(32)
    register = models.functions.register(model_id, b"\1" * 32, "me/model", "text", 100, 1, 5, 6, 7)

    found = receipt(web3, register.transact())

    (event,) = models.events.ModelRegistered().process_receipt(found, errors=DISCARD)
    assert (event["args"]["modelId"], event["args"]["owner"]) == (model_id, me.address)
    assert models.functions.get(model_id).call()[:3] == [me.address, b"\1" * 32, "me/model"]
    assert models.functions.price(model_id, 1).call() == [5, 6, 7, 0]


def test_revert_reason_surfaces(web3: Any) -> None:
    """What the ledger refuses reaches the caller with its code and sentence, in a call, an estimate and a receipt."""
    opg = contract(web3, "Opg")
    refused = opg.functions.transferFrom(somebody(), somebody(), 5)

    with pytest.raises(ContractLogicError, match=r"accounts\.allowance: the allowance is 0 wei; 5 is needed"):
        refused.call()
    with pytest.raises(ContractLogicError, match=r"accounts\.allowance"):
        refused.estimate_gas()
    assert receipt(web3, refused.transact({"gas": 100_000}))["status"] == 0


def test_refusals_in_known_words(web3: Any, me: LocalAccount) -> None:
    """Wallets recognise why a transaction was not taken."""
    to = somebody()
    receipt(web3, web3.eth.send_transaction({"to": to, "value": 1}))

    with pytest.raises(Web3RPCError, match="nonce too low"):
        web3.eth.send_transaction({"to": to, "value": 1, "nonce": 0, "gas": 21_000})
    with pytest.raises(Web3RPCError, match="insufficient funds for gas"):
        web3.eth.send_transaction({"to": to, "value": 10**27})
    with pytest.raises(Web3RPCError, match="intrinsic gas too low"):
        web3.eth.send_transaction({"to": to, "value": 1, "gas": 20_000})
    with pytest.raises(TransactionNotFound):
        web3.eth.get_transaction("0x" + "11" * 32)


def test_logs_and_filters(web3: Any, me: LocalAccount) -> None:
    """Logs are found by contract, topic and range; filters tell what is new."""
    opg, to = contract(web3, "Opg"), somebody()
    first = web3.eth.block_number + 1
    news = opg.events.Transfer.create_filter(from_block="latest", argument_filters={"to": to})
    blocks = web3.eth.filter("latest")

    for value in (1, 2, 3):
        receipt(web3, opg.functions.transfer(to, value).transact())

    assert [event["args"]["value"] for event in news.get_new_entries()] == [1, 2, 3]
    assert news.get_new_entries() == []
    assert len(blocks.get_new_entries()) == 3
    found = opg.events.Transfer().get_logs(from_block=first, argument_filters={"to": to, "from": me.address})
    assert [event["args"]["value"] for event in found] == [1, 2, 3]
    word = bytes.fromhex(to[2:]).rjust(32, b"\0")
    raw = web3.eth.get_logs({"fromBlock": first, "address": opg.address, "topics": [None, None, word]})
    assert [each["logIndex"] for each in raw] == [0, 0, 0]
    assert web3.eth.uninstall_filter(news.filter_id)


def test_burst_of_transactions(web3: Any, me: LocalAccount) -> None:
    """Many transactions sent at once, by pending nonces, all go in, in order."""
    to = somebody()

    hashes = [web3.eth.send_transaction({"to": to, "value": 1}) for _ in range(40)]

    places = [(each["blockNumber"], each["transactionIndex"]) for each in (receipt(web3, key) for key in hashes)]
    assert places == sorted(places)
    assert web3.eth.get_balance(to) == 40


def test_batch_requests(web3: Any, me: LocalAccount) -> None:
    """web3.py's batches are answered in order."""
    with web3.batch_requests() as batch:
        batch.add(web3.eth.get_balance(me.address))
        batch.add(web3.eth.get_block("latest"))
        batch.add(contract(web3, "Opg").functions.symbol())
        balance, block, symbol = batch.execute()

    assert balance == 1_000 * WEI_PER_OPG
    assert block["number"] <= web3.eth.block_number
    assert symbol == "OPG"


def test_permit_signed_by_eth_account(web3: Any, me: LocalAccount) -> None:
    """An EIP-2612 permit that eth-account signs as typed data is accepted."""
    opg, spender = contract(web3, "Opg"), somebody()
    kinds = {
        "Permit": [
            {"name": "owner", "type": "address"},
            {"name": "spender", "type": "address"},
            {"name": "value", "type": "uint256"},
            {"name": "nonce", "type": "uint256"},
            {"name": "deadline", "type": "uint256"},
        ]
    }
    domain = {
        "name": opg.functions.name().call(),
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": opg.address,
    }
    values = {"owner": me.address, "spender": spender, "value": 9, "nonce": 0, "deadline": 2**40}
    signed = me.sign_typed_data(domain, kinds, values)
    parts = (signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))

    receipt(web3, opg.functions.permit(me.address, spender, 9, 2**40, *parts).transact())

    assert opg.functions.allowance(me.address, spender).call() == 9
    assert opg.functions.nonces(me.address).call() == 1


# --- our example ---------------------------------------------------------------------------------------------------


def test_example(node: Live, me: LocalAccount) -> None:
    """The example transfers OPG and registers a model; run again, it says that the model is registered."""
    to = somebody()
    command = [sys.executable, str(EXAMPLE), "--rpc", node.url, "--to", to, "--name", f"example/{to[-8:]}"]
    environment = {**os.environ, "PRIVATE_KEY": me.key.hex()}

    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60) for _ in range(2)
    )

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert f"{to} received 3 OPG" in first.stdout
    assert f"registered example/{to[-8:]} as 0x" in first.stdout
    assert "not registered: execution reverted: models.exists" in second.stdout


def test_guide(node: Live, me: LocalAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of the guide runs, one after the other."""
    page = (ROOT / "docs" / "guides" / "use-with-web3.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {"PRIVATE_KEY": me.key, "FRIEND": somebody()}

    for block in blocks:
        exec(block.replace("http://127.0.0.1:8545", node.url), names)

    assert len(blocks) == 5
    assert names["available"] == 10 * WEI_PER_OPG
    assert names["event"]["args"]["value"] == 7
