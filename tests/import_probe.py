"""Imports a module in the fresh interpreter that runs this file, and prints what that did: a JSON object on one line.

With ``-`` instead, it takes the names of modules from its input, a line each, and prints such a line for each, which a forked process
makes that has nothing loaded but much of the standard library: most of what importing one module takes is to load that.

``loaded``
    The modules that were not loaded before.
``did``
    What code of the module's own top-level package did meanwhile that is more than defining things: audited events (files,
    sockets, processes, threads, …), environment reads, handlers for signals, exit and fork, changed interpreter hooks. What the
    standard library does in its own imports is not counted; what it does when it is called is.

Arguments: a module, then names to fetch from it. Nothing is imported here that is not loaded in every interpreter or built in.
"""

import _signal
import _thread
import atexit
import gc
import os
import sys

BOOTSTRAP = ("importlib._bootstrap", "_frozen_importlib")
HARMLESS = ("import", "compile", "exec", "marshal.", "code.__new__", "function.__new__", "object.__", "sys._getframe", "builtins.id")
HOOKS = ("meta_path", "path_hooks", "excepthook", "unraisablehook", "displayhook")

target, *names = sys.argv[1:]
package = target.partition(".")[0]
did: list[str] = []


def record(what: str) -> None:
    """Note what happens now, if the package's code made it happen rather than an import that it asked for."""
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] == package:
            did.append(f"{module}: {what}")
            return
        if module.startswith(BOOTSTRAP):
            return
        frame = frame.f_back


def audit(event: str, arguments: tuple) -> None:
    if not event.startswith(HARMLESS):
        record(event)


def recording(function, describe):
    def recorded(*args, **kwargs):
        record(describe(*args))
        return function(*args, **kwargs)

    return recorded


environment = type(os.environ)
environment.__getitem__ = recording(environment.__getitem__, lambda self, key: f"environment read: {key}")
environment.__iter__ = recording(environment.__iter__, lambda self: "environment read: all of it")
atexit.register = recording(atexit.register, lambda *_: "atexit.register")
_signal.signal = recording(_signal.signal, lambda *_: "signal.signal")
for name in {"start_new_thread", "start_new", "start_joinable_thread"} & set(dir(_thread)):
    setattr(_thread, name, recording(getattr(_thread, name), lambda *_: "a thread starts"))
if hasattr(os, "register_at_fork"):
    os.register_at_fork = recording(os.register_at_fork, lambda *_: "os.register_at_fork")


def hooks() -> dict[str, object]:
    values = {f"sys.{name}": getattr(sys, name) for name in HOOKS} | {"gc.callbacks": gc.callbacks, "sys.gettrace()": sys.gettrace()}
    return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}


def probe() -> dict[str, object]:
    """Import the target, and say what that did."""
    global package  # noqa: PLW0603 - what the hooks look at
    before, hooks_before = set(sys.modules), hooks()
    sys.addaudithook(audit)
    __import__(target)
    for name in names:
        getattr(sys.modules[target], name)
    did.extend([f"{target}: changed {name}" for name, value in hooks().items() if value != hooks_before[name]])
    package = ""  # nothing more is recorded
    return {"loaded": sorted(set(sys.modules) - before), "did": did}


if target != "-":
    found = probe()
    import json  # loaded only now, so that it can be seen when the module loads it

    print(json.dumps(found))
else:
    for name in ("asyncio", "concurrent.futures.thread", "dataclasses", "email.message", "http.server", "json", "ssl", "urllib.request"):
        __import__(name)
    json = sys.modules["json"]
    for line in sys.stdin:
        target, names = line.strip(), []
        package = target.partition(".")[0]
        if os.fork() == 0:
            try:
                try:
                    found = probe()
                except BaseException as failure:  # there has to be an answer
                    found = {"loaded": [], "did": [f"{target} cannot be imported: {failure!r}"]}
                print(json.dumps(found), flush=True)
            finally:
                os._exit(0)
        os.wait()
