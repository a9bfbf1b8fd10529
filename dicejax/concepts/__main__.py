"""Runs the command: `python -m dicejax.concepts COMMAND`."""

import sys

from dicejax.concepts.cli.parser import main

if __name__ == '__main__':
  sys.exit(main())
