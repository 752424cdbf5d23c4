"""`python -m sia_dagster` is the `sia` command."""

from sia_dagster.cli import main

if __name__ == "__main__":
    main()
