"""``python -m examples.governance SERVICE`` serves one of the four services."""

import sys

from .serve import main

if __name__ == "__main__":
    sys.exit(main())
