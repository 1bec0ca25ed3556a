"""``python -m novasystem`` is the command ``nova``."""

from novasystem.cli.main import main

if __name__ == "__main__":
    main()
