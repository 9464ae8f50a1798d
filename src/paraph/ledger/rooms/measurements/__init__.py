"""Code that enclaves may run, approved and revoked at heights; certificates and machines that are believed no more."""
