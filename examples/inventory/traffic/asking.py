"""Questions that the service puts to others: a language model, a distributor."""

from __future__ import annotations

from urllib.parse import quote

from .habits import Habit, Habits
from .visitor import REFUSED
from .world import MODELS

NOT_NOW = REFUSED | {502, 503}  # others have bad days, and limits
LEVELS = ("low", "low", "medium", "high")


class Asking(Habits):
    """On the phone."""

    def furnish(self) -> None:
        for habit, _ in self.usual():
            habit()

    def usual(self) -> list[tuple[Habit, int]]:
        habits: list[tuple[Habit, int]] = []
        if self.world.features.get("ai"):
            habits += [(self._analyse, 3), (self._find_duplicates, 3), (self._find_no_duplicates, 1), (self._smoke, 1)]
        if self.world.features.get("distributor"):
            habits += [(self._by_keyword, 2), (self._by_number, 1)]
        return habits

    def _analyse(self) -> None:
        how = {"verbosity": self.chance.choice(LEVELS), "reasoning_effort": self.chance.choice(LEVELS)}
        answer = self.call("POST", f"/api/parts/{self.world.some_part(self.chance)}/analysis", how)
        if answer.status == 202:
            self.call("GET", f"/api/tasks/{answer.content['id']}")

    def _find_duplicates(self) -> None:
        part = self.call("GET", f"/api/parts/{self.world.some_part(self.chance)}").content
        if part:
            self._compare(part["description"])

    def _find_no_duplicates(self) -> None:
        self._compare("Grandfather clock")

    def _smoke(self) -> None:
        self._compare("Relay with smoke coming out of it")  # see standins/ai_provider.py

    def _compare(self, description: str) -> None:
        self.call("POST", "/api/ai/duplicates", {"description": description}, may=NOT_NOW)

    def _by_keyword(self) -> None:
        self.call("GET", f"/api/distributor/search?keyword={quote(self.chance.choice(MODELS))}", may=NOT_NOW)

    def _by_number(self) -> None:
        self.call("GET", f"/api/distributor/part?number=RES-{self.chance.randint(1000, 1005)}", may=NOT_NOW)
