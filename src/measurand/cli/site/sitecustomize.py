"""What an interpreter runs at its start under ``measurand run``, which puts this directory on its path."""

import sys
from importlib import import_module
from pathlib import Path


def _run() -> None:
    here = str(Path(__file__).parent)
    sys.path[:] = [place for place in sys.path if place != here]
    this = sys.modules.pop("sitecustomize")
    try:
        import_module("sitecustomize")  # the machine's own, in whose place this one was found
    except ImportError as reason:
        if reason.name != "sitecustomize":
            raise
    sys.modules.setdefault("sitecustomize", this)  # the import that led here looks for it
    try:
        begin = import_module("measurand.bootstrap.unattended").begin
    except ImportError:
        print(f"measurand: not installed for {sys.executable}: nothing is measured", file=sys.stderr)
        return
    begin()


_run()
