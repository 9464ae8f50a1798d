"""The room's ABI."""

from paraph.core.ident import Address
from paraph.ledger.contract import Contract, bind
from paraph.ledger.rooms.params import rules

ADDRESS = Address(bytes.fromhex("0000000000000000000000000000000000000a00"))

CONTRACT = Contract(
    "Params",
    ADDRESS,
    "The ledger's parameters, each a number within bounds. Changed by the governor only.",
    (
        bind("get(string name) view returns (uint256 value)", rules.read, 3_000),
        bind("names() view returns (string[] names)", rules.names, 3_000),
        bind("governor() view returns (address account)", rules.read_governor, 3_000),
        bind("set(string name, uint256 value)", rules.set_parameter, 30_000),
        bind("upgrade() view returns (uint64 version, uint64 height)", rules.read_upgrade, 3_000),
        bind("scheduleUpgrade(uint64 version, uint64 height)", rules.schedule_upgrade, 30_000),
    ),
    (rules.CHANGED, rules.SCHEDULED),
)
