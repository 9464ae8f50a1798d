"""The command line: `paraph`. Each file is one noun; it prints, exits, and leaves the work to the floors below."""


def main() -> int:
    """Run `paraph`. Exits with 0 done or verified, 1 not done or not verified, 2 malformed or misused."""
    # Imported late: `import paraph.cli` is free for whoever only wants to know that it is there.
    from paraph.cli.program import paraph

    paraph.main()
    return 0
