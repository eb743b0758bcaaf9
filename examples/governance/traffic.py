"""A busy assembly: people propose, vote, decide, override, dissent, answer and witness, at a bounded rate and with honest mistakes.

``python -m examples.governance.traffic --api URL --watchdog URL``. Some dissents stay unanswered and some decisions unwitnessed, so that
articles are breached; now and then the chair halts the system and lifts that again. The same seed on an empty store gives the same session.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .signals import stop_on_signals

PEOPLE = ("ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal")
AUTHORITY = "chair"
TITLES = ("Tea at four", "A new roof", "Longer evenings", "Fewer meetings", "A quieter bell", "Open doors", "Bicycles inside", "Plants")
REASONS = ("it costs too much", "nobody was asked", "it is too soon", "there is a better way", "it was tried before")
MOST_OPEN = 12
REMEMBERED = 30
LOST_AFTER = 10  # failed requests in a row
PATIENCE = 50  # attempts to lift a halt, which takes an observer
EXPECTED = {200, 201, 202, 403, 404, 409, 422, 423, 503}


class UnreachableError(Exception):
    """The services do not answer, or no longer."""


@dataclass
class Seen:
    """What the assembly remembers of something: its id, who did it, and who had a part in it."""

    id: str
    actor: str
    others: set[str] = field(default_factory=set)


class Traffic:
    """All the people, with one connection to each service. ``answers`` counts the answers by status while it works.

    Args:
        api: Where the api is.
        watchdog: Where the watchdog is.
        rate: Requests a second, at most; after a stall nothing is made up for.
        seed: Chooses the session.
    """

    def __init__(self, api: str, watchdog: str, *, rate: float = 20, seed: int = 1) -> None:
        if not rate > 0:
            raise ValueError("the rate must be above 0 requests a second")
        self.answers: Counter[int] = Counter()
        self._api, self._watchdog = _connection(api), _connection(watchdog)
        self._url = api
        self._pause = 1 / rate
        self._random = random.Random(seed)
        self._open: list[Seen] = []
        self._decided: list[Seen] = []
        self._dissents: list[Seen] = []
        self._consequences: list[Seen] = []
        self._stop = threading.Event()
        self._due = self._end = 0.0
        self._failures = 0

    def run(self, *, duration: float | None = None, stop: threading.Event | None = None) -> None:
        """Do everything once, then go on by habit for ``duration`` seconds, or until ``stop`` is set.

        Raises:
            UnreachableError: The api never answered, or stopped answering.
        """
        self._stop = stop or self._stop
        self._due = time.monotonic()
        self._end = float("inf")
        actions, weights = zip(*self._habits(), strict=True)
        try:
            for action in actions:
                action()
            self._end = time.monotonic() + duration if duration is not None else self._end
            while self._wait():
                self._random.choices(actions, weights)[0]()
        except _Over:
            pass
        finally:
            self._api.close()
            self._watchdog.close()

    # --- one request -------------------------------------------------------------------------------------------------------------

    def _wait(self) -> bool:
        """Wait for the next request's turn; false when the session is over."""
        over = self._stop.wait(max(0.0, min(self._due, self._end) - time.monotonic()))
        return not over and time.monotonic() < self._end

    def _call(self, method: str, path: str, body: dict[str, str] | None = None, *, to: http.client.HTTPConnection | None = None) -> Any:
        """One request in its turn; the decoded body of a 2xx, else nothing."""
        if not self._wait():
            raise _Over
        self._due = max(self._due + self._pause, time.monotonic())
        connection = to or self._api
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as reason:
            connection.close()
            self._failures += 1
            if self._failures >= LOST_AFTER or not self.answers:
                raise UnreachableError(f"{self._url} does not answer ({reason}); is the service running there?") from reason
            self._due = time.monotonic() + 0.5
            return None
        self._failures = 0
        self.answers[answer.status] += 1
        return json.loads(content) if answer.status < 300 else None

    def _act(self, path: str, actor: str, **body: str) -> Seen | None:
        """Do something; what became of it, if it was recorded."""
        done = self._call("POST", path, {"actor": actor, **body})
        return Seen(done["id"], actor) if done else None

    # --- habits ------------------------------------------------------------------------------------------------------------------

    def _habits(self) -> list[tuple[Callable[[], object], float]]:
        """What people do, and how often out of a hundred or so."""
        return [
            (self._propose, 8),
            (self._vote, 30),
            (self._decide, 8),
            (self._witness, 18),
            (self._dissent, 5),
            (self._answer, 4),
            (self._override, 2),
            (self._read_proposals, 6),
            (self._read_a_proposal, 6),
            (self._read_the_log, 4),
            (self._read_the_state, 4),
            (self._vote_again, 2),
            (self._decide_too_early, 1),
            (self._usurp, 1),
            (self._ask_for_nothing, 1),
            (self._mumble, 1),
            (self._halt_and_lift, 0.4),
        ]

    def _propose(self) -> None:
        if len(self._open) < MOST_OPEN:
            _keep(self._open, self._act("/v1/proposals", self._person(), title=self._random.choice(TITLES)))

    def _vote(self) -> None:
        proposal = self._some(self._open)
        voters = [person for person in PEOPLE if proposal is None or person not in proposal.others]
        if proposal is not None and voters:
            voter = self._random.choice(voters)
            proposal.others.add(voter)
            choice = self._random.choice(("for", "for", "against", "abstain"))
            self._act(f"/v1/proposals/{proposal.id}/votes", voter, choice=choice)

    def _decide(self) -> None:
        proposal = next((each for each in self._open if len(each.others) > 3), None)
        if proposal is not None:
            decision = self._act(f"/v1/proposals/{proposal.id}/decision", self._person())
            if decision is not None:
                self._open.remove(proposal)
                _keep(self._decided, proposal)
                _keep(self._consequences, decision)

    def _witness(self) -> None:
        waiting = [each for each in self._consequences[-6:] if len(each.others) < 2]
        act = self._some(waiting)
        if act is not None:
            witness = self._random.choice([person for person in PEOPLE if person not in {act.actor, *act.others}])
            act.others.add(witness)
            self._act(f"/v1/events/{act.id}/witnesses", witness)

    def _dissent(self) -> None:
        proposal = self._some(self._open + self._decided)
        if proposal is not None:
            done = self._act(f"/v1/proposals/{proposal.id}/dissents", self._person(), reason=self._random.choice(REASONS))
            _keep(self._dissents, done)

    def _answer(self) -> None:
        dissent = self._some(self._dissents)
        if dissent is not None:
            self._dissents.remove(dissent)
            person = self._random.choice([person for person in PEOPLE if person != dissent.actor])
            self._act(f"/v1/dissents/{dissent.id}/answer", person, reason="it was considered")

    def _override(self) -> None:
        if self._decided:
            proposal = self._decided.pop(0)
            _keep(self._consequences, self._act(f"/v1/proposals/{proposal.id}/override", AUTHORITY, reason=self._random.choice(REASONS)))

    def _halt_and_lift(self) -> None:
        if self._order("halt"):
            self._read_the_state()
            for _ in range(PATIENCE):
                if self._order("lift"):
                    return

    def _order(self, order: str) -> bool:
        done = self._call("POST", f"/v1/{order}", {"actor": AUTHORITY, "reason": "an exercise"}, to=self._watchdog)
        if done:
            _keep(self._consequences, Seen(done["id"], AUTHORITY))
        return bool(done)

    def _read_proposals(self) -> None:
        self._call("GET", f"/v1/proposals?state={self._random.choice(('open', 'adopted', 'rejected', 'overridden'))}")

    def _read_a_proposal(self) -> None:
        proposal = self._some(self._open + self._decided)
        self._call("GET", f"/v1/proposals/{proposal.id if proposal else 'nothing'}")

    def _read_the_log(self) -> None:
        self._call("GET", f"/v1/events?after={self._random.randint(0, 200)}")

    def _read_the_state(self) -> None:
        self._call("GET", "/v1/state")

    # --- honest mistakes ---------------------------------------------------------------------------------------------------------

    def _vote_again(self) -> None:
        proposal = self._some([each for each in self._open if each.others])
        if proposal is not None:
            self._act(f"/v1/proposals/{proposal.id}/votes", min(proposal.others), choice="for")

    def _decide_too_early(self) -> None:
        proposal = self._act("/v1/proposals", self._person(), title="Now or never")
        if proposal is not None:
            self._act(f"/v1/proposals/{proposal.id}/decision", self._person())

    def _usurp(self) -> None:
        if self._decided:
            self._act(f"/v1/proposals/{self._decided[0].id}/override", self._person(), reason="because I can")

    def _ask_for_nothing(self) -> None:
        self._call("GET", f"/v1/events/nothing-{self._random.randint(0, 10**9)}")

    def _mumble(self) -> None:
        self._call("POST", "/v1/proposals", {"actor": self._person(), "title": ""})

    def _person(self) -> str:
        return self._random.choice(PEOPLE)

    def _some(self, known: list[Seen]) -> Seen | None:
        return self._random.choice(known) if known else None


class _Over(Exception):
    """The session is over; leaves whatever was under way."""


def _keep(known: list[Seen], new: Seen | None) -> None:
    if new is not None:
        known.append(new)
        del known[:-REMEMBERED]


def _connection(url: str) -> http.client.HTTPConnection:
    where = urlsplit(url)
    if where.scheme != "http" or not where.hostname:
        raise ValueError(f"{url!r} is not the address of a service; give one as http://127.0.0.1:8000")
    return http.client.HTTPConnection(where.hostname, where.port or 80, timeout=5)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 1 when a service was not there or answered what it never should."""
    parser = argparse.ArgumentParser(prog="python -m examples.governance.traffic", description="Let an assembly deliberate.")
    parser.add_argument("--api", required=True, metavar="URL", help="where the api is")
    parser.add_argument("--watchdog", required=True, metavar="URL", help="where the watchdog is")
    parser.add_argument("--rate", type=float, default=20, help="requests a second, at most (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="chooses what is done (default: %(default)s)")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after so long (default: Ctrl-C)")
    chosen = parser.parse_args(arguments)
    try:
        traffic = Traffic(chosen.api, chosen.watchdog, rate=chosen.rate, seed=chosen.seed)
    except ValueError as reason:
        parser.error(str(reason))
    stop_on_signals()
    try:
        traffic.run(duration=chosen.duration)
    except UnreachableError as reason:
        print(reason, file=sys.stderr)
        return 1
    except SystemExit:
        pass  # a signal: say what was done, then leave
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(traffic.answers.items()))
    print(f"{traffic.answers.total()} requests answered: {counts or 'none'}")
    return 0 if traffic.answers.keys() <= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
