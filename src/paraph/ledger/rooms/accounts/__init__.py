"""OPG balances and nonces: the native coin, with an ERC-20 face."""
