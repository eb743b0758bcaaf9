"""Lines and datagrams to a server that says nothing back.

Names are resolved when something is sent, at most every half minute, and anew after an error; importing and constructing asks nobody. Each
call ends in a bounded time. From one thread at a time.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal

from measurand import clock
from measurand.errors import ConfigurationError, ExportFailed

__all__ = ["DatagramPeer", "StreamPeer", "host_and_port"]

RESOLVE_AGAIN = 30.0
"""Seconds for which an address is believed."""

AT_ONCE = 8
"""How many datagrams follow each other without a pause."""

PAUSE = 0.001
"""Seconds between them and the next: a receiver that cannot keep up loses what does not fit its buffer."""

MOST_ADDRESSES = 8
"""How many of a server's addresses are tried for one datagram."""

SHORTEST = 0.05
"""Seconds that a call always has."""

Where = tuple[socket.AddressFamily, Any]


def host_and_port(address: str, port: int) -> tuple[str, int]:
    """What ``host:port``, ``[::1]:port`` or a host alone says.

    Args:
        address: The text.
        port: The port where it says none.

    Raises:
        ConfigurationError: It is none of these.
    """
    text = address.strip()
    host, colon, after = text.rpartition(":")
    has_port = bool(colon) and not text.endswith("]") and (":" not in host or host.startswith("["))
    if not has_port:
        host, after = text, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or any(letter.isspace() or letter == "/" for letter in host) or not after.isdigit() or not 0 < int(after) < 65536:
        raise ConfigurationError(f"{address!r} is no address to send to: give host:port, such as 127.0.0.1:{port} or [::1]:{port}")
    return host, int(after)


class DatagramPeer:
    """A server of datagrams, over UDP or a unix socket.

    Args:
        kind: ``"udp"`` or ``"unix"``.
        address: Host and port, or the path of the socket.
    """

    def __init__(self, kind: Literal["udp", "unix"], address: tuple[str, int] | str) -> None:
        self.shown = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
        self._resolver = _Resolver(address, socket.SOCK_DGRAM) if kind == "udp" and not isinstance(address, str) else None
        self._path = str(address)
        self._socket: socket.socket | None = None
        self._in_a_row = 0

    def send(self, data: bytes, timeout: float) -> None:
        """Send a datagram, to another of the server's addresses if one refuses it.

        On this machine a refusal shows at once. From another it comes later and fails the datagram after the one that was refused.

        Args:
            data: What it holds.
            timeout: Seconds to wait for room.

        Raises:
            ExportFailed: It has not been sent, or nobody has taken it.
        """
        if self._resolver is not None and not self._resolver.is_fresh:
            self.close()
        try:
            self._send(data, timeout)
        except OSError as reason:
            self._send_elsewhere(data, timeout, reason)
        self._in_a_row += 1
        if self._in_a_row >= AT_ONCE:
            self._in_a_row = 0
            threading.Event().wait(PAUSE)

    def check(self) -> None:
        """Find the address, or the socket; whether somebody reads a UDP port is not to be known.

        Raises:
            ExportFailed: There is none.
        """
        try:
            self._open().close()
        except OSError as reason:
            raise ExportFailed(f"{self.shown} cannot be found: {_said(reason)}") from None

    def close(self) -> None:
        """Close the socket; the next datagram opens another."""
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()
        if self._resolver is not None:
            self._resolver.forget()

    def _send(self, data: bytes, timeout: float) -> None:
        if self._socket is None:
            self._socket = self._open()
        self._socket.settimeout(max(timeout, SHORTEST))
        self._socket.send(data)
        refused = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:
            raise OSError(refused, os.strerror(refused))

    def _send_elsewhere(self, data: bytes, timeout: float, reason: OSError) -> None:
        """What was refused has not arrived: try the addresses that have not refused it, or a unix socket that may have been made anew."""
        deadline = clock.system_monotonic() + timeout
        refused: list[Any] = []
        while self._socket is not None and not isinstance(reason, TimeoutError) and len(refused) < MOST_ADDRESSES:
            refused.append(self._socket.getpeername() if self._resolver is not None else None)
            self.close()
            try:
                self._socket = self._open(refused)
                self._send(data, deadline - clock.system_monotonic())
            except OSError as again:
                reason = again if self._socket is not None or self._resolver is None else reason
            else:
                return
            if self._resolver is None:
                break
        self.close()
        raise ExportFailed(f"{self.shown} takes no datagrams: {_said(reason)}") from None

    def _open(self, refused: Sequence[Any] = ()) -> socket.socket:
        if self._resolver is None:
            return _connected((socket.AF_UNIX, self._path), socket.SOCK_DGRAM, SHORTEST)
        return self._resolver.first(lambda where: _connected(where, socket.SOCK_DGRAM, SHORTEST), refused)


class StreamPeer:
    """A server of lines over TCP: a connection for each delivery, ended in order.

    Args:
        address: Host and port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.shown = f"{address[0]}:{address[1]}"
        self._resolver = _Resolver(address, socket.SOCK_STREAM)

    def deliver(self, parts: Iterable[bytes], timeout: float) -> None:
        """Send everything, and wait until the server has read it, as far as that shows.

        A server that closes the connection when it has come to its end has read it all. One that does not close it is not waited for longer
        than there is time, and has read it as far as anybody can tell.

        Args:
            parts: What to send.
            timeout: Seconds for all of it.

        Raises:
            ExportFailed: The connection failed; it is not known what the server has read.
        """
        deadline = clock.system_monotonic() + max(timeout, SHORTEST)
        try:
            with self._resolver.first(lambda where: _connected(where, socket.SOCK_STREAM, _left(deadline))) as connection:
                for part in parts:
                    connection.settimeout(_left(deadline))
                    connection.sendall(part)
                connection.shutdown(socket.SHUT_WR)
                with suppress(TimeoutError):
                    connection.settimeout(min(_left(deadline), 1.0))
                    while connection.recv(4096):
                        pass
                    if _is_unread(connection):
                        raise ConnectionResetError(errno.ECONNRESET, "it has closed the connection before it had read everything")
        except OSError as reason:
            self._resolver.forget()
            raise ExportFailed(f"{self.shown} cannot be reached: {_said(reason)}") from None

    def check(self, timeout: float) -> None:
        """Connect, and say nothing.

        Raises:
            ExportFailed: Nobody listens.
        """
        self.deliver((), timeout)


class _Resolver:
    """The addresses of a name."""

    def __init__(self, address: tuple[str, int], kind: socket.SocketKind) -> None:
        self._address = address
        self._kind = kind
        self._known: list[Where] = []
        self._until = 0.0

    @property
    def is_fresh(self) -> bool:
        return bool(self._known) and clock.system_monotonic() < self._until

    def forget(self) -> None:
        self._known = []

    def first(self, open_: Callable[[Where], socket.socket], refused: Sequence[Any] = ()) -> socket.socket:
        """The socket of the first address that can be opened and has not refused; ``OSError`` if there is none."""
        if not self.is_fresh:
            found = socket.getaddrinfo(*self._address, type=self._kind)
            self._known = [(family, where) for family, _, _, _, where in found]
            self._until = clock.system_monotonic() + RESOLVE_AGAIN
        problem: OSError = OSError("it has no address")
        for where in self._known:
            if where[1] in refused:
                continue
            try:
                return open_(where)
            except OSError as reason:
                problem = reason
        raise problem


def _connected(where: Where, kind: socket.SocketKind, timeout: float) -> socket.socket:
    made = socket.socket(where[0], kind)
    try:
        made.settimeout(timeout)
        made.connect(where[1])
    except BaseException:
        made.close()
        raise
    return made


def _is_unread(connection: socket.socket) -> bool:
    """Whether the system still holds something that the other end has not taken; false where this is not to be known."""
    try:
        import fcntl  # noqa: PLC0415 - neither is everywhere
        import termios  # noqa: PLC0415
    except ImportError:
        return False
    held = array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, held)
    return held[0] > 0


def _left(deadline: float) -> float:
    left = deadline - clock.system_monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _said(reason: OSError) -> str:
    return reason.strerror or str(reason) or type(reason).__name__
