"""`python -m asyncauth` is the command `asyncauth`."""

from asyncauth.cli import main

main()
