"""``python -m auth0_cte``: the ``auth0-cte`` command."""

from auth0_cte.cli import main

if __name__ == "__main__":
    main()
