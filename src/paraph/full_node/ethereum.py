"""The table of JSON-RPC methods: Ethereum's, so that wallets and libraries work unchanged, and a few of ours."""

from dataclasses import replace

from paraph import __version__
from paraph.adapters.ethereum.rpc import Group, Method
from paraph.adapters.ethereum.wire import quantity
from paraph.core.encode import Json
from paraph.flows.ports import Clock
from paraph.full_node.blocks import Blocks
from paraph.full_node.calls import Calls
from paraph.full_node.chain import Chain
from paraph.full_node.engine import Engine
from paraph.full_node.fees import Fees
from paraph.full_node.filters import Filters
from paraph.full_node.forks import Forks
from paraph.full_node.index import Index
from paraph.full_node.logs import Logs
from paraph.full_node.production import Production
from paraph.full_node.proofs import Making, Proofs
from paraph.full_node.submit import Submissions
from paraph.full_node.subscriptions import Subscriptions


def methods(
    chain: Chain,
    engine: Engine,
    clock: Clock,
    index: Index | None = None,
    subscriptions: Subscriptions | None = None,
) -> dict[str, Method]:
    """Every method of a full node, by name. Making a block by hand is for solo devnets alone.

    Args:
        chain: what is asked about.
        engine: takes transactions, and keeps those that wait.
        clock: what time it is.
        index: finds events and an account's transactions; without one those of an account cannot be asked for.
        subscriptions: told of each transaction taken.
    """
    logs = Logs(chain, index)
    filters = Filters(chain, logs, clock)
    heard = (filters.saw,) if subscriptions is None else (filters.saw, subscriptions.pending)
    rooms: list[dict[str, Method]] = [
        _fixed(chain.genesis.chain_id),
        {"eth_syncing": Method(lambda: _syncing(chain, engine))},
        Blocks(chain, engine.mempool).methods(),
        Calls(chain, engine.mempool, clock).methods(),
        Fees(chain).methods(),
        logs.methods(),
        filters.methods(),
        Submissions(engine, heard).methods(),
        Proofs(chain, engine).methods(),
        Forks(chain, engine).methods(),
    ]
    if index is not None:
        rooms.append(index.methods())
    if chain.genesis.devnet and isinstance(engine, Production):
        making = Making(engine).methods()
        rooms.append({name: replace(method, group=Group.OPERATE) for name, method in making.items()})
    return {name: method for room in rooms for name, method in room.items()}


def _fixed(chain_id: int) -> dict[str, Method]:
    answers: dict[str, Json] = {
        "eth_chainId": quantity(chain_id),
        "net_version": str(chain_id),
        "net_listening": True,
        "web3_clientVersion": f"paraph/{__version__}",
        "eth_accounts": [],
    }
    return {name: Method(lambda value=value: value) for name, value in answers.items()}


def _syncing(chain: Chain, engine: Engine) -> Json:
    """`eth_syncing`: false, or where the node is while others are ahead; how far ahead, it does not know."""
    at = quantity(chain.height)
    return {"startingBlock": quantity(0), "currentBlock": at, "highestBlock": at} if engine.syncing else False
