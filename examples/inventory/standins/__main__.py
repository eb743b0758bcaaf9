"""``python -m examples.inventory.standins`` runs the stand-ins until Ctrl-C and prints how to start the service with them."""

from __future__ import annotations

import sys
import threading

from ..signals import stop_on_signals
from . import together


def main() -> int:
    """The command. Returns the exit status."""
    stop_on_signals()
    with together.running() as settings:
        print("Three stand-ins are running. In another terminal:\n")
        print(*(f"  export {name}={value}" for name, value in settings.items()), sep="\n")
        print("  python -m examples.inventory\n\nCtrl-C stops them.", flush=True)
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
