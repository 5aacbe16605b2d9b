"""`python -m genreg`."""

from genreg.cli.verbs import main as main

if __name__ == "__main__":
    main()
