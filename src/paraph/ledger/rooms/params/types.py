"""The parameters: name, unit, default, bounds, and why. The reference page is generated from this table."""

from dataclasses import dataclass
from typing import Final

from paraph.core.amount import WEI_PER_OPG
from paraph.core.limits import REQUEST_LIFETIME_S_MAX
from paraph.proofs.records import Record

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its stable name (the unit goes last), default, inclusive bounds, and what it is for."""

    name: str
    default: int
    low: int
    high: int
    purpose: str


# The three highest parts of a price add up to the whole of it, so that an operator's part is never negative.
STAKERS_BPS: Final = Parameter("stakers_bps", 500, 0, 2_000, "part of each price for the stakers' pool")
TREASURY_BPS: Final = Parameter("treasury_bps", 200, 0, 2_000, "part of each price for the treasury")
ROYALTY_BPS_MAX: Final = Parameter("royalty_bps_max", 5_000, 0, 6_000, "most that a model's owner may ask of a price")
SETTLE_WINDOW_S: Final = Parameter(
    "settle_window_s", 3_600, 600, DAY_S, "how long after a request's deadline its receipt may be settled"
)
WITHDRAW_DELAY_S: Final = Parameter(
    "withdraw_delay_s", 3 * 3_600, 0, 30 * DAY_S, "how long escrow stays debitable after its owner asks for it back"
)
CLOCK_DRIFT_S: Final = Parameter("clock_drift_s", 60, 1, 600, "how far a node's clock may run ahead of the chain's")
NODE_BOND_MIN_WEI: Final = Parameter(
    "node_bond_min_wei", 1_000 * WEI_PER_OPG, 0, 10_000_000 * WEI_PER_OPG, "least bond of an inference node"
)
UNBOND_DELAY_S: Final = Parameter(
    "unbond_delay_s",
    14 * DAY_S,
    0,
    60 * DAY_S,
    "how long a bond stays after leaving; can only be raised",
)
VALIDATOR_BOND_MIN_WEI: Final = Parameter(
    "validator_bond_min_wei",
    10_000 * WEI_PER_OPG,
    WEI_PER_OPG,  # a whole OPG is a vote; a bond of less would have none
    10_000_000 * WEI_PER_OPG,
    "least bond of a validator",
)
VALIDATORS_MAX: Final = Parameter("validators_max", 40, 1, 100, "most validators in the set that signs blocks")
SLASH_DOUBLE_SIGN_BPS: Final = Parameter(
    "slash_double_sign_bps", 500, 100, 10_000, "part of a bond that signing two blocks of one height costs"
)
ENCLAVE_LIFE_S: Final = Parameter(
    "enclave_life_s", DAY_S, 3_600, 30 * DAY_S, "how long the keys of an enclave are valid before it must attest anew"
)
PROOF_WINDOW: Final = Parameter(
    "proof_window",
    600,
    20,
    100_000,
    "blocks after a receipt's until its proof, if one is promised, is due at the latest",
)
PROOF_SLASH_BPS: Final = Parameter(
    "proof_slash_bps",
    100,
    0,
    10_000,
    "part of a node's bond that each promised proof costs that is not brought in time",
)
PROOF_WORK_BLOCK_MAX: Final = Parameter(
    "proof_work_block_max",
    6_000_000,  # two models or two large proofs; the fast verifier takes a fifth of a second, the reference one eight
    4_000_000,
    400_000_000,
    "work on proofs of exact models that one block may hold, in multiplications of the verifier's",
)
GAS_PER_WORK: Final = 4
"""Gas for one multiplication of a verifier's. The fast one makes 50 million in a second, the reference one 700 000."""
BASE_FEE_MIN_WEI: Final = Parameter("base_fee_min_wei", 10**9, 1, 10**15, "floor of the base fee, per gas")
GAS_LIMIT: Final = Parameter("gas_limit", 30_000_000, 1_000_000, 60_000_000, "gas of one block")

PARAMETERS: Final = {
    parameter.name: parameter
    for parameter in (
        STAKERS_BPS,
        TREASURY_BPS,
        ROYALTY_BPS_MAX,
        SETTLE_WINDOW_S,
        WITHDRAW_DELAY_S,
        CLOCK_DRIFT_S,
        NODE_BOND_MIN_WEI,
        UNBOND_DELAY_S,
        VALIDATOR_BOND_MIN_WEI,
        VALIDATORS_MAX,
        SLASH_DOUBLE_SIGN_BPS,
        ENCLAVE_LIFE_S,
        PROOF_WINDOW,
        PROOF_SLASH_BPS,
        PROOF_WORK_BLOCK_MAX,
        BASE_FEE_MIN_WEI,
        GAS_LIMIT,
    )
}

GROWING: Final = frozenset({UNBOND_DELAY_S.name})
"""Never lowered after genesis. Clients trust a validator set for two thirds of the time that bonds stay, as genesis
set it: were bonds home sooner, who left could sign another history for free, and be believed."""


DATED: Final = frozenset({PROOF_WINDOW.name})
"""Whose values of the past count: a promise is dated by what was in force when it was made."""


@dataclass(frozen=True, slots=True)
class Change(Record):
    """A change of a dated parameter: what it was, and the block that changed it."""

    before: int
    height: int


def inconsistencies(values: dict[str, int]) -> list[str]:
    """What does not fit together among all parameters' values, as sentences; none when all is well."""
    found = [
        f"{name} is {values[name]}; it must be from {parameter.low} to {parameter.high}"
        for name, parameter in PARAMETERS.items()
        if not parameter.low <= values[name] <= parameter.high
    ]
    # Escrow that a receipt may still debit must not leave: not even in the last second, nor by a node's clock ahead.
    needed = REQUEST_LIFETIME_S_MAX + values[SETTLE_WINDOW_S.name] + values[CLOCK_DRIFT_S.name]
    if values[WITHDRAW_DELAY_S.name] <= needed:
        found.append(f"withdraw_delay_s must be above {needed}: a request's life, the settle window, the clock's drift")
    # Above half of a block's gas its price rises: to fill block after block with failing proofs costs ever more.
    least = values[GAS_LIMIT.name] // 2 // GAS_PER_WORK
    if values[PROOF_WORK_BLOCK_MAX.name] <= least:
        found.append(f"proof_work_block_max must be above {least}: work that costs half of gas_limit")
    return found
