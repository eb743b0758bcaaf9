"""Kits and their contents."""

from __future__ import annotations

from .habits import Habit, Habits
from .visitor import REFUSED
from .world import FIRST_KITS, MOST_KITS, NOWHERE, PROJECTS, KnownKit


class Kits(Habits):
    """At the drawing board."""

    def look_around(self) -> None:
        for status in ("active", "archived"):
            for row in self.call("GET", f"/api/kits?limit=200&status={status}").content or []:
                self.world.kits[row["id"]] = KnownKit(status == "active")
                self._view_kit(row["id"])

    def furnish(self) -> None:
        for _ in range(len(self.world.kits), FIRST_KITS):
            self._new_kit()
            self._add_line()
            self._add_line()

    def usual(self) -> list[tuple[Habit, int]]:
        return [
            (self._overview, 6),
            (self._view_some_kit, 8),
            (self._update_line, 8),
            (self._add_line, 5),
            (self._remove_line, 3),
            (self._new_kit, 2),
            (self._archive, 2),
            (self._unarchive, 2),
            (self._edit_an_old_copy, 1),
        ]

    def _overview(self) -> None:
        self.call("GET", f"/api/kits?status={self.chance.choice(('active', 'active', 'archived'))}")

    def _view_some_kit(self) -> None:
        self._view_kit(self.world.some_kit(self.chance) or NOWHERE)

    def _view_kit(self, kit_id: int) -> None:
        answer = self.call("GET", f"/api/kits/{kit_id}")
        if answer.status == 200:
            lines = {line["id"]: (line["part_id"], line["version"]) for line in answer.content["contents"]}
            known = self.world.kits.setdefault(kit_id, KnownKit(active=True))
            known.active, known.lines = answer.content["status"] == "active", lines

    def _new_kit(self) -> None:
        if len(self.world.kits) >= MOST_KITS:
            return
        name = f"{self.chance.choice(PROJECTS)} no. {self.chance.randint(1, 9999)}"
        answer = self.call("POST", "/api/kits", {"name": name, "build_target": self.chance.randint(1, 10)})
        if answer.status == 201:
            self.world.kits[answer.content["id"]] = KnownKit(active=True)

    def _archive(self) -> None:
        self._move("archive", active=True)

    def _unarchive(self) -> None:
        self._move("unarchive", active=False)

    def _move(self, where: str, *, active: bool) -> None:
        kit_id = self.world.some_kit(self.chance, active=active)
        if kit_id:
            status = self.call("POST", f"/api/kits/{kit_id}/{where}").status
            if status == 200:
                self.world.kits[kit_id].active = not active
            elif status in REFUSED:
                self._view_kit(kit_id)

    def _add_line(self) -> None:
        kit_id = self.world.some_kit(self.chance, active=True)
        if kit_id:
            line = {"part_id": self.world.some_part(self.chance), "required_per_unit": self.chance.randint(1, 6)}
            answer = self.call("POST", f"/api/kits/{kit_id}/contents", line)
            if answer.status == 201:
                self.world.kits[kit_id].lines[answer.content["id"]] = (answer.content["part_id"], answer.content["version"])
            elif answer.status in REFUSED:
                self._view_kit(kit_id)

    def _update_line(self, *, age: int = 0) -> None:
        kit_id = self.world.some_kit(self.chance, active=True, filled=True)
        if kit_id:
            lines = self.world.kits[kit_id].lines
            content_id, (part_id, version) = self.chance.choice(sorted(lines.items()))
            change = {"version": version + age, "required_per_unit": self.chance.randint(1, 6)}
            answer = self.call("PATCH", f"/api/kits/{kit_id}/contents/{content_id}", change)
            if answer.status == 200:
                lines[content_id] = (part_id, answer.content["version"])
            elif answer.status in REFUSED:
                self._view_kit(kit_id)

    def _edit_an_old_copy(self) -> None:
        self._update_line(age=1)  # any version but the present one is refused alike

    def _remove_line(self) -> None:
        kit_id = self.world.some_kit(self.chance, active=True, filled=True)
        if kit_id:
            content_id = self.chance.choice(sorted(self.world.kits[kit_id].lines))
            status = self.call("DELETE", f"/api/kits/{kit_id}/contents/{content_id}").status
            if status == 204:
                del self.world.kits[kit_id].lines[content_id]
            elif status in REFUSED:
                self._view_kit(kit_id)
