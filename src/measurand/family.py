"""``python -m measurand.family`` shows the families of worker processes of this user; see ``measurand family --help``."""

import sys

from measurand.cli.family import main

if __name__ == "__main__":
    sys.exit(main())
