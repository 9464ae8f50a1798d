"""The light client: from a pinned validator set to a believed block header, with signatures and nothing else."""
