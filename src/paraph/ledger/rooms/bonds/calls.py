"""The room's ABI. Names are those of Cosmos EVM's staking where it has the same thing."""

from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.bonds import keys, rules

CONTRACT = Contract(
    "Staking",
    keys.ADDRESS,
    "Validators: their bonds, the keys that sign blocks, the set in force, and money on its way out.",
    (
        bind("createValidator(bytes32 consensusKey, bytes keyProof, string moniker) payable", rules.create, 120_000),
        bind("bond() payable", rules.bond, 60_000),
        bind("unbond(uint256 amount)", rules.unbond, 80_000),
        bind("withdraw()", rules.withdraw, 60_000),
        bind(
            "validator(address operator) view returns (bytes32 consensusKey, string moniker, uint256 bond,"
            " uint64 power, bool active, uint64 tombstoned)",
            rules.read,
            12_000,
        ),
        bind("validatorByKey(bytes32 consensusKey) view returns (address operator)", rules.read_key, 3_000),
        bind("validators(uint256 start, uint256 limit) view returns (address[] operators)", rules.page, 3_000),
        bind("activeSet() view returns (bytes32[] consensusKeys, uint64[] powers)", rules.read_active, 10_000),
        bind(
            "unbonding(address operator) view returns (uint256[] amounts, uint64[] completionTimes)",
            rules.read_unbonding,
            15_000,
        ),
    ),
    (rules.CREATED, rules.BONDED, rules.UNBONDED, rules.WITHDRAWN, rules.SLASHED),
)
