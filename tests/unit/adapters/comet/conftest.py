"""The engine's program, for every test of this folder that asks for it."""

from tests.support.cometbft import cometbft

__all__ = ["cometbft"]
