"""Verifiers of attestation evidence: pure functions of evidence, policy, roots, revocations and a time."""
