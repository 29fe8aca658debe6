"""``python -m ddhelm``."""

from ddhelm.cli import main

main()
