"""The table of JSON-RPC methods: Ethereum's, so that wallets and libraries work unchanged, and a few of ours."""

from paraph import __version__
from paraph.adapters.solo.mempool import Mempool
from paraph.core.encode import Json
from paraph.flows.ports import Clock
from paraph.full_node.blocks import Blocks
from paraph.full_node.calls import Calls
from paraph.full_node.chain import Chain
from paraph.full_node.fees import Fees
from paraph.full_node.filters import Filters
from paraph.full_node.logs import Logs
from paraph.full_node.production import Production
from paraph.full_node.proofs import Making, Proofs
from paraph.full_node.rpc import Method
from paraph.full_node.submit import Submissions
from paraph.full_node.wire import quantity


def methods(chain: Chain, mempool: Mempool, production: Production, clock: Clock) -> dict[str, Method]:
    """Every method of a full node, by name. Those that only a devnet has are there only on a devnet."""
    logs = Logs(chain)
    filters = Filters(chain, logs, clock)
    rooms: list[dict[str, Method]] = [
        _fixed(chain.genesis.chain_id),
        Blocks(chain, mempool).methods(),
        Calls(chain, mempool, clock).methods(),
        Fees(chain).methods(),
        logs.methods(),
        filters.methods(),
        Submissions(production, filters).methods(),
        Proofs(chain).methods(),
    ]
    if chain.genesis.devnet:
        rooms.append(Making(production).methods())
    return {name: method for room in rooms for name, method in room.items()}


def _fixed(chain_id: int) -> dict[str, Method]:
    answers: dict[str, Json] = {
        "eth_chainId": quantity(chain_id),
        "net_version": str(chain_id),
        "net_listening": True,
        "web3_clientVersion": f"paraph/{__version__}",
        "eth_syncing": False,
        "eth_accounts": [],
    }
    return {name: Method(lambda value=value: value) for name, value in answers.items()}
