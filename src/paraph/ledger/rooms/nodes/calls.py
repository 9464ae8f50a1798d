"""The room's ABI."""

from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.nodes import enclaves, keys, rules

CONTRACT = Contract(
    "Nodes",
    keys.ADDRESS,
    "Inference nodes: where they answer, what they serve, which keys and enclaves sign their receipts, and their bond.",
    (
        bind(
            "register(string endpoint, address hotKey, bytes keyProof, uint8 layers, bytes32[] models) payable",
            rules.register,
            80_000,
        ),
        bind("update(string endpoint, uint8 layers, bytes32[] models)", rules.update, 40_000),
        bind("rotateKey(address hotKey, bytes keyProof)", rules.rotate_key, 50_000),
        bind("heartbeat()", rules.heartbeat, 20_000),
        bind("deregister()", rules.deregister, 30_000),
        bind("withdrawBond()", rules.withdraw_bond, 30_000),
        bind(
            "get(address node) view returns (string endpoint, uint256 bond, address hotKey, uint8 layers,"
            " bytes32[] models, uint64 heartbeat, uint64 leaving)",
            rules.get,
            6_000,
        ),
        bind(
            "keyOf(address hotKey) view returns (address node, uint64 heightFirst, uint64 heightLast)",
            rules.read_key,
            3_000,
        ),
        bind(
            "attest(address node, bytes32 release, bytes keyset, bytes evidence, uint64 height)",
            enclaves.attest,
            enclaves.GAS,
        ),
        bind("challenge(address receiptKey)", enclaves.challenge, 60_000),
        bind(
            "challengeWith(address receiptKey, bytes32 nonce, bytes evidence, bytes[] collateral)",
            enclaves.challenge_with,
            enclaves.GAS,
        ),
        bind(
            "enclave(address receiptKey) view returns (address node, bytes keyset, bytes32 release, string platform,"
            " uint8 trust, string module, uint64 heightFirst, uint64 heightLast, uint64 expires)",
            enclaves.read,
            6_000,
        ),
        bind(
            "enclaveOf(address node) view returns (address receiptKey, uint64 registered)", enclaves.read_current, 3_000
        ),
        bind("count() view returns (uint256 nodes)", rules.count, 3_000),
        bind("page(uint256 start, uint256 limit) view returns (address[] nodes)", rules.page, 3_000),
    ),
    (
        rules.REGISTERED,
        rules.UPDATED,
        rules.KEY_ROTATED,
        rules.HEARTBEAT,
        rules.LEAVING,
        rules.LEFT,
        rules.SLASHED,
        enclaves.REGISTERED,
        enclaves.CLOSED,
    ),
)
