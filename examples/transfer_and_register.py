"""Transfer OPG and register a model, with nothing but web3.py.

    python examples/transfer_and_register.py --rpc http://127.0.0.1:8545 --key-file owner.key.json

The key is an Ethereum keystore file (its password is asked for) or the environment variable PRIVATE_KEY, in hex.
"""

import argparse
import getpass
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import ContractLogicError
from web3.logs import DISCARD
from web3.middleware import SignAndSendRawMiddlewareBuilder

ABI = Path(__file__).parents[1] / "contracts" / "abi"
OPG = "0x0000000000000000000000000000000000000a01"
MODELS = "0x0000000000000000000000000000000000000a03"
SIGNATURE_LAYER = 0b001
"""Layers a model offers, one bit each; this one: answers signed by the node's registered key."""


def main() -> int:
    """Run the example. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Transfer OPG and register a model.")
    parser.add_argument("--rpc", default="http://127.0.0.1:8545", help="URL of a full node")
    parser.add_argument("--key-file", type=Path, help="Ethereum keystore file; without it, PRIVATE_KEY is read")
    parser.add_argument("--to", default="0x00000000000000000000000000000000000000AA", help="who receives OPG")
    parser.add_argument("--amount", default="1.5", help="how much, in OPG")
    parser.add_argument("--name", default="example/model", help="name of the model")
    options = parser.parse_args()

    owner = load_account(options.key_file)
    web3 = Web3(Web3.HTTPProvider(options.rpc))
    # From here on web3.py signs what is sent from this account and fills in nonce, gas and fees.
    web3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(owner), layer=0)
    web3.eth.default_account = owner.address

    transfer(web3, options.to, options.amount)
    register(web3, options.name)
    return 0


def load_account(key_file: Path | None) -> LocalAccount:
    """The account to act as."""
    if key_file is None:
        secret = os.environ["PRIVATE_KEY"]
    else:
        secret = Account.decrypt(key_file.read_text(), getpass.getpass(f"password of {key_file}: "))
    account: LocalAccount = Account.from_key(secret)
    return account


def transfer(web3: Web3, to: str, amount: str) -> None:
    """Send OPG twice: as the native coin, and as the ERC-20 token. It is the same balance."""
    recipient = Web3.to_checksum_address(to)
    opg = contract(web3, OPG, "Opg")
    wei = Web3.to_wei(amount, "ether")
    before = opg.functions.balanceOf(recipient).call()

    wait(web3, web3.eth.send_transaction({"to": recipient, "value": wei}))
    wait(web3, opg.functions.transfer(recipient, wei).transact())

    received = web3.eth.get_balance(recipient) - before
    print(f"{recipient} received {Web3.from_wei(received, 'ether')} {opg.functions.symbol().call()}")


def register(web3: Web3, name: str) -> None:
    """Register a model: its id is the hash of its manifest and so of its files. Here both are made up."""
    models = contract(web3, MODELS, "Models")
    model_id = hashlib.sha256(b"the manifest of " + name.encode()).digest()
    manifest_digest = hashlib.sha256(model_id).digest()
    # A royalty of 5 %; a price of 0.001 OPG a request and 0.000002 OPG a row in and out.
    prices = [Web3.to_wei(price, "ether") for price in ("0.001", "0.000002", "0.000002")]
    call = models.functions.register(model_id, manifest_digest, name, "tensor", 500, SIGNATURE_LAYER, *prices)

    try:
        receipt = wait(web3, call.transact())
    except ContractLogicError as refusal:
        # The ledger's reason, its stable code in front: `models.exists: this model is registered already`.
        print(f"not registered: {refusal.message}")
        return
    (event,) = models.events.ModelRegistered().process_receipt(receipt, errors=DISCARD)
    owner = models.functions.get(model_id).call()[0]
    print(f"registered {event['args']['name']} as 0x{model_id.hex()} of {owner} in block {receipt['blockNumber']}")


def contract(web3: Web3, address: str, name: str) -> Any:
    """A native contract by its committed ABI."""
    return web3.eth.contract(Web3.to_checksum_address(address), abi=json.loads((ABI / f"{name}.json").read_text()))


def wait(web3: Web3, tx_hash: Any) -> Any:
    """The receipt of a transaction, which must have succeeded."""
    receipt = web3.eth.wait_for_transaction_receipt(tx_hash, timeout=30, poll_latency=0.05)
    if receipt["status"] != 1:
        raise SystemExit(f"transaction {tx_hash.hex()} failed")
    return receipt


if __name__ == "__main__":
    sys.exit(main())
