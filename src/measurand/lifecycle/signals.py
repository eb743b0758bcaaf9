"""SIGTERM: not ready at once, but still accepting; only then what the server makes of it.

A server that gets SIGTERM closes its listeners before anybody has noticed that it will. :func:`hook_sigterm` puts itself in front of the
server's handler: it begins the shutdown, keeps everything running for the drain delay, and then delivers the signal once more, to the
handler that the server had installed, in the main thread, as if it had come just now. A second signal in the meantime skips the waits,
unless it comes so soon after the first that it is the same one, told twice.

What came during the delay may still wait to be accepted then, where all workers of a server are busy and each serves one request at a
time. Such a server would leave it behind, so it gets the signal when nobody waits at its listeners any more.

In front of some servers there is no place: they take the signal in another process, or in the middle of their event loop. There the hook is
refused, which changes nothing for the server, and the log says what to do instead.

The handler itself takes no lock and waits for nothing, since it interrupts the main thread anywhere; the work is done in a thread.
"""

from __future__ import annotations

import _thread
import logging
import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

from measurand import clock
from measurand.lifecycle.coordinator import FOR_WORK, Coordinator

__all__ = ["Hook", "hook_sigterm"]

log = logging.getLogger("measurand")

WHAT_TO_DO = (
    "Until it stops accepting, the service will still look ready. Have `measurand drain URL --wait` run before the signal is sent, for "
    "example as a preStop hook: it makes the service not ready and waits for the drain delay."
)

ECHO = 1.0
"""Seconds within which a second signal is the first one again: service managers signal every process of a service, and a server's master
passes on what it got."""

FOR_SERVER = 0.9
"""The part of what remains after which a server that has not come to its end no longer keeps the last steps waiting."""

FOR_WAITING = 0.5
"""The part of what remains after the drain delay that those are given who wait to be accepted."""

LOOK_AGAIN = 0.01
"""Seconds between two looks at them."""

COMES_BY_WITHIN = 10.0
"""Seconds that the main thread is given to install the hook, where another thread asks for it."""


class Hook:
    """What became of :func:`hook_sigterm`.

    Attributes:
        reason: Why there is no hook, and what to do; empty if there is one.
    """

    def __init__(self, coordinator: Coordinator, own_handler: bool) -> None:
        self.reason = "the main thread has not come by yet to install it"
        self._coordinator = coordinator
        self._own_handler = own_handler
        self._originals: dict[int, Any] = {}
        self._process = os.getpid()
        self._signalled_at: float | None = None
        self._is_released = False
        self._is_hurried = threading.Event()
        self._is_settled = threading.Event()
        self._lock = threading.Lock()
        self._arriving = threading.Lock()

    @property
    def installed(self) -> bool:
        """Whether the next SIGTERM comes here. Not in a child process, and no longer when somebody has installed another handler."""
        is_here = signal.SIGTERM in self._originals and os.getpid() == self._process
        return is_here and signal.getsignal(signal.SIGTERM) == self._handle

    @property
    def coordinator(self) -> Coordinator:
        """What the signal begins to shut down."""
        return self._coordinator

    def remove(self) -> None:
        """Put the handlers back that were there before. From another thread this happens when the main thread comes by."""
        if not _is_main_thread():
            in_main_thread(self.remove)
            return
        for number, handler in self._originals.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)
        self._originals = {}
        self.reason = "it was removed"

    # -- installing ----------------------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Install the hook, in the main thread; done by :func:`hook_sigterm`. It may interrupt anything there, so it logs nothing."""
        with self._lock:
            if self._is_settled.is_set():  # too late: it has been reported as refused
                return
            handler = signal.getsignal(signal.SIGTERM)
            self.reason = _why_not(handler, self._own_handler)
            if not self.reason:
                for number in (signal.SIGTERM, signal.SIGINT):
                    if signal.getsignal(number) == handler:  # servers that treat Ctrl-C alike
                        self._originals[number] = handler
                        signal.signal(number, self._handle)
            self._is_settled.set()

    def refuse(self, reason: str) -> None:
        """Say that there will be no hook, and why, unless there is one."""
        with self._lock:
            if not self._is_settled.is_set():
                self.reason = f"{reason}. {WHAT_TO_DO}"
                self._is_settled.set()

    def report(self, seconds: float = 0.0) -> None:
        """Log why there is no hook, if there is none, after giving the main thread some seconds to install it."""
        if not self._is_settled.wait(seconds):
            self.refuse("the main thread is busy elsewhere, and only there can a handler be installed")
        if self.reason:
            log.warning("no drain on SIGTERM: %s", self.reason)

    # -- when it comes -------------------------------------------------------------------------------------------------------

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """The handler. It can interrupt anything, itself too: no locks, not even those that starting a ``threading.Thread`` takes."""
        if self._is_released or os.getpid() != self._process:
            self._pass_on(number, frame)
            return
        try:
            _thread.start_new_thread(self._come, (number,))
        except RuntimeError:  # no thread is left
            self._is_released = True
            self._pass_on(number, frame)

    def _come(self, number: int) -> None:
        """The work, in a thread of its own."""
        now = clock.monotonic()
        with self._arriving:
            first = self._signalled_at
            if first is None:
                self._signalled_at = now
        if first is not None:
            if now - first < ECHO:
                log.debug("the signal was told twice")
                return
            log.info("a second signal: skipping the waits")
            self._is_hurried.set()
            self._coordinator.skip_waits()
            return
        try:
            self._drain(number)
        except BaseException:
            log.exception("the drain failed; the server gets the signal now")
        finally:
            self._is_released = True
            self._deliver(number)
        # A server that waits for a request that never ends must not take the last numbers with it.
        if not self._coordinator.wait_for_shutdown(self._coordinator.remaining() * FOR_SERVER):
            self._coordinator.shutdown()

    def _drain(self, number: int) -> None:
        coordinator = self._coordinator
        is_awaited = number == signal.SIGINT and _has_terminal()
        if is_awaited or _is_reloaded(_uvicorn_of(self._originals.get(number))):  # somebody is waiting for it
            coordinator.begin_shutdown()
        else:
            name, delay = signal.Signals(number).name, coordinator.drain_delay
            log.info("%s: not ready from now on, and accepting for another %g s", name, delay)
            coordinator.begin_shutdown()
            coordinator.wait_for_drain_delay()
            self._wait_until_accepted(_listeners_of(self._originals.get(number)))
        coordinator.drain()
        if self._is_ours(number):
            coordinator.shutdown()

    def _wait_until_accepted(self, listeners: list[int]) -> None:
        """Wait until no connection waits at these sockets for some process to accept it; at most for a part of what remains."""
        end = clock.system_monotonic() + self._coordinator.remaining() * FOR_WAITING
        while _somebody_waits(listeners) and not self._is_hurried.wait(LOOK_AGAIN):
            if clock.system_monotonic() > end:
                log.warning("connections still wait to be accepted; the server stops without them")
                return

    def _is_ours(self, number: int) -> bool:
        return self._originals.get(number) == signal.SIG_DFL

    def _deliver(self, number: int) -> None:
        if signal.getsignal(number) != self._handle:  # the server has ended meanwhile, and taken its handlers with it
            return
        gevent = sys.modules.get("gevent.monkey")
        if gevent is not None and gevent.is_module_patched("threading"):  # identities of threads are not the system's then
            os.kill(os.getpid(), number)
            return
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """In the main thread: let the original handler have the signal."""
        original = self._originals.get(number)
        if self._is_ours(number):
            raise SystemExit(128 + number)
        server = _uvicorn_of(original)
        if server is not None:
            _share_budget(server, self._coordinator.remaining())
        if server is not None and _lacks_lifespan(server):
            server.should_exit = True
        elif callable(original):
            original(number, frame)


def hook_sigterm(coordinator: Coordinator, *, own_handler: bool = False) -> Hook:
    """Let SIGTERM begin the shutdown, and the server's own handler have it after the drain delay; see the module.

    To be called in the process that serves, when its server is up: at the start of an ASGI lifespan, at a WSGI application's first
    request. SIGINT is treated alike where the server does so. From a terminal it comes without the drain delay, as all signals do under
    ``uvicorn --reload``. From another thread than the main one the hook is installed a moment later, when the main thread comes by. A
    second call for the same coordinator returns the hook that is there.

    A uvicorn that has no ``timeout_graceful_shutdown`` is given one, so that requests which never end (event streams, for example) do not
    keep it for ever. If a server is still busy when nearly all of the budget is over, the rest of the shutdown runs without it, so that
    the last numbers are flushed in time.

    Args:
        coordinator: What the signal begins to shut down.
        own_handler: For programs without a server: where SIGTERM has no handler at all and would kill the process, install one. It goes
            through the whole shutdown and ends the program with ``SystemExit(143)`` in the main thread.

    Returns:
        The hook, which says whether it is installed, and if not, why and what to do. A refusal is logged.
    """
    current = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if isinstance(current, Hook) and current.coordinator is coordinator and current.installed:
        return current
    hook = Hook(coordinator, own_handler)
    seconds = 0.0
    if not hasattr(signal, "pthread_kill"):
        hook.refuse("this system has no SIGTERM that a handler could see")
    elif _is_main_thread():
        hook.install()
    elif in_main_thread(hook.install):
        seconds = COMES_BY_WITHIN
    else:
        hook.refuse("a handler can only be installed by the main thread")
    if seconds:
        threading.Thread(target=hook.report, args=(seconds,), name="measurand-hook", daemon=True).start()
    else:
        hook.report()
    return hook


def _why_not(handler: Any, own_handler: bool) -> str:
    if handler is signal.SIG_DFL:
        if own_handler:
            return ""
        reason = "this process has no handler for it; its server gets the signal in another process, or just dies of it"
    elif handler is signal.SIG_IGN:
        reason = "this process ignores it"
    elif not callable(handler):
        reason = "its handler was not installed by Python code"
    elif _belongs_to_loop(handler):
        reason = "the server takes it inside its event loop, where it cannot be held back"
    else:
        return ""
    return f"{reason}. {WHAT_TO_DO}"


def _belongs_to_loop(handler: Any) -> bool:
    """Whether it is what ``loop.add_signal_handler()`` leaves behind: the loop hears of the signal another way."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    loop = isinstance(getattr(handler, "__self__", None), asyncio.AbstractEventLoop)
    return loop or str(getattr(handler, "__module__", "")).startswith("asyncio.")


def _uvicorn_of(handler: Any) -> Any | None:
    """The uvicorn server whose handler this is."""
    server = getattr(handler, "__self__", None)
    return server if type(server).__module__.partition(".")[0] == "uvicorn" and hasattr(server, "should_exit") else None


def _listeners_of(handler: Any) -> list[int]:
    """The descriptors of the sockets that this handler's server accepts from one by one: those of a gunicorn worker.

    Servers with an event loop accept whatever comes, however busy they are.
    """
    try:
        return [listener.fileno() for listener in getattr(getattr(handler, "__self__", None), "sockets", ())]
    except (TypeError, AttributeError):  # what somebody else calls by that name
        return []


def _somebody_waits(listeners: list[int]) -> bool:
    if not listeners or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    for listener in listeners:
        if listener >= 0:  # not closed meanwhile
            poll.register(listener, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def _share_budget(server: Any, remaining: float) -> None:
    config: Any = getattr(server, "config", None)
    if getattr(config, "timeout_graceful_shutdown", 0) is None:  # nobody has chosen one: it would wait for ever
        config.timeout_graceful_shutdown = remaining * FOR_WORK


def _lacks_lifespan(server: Any) -> bool:
    """Whether the server will not tell the application that it ends.

    uvicorn's handler remembers the signal, and raises it again at the very end, which kills the process before its exit handlers run. With
    a lifespan all is done by then. Without one, setting ``should_exit`` stops the server just the same, and the exit handlers run.
    """
    mode = getattr(getattr(server, "config", None), "lifespan", "")
    return mode == "off" or bool(getattr(getattr(server, "lifespan", None), "error_occured", False))


def _is_reloaded(server: Any | None) -> bool:
    """Whether a uvicorn server runs under its reloader, which stops it with SIGTERM at each change of a file.

    Its settings come from there, and it is a process that the reloader has started: without one, uvicorn ignores the setting.
    """
    multiprocessing = sys.modules.get("multiprocessing")  # not loaded: nobody has started this process by it
    has_parent = multiprocessing is not None and multiprocessing.parent_process() is not None
    return has_parent and getattr(getattr(server, "config", None), "should_reload", False) is True


def _has_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def in_main_thread(call: Callable[[], None]) -> bool:
    """Have the main thread run ``call`` as soon as it runs Python code, and return whether that could be arranged.

    The interpreter has a queue for that, which only C code can reach.
    """
    try:
        import ctypes  # noqa: PLC0415 - needed only here, and missing on some systems

        if not _callbacks:
            _callbacks.append(ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_run_waiting))
        _waiting.append(call)
        return bool(ctypes.pythonapi.Py_AddPendingCall(_callbacks[0], None) == 0)
    except (ImportError, AttributeError):
        return False


_waiting: deque[Callable[[], None]] = deque()
_callbacks: list[Any] = []
"""The one function of this module that C code knows; it has to live as long as the process."""


def _run_waiting(_: object) -> int:
    while _waiting:
        try:
            _waiting.popleft()()
        except Exception:
            log.exception("the main thread could not change the handler of SIGTERM")
    return 0
