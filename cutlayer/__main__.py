"""``python -m cutlayer``: the same as the command ``cutlayer``."""

from cutlayer.cli import main

main()
