"""``python -m pinokiocloud``: the command line."""

from pinokiocloud.cli import main

if __name__ == "__main__":
    main()
