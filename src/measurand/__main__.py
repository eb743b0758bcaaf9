"""``python -m measurand`` is the command line."""

import sys

from measurand.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
