"""The limits of light blocks, each with its reason: how large one may be, and how many may be strung together."""

from typing import Final

VALIDATORS_MAX: Final = 200
"""Validators in one set: the largest networks on this engine have 180; 200 signatures take about 30 ms to check."""

POWER_MAX: Final = (2**63 - 1) // 8
"""Power of a whole set, as CometBFT limits it: its arithmetic on 64 bits keeps three bits of room."""

HOPS_MAX: Final = 64
"""Blocks from what is trusted to what is asked for: one hop lasts while a third of the set stays, mostly months."""

CHAIN_ID_BYTES_MAX: Final = 50
"""A chain's name, as CometBFT limits it."""

APP_HASH_BYTES_MAX: Final = 64
"""An application's root: ours is 32 bytes; the engine sets no length, and no hash in use is longer."""

SECONDS_MAX: Final = 253_402_300_799
"""The last second of the year 9999: the end of time in the engine's timestamps."""

ROUND_MAX: Final = 2**31 - 1
"""A round is a signed integer of 32 bits in the engine."""

PARTS_MAX: Final = 2**32 - 1
"""A count of parts is an unsigned integer of 32 bits in the engine."""
