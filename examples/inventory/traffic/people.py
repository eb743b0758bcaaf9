"""People who sign in: by way of the issuer, as browsers do, as long as that is on this machine."""

from __future__ import annotations

import contextlib
import http.client
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from .habits import Habit, Habits
from .visitor import REFUSED, Answer

NOT_YOU = REFUSED | {401, 502}
SENT_ON = REFUSED | {302, 502}


class People(Habits):
    """At the door."""

    cookies: dict[str, str]

    def furnish(self) -> None:
        self.cookies = {}
        for habit, _ in self.usual():
            habit()

    def usual(self) -> list[tuple[Habit, int]]:
        if not self.world.features.get("sign_in"):
            return []
        return [
            (self._sign_in, 1),
            (self._who_am_i, 4),
            (self._see_the_inside, 1),
            (self._come_back_later, 1),
            (self._show_a_forged_pass, 1),
            (self._make_up_a_code, 1),
            (self._come_back_after_a_rotation, 1),
        ]

    def _sign_in(self) -> None:
        answer = self._asked("GET", "/api/auth/login", SENT_ON)
        back = self._elsewhere("GET", answer.headers.get("Location", "") if answer.headers else "")
        if answer.status == 302 and back:
            where = urlsplit(back)
            self._asked("GET", f"{where.path}?{where.query}", SENT_ON)

    def _who_am_i(self) -> None:
        self._asked("GET", "/api/me", NOT_YOU)

    def _see_the_inside(self) -> None:
        self._asked("GET", "/api/admin/status", NOT_YOU)

    def _come_back_later(self) -> None:
        self.cookies.pop("access_token", None)  # as browsers do when it has expired
        self._who_am_i()

    def _come_back_after_a_rotation(self) -> None:
        answer = self._asked("GET", "/api/auth/login", SENT_ON)
        where = urlsplit(answer.headers.get("Location", "") if answer.headers else "")
        if where.hostname:
            self._elsewhere("POST", f"{where.scheme}://{where.netloc}/rotate")
            self._come_back_later()

    def _show_a_forged_pass(self) -> None:
        self.call("GET", "/api/me", may=NOT_YOU, Authorization="Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5In0.")

    def _make_up_a_code(self) -> None:
        answer = self._asked("GET", "/api/auth/login", SENT_ON)
        if answer.status == 302:
            state = self.cookies.get("sign_in", "").partition(".")[0]
            self._asked("GET", f"/api/auth/callback?code=made-up&state={state}", NOT_YOU)

    def _asked(self, method: str, path: str, may: frozenset[int]) -> Answer:
        """A request with the cookies that there are; those that come back are kept."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        answer = self.call(method, path, may=may, **sent)
        for header in answer.headers.get_all("Set-Cookie", []) if answer.headers else []:
            for name, cookie in SimpleCookie(header).items():
                self.cookies[name] = cookie.value
                if not cookie.value:
                    del self.cookies[name]
        return answer

    @staticmethod
    def _elsewhere(method: str, url: str) -> str | None:
        """Ask the issuer; where it sends us on to. It is asked on this machine only: elsewhere it would want a password."""
        where = urlsplit(url)
        if where.hostname not in {"127.0.0.1", "::1", "localhost"}:
            return None
        with contextlib.closing(http.client.HTTPConnection(where.hostname, where.port, timeout=5)) as connection:
            try:
                connection.request(method, f"{where.path}?{where.query}")
                return connection.getresponse().headers.get("Location")
            except (OSError, http.client.HTTPException):
                return None
