"""`python -m edge_digits`."""

from edge_digits.cli import main

main()
