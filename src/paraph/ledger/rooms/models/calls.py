"""The room's ABI."""

from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.models import exact, keys, rules

CONTRACT = Contract(
    "Models",
    keys.ADDRESS,
    "The model registry: who owns a model, what an answer costs, and what its owner earns of each.",
    (
        bind(
            "register(bytes32 modelId, bytes32 manifestDigest, string name, string kind, uint16 royaltyBps,"
            " uint8 layers, uint256 base, uint256 perInputUnit, uint256 perOutputUnit)",
            rules.register,
            90_000,
        ),
        bind(
            "setPrice(bytes32 modelId, uint256 base, uint256 perInputUnit, uint256 perOutputUnit)",
            rules.set_price,
            60_000,
        ),
        bind("registerExact(bytes32 modelId, bytes graph, bytes32 weightRoot, uint32 version)", exact.register, 60_000),
        bind("transfer(bytes32 modelId, address owner)", rules.transfer, 20_000),
        bind(
            "get(bytes32 modelId) view returns (address owner, bytes32 manifestDigest, string name, string kind,"
            " uint16 royaltyBps, uint8 layers, uint32 priceVersion, uint64 height)",
            rules.get,
            6_000,
        ),
        bind(
            "price(bytes32 modelId, uint32 version) view returns (uint256 base, uint256 perInputUnit,"
            " uint256 perOutputUnit, uint64 ended)",
            rules.read_price,
            3_000,
        ),
        bind(
            "exact(bytes32 modelId) view returns (bytes32 exactId, bytes32 graph, bytes32 weightRoot, uint32 version)",
            exact.read,
            3_000,
        ),
        bind("graph(bytes32 modelId) view returns (bytes graph)", exact.read_graph, 6_000),
        bind("count() view returns (uint256 models)", rules.count, 3_000),
        bind("page(uint256 start, uint256 limit) view returns (bytes32[] modelIds)", rules.page, 3_000),
    ),
    (rules.REGISTERED, rules.PRICED, rules.TRANSFERRED, exact.REGISTERED),
)
