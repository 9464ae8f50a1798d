"""`python -m paraph.cli` is `paraph`."""

from paraph.cli import main

if __name__ == "__main__":
    main()
