"""A local Ethereum JSON-RPC for wallets that believes no node: every answer is verified, or refused with its reason."""
