"""Shopping lists: from what a kit is short of to what the postman brings."""

from __future__ import annotations

from .habits import Habit, Habits
from .visitor import REFUSED
from .world import MOST_LISTS, PROJECTS, SELLERS


class Shopping(Habits):
    """At the desk with the catalogues."""

    def look_around(self) -> None:
        for row in self.call("GET", "/api/shopping-lists?limit=200").content or []:
            self._view(row["id"])

    def furnish(self) -> None:
        if not self.world.shopping_lists:
            self._new_list()
        self._add_line()
        self._order_group()
        for _ in range(4):
            self._push()
        for habit in (self._order, self._receive, self._unlink, self._unlink_nothing):
            habit()

    def usual(self) -> list[tuple[Habit, int]]:
        return [
            (self._new_list, 1),
            (self._view_some, 3),
            (self._add_line, 3),
            (self._push, 4),
            (self._unlink, 1),
            (self._unlink_nothing, 1),
            (self._order, 4),
            (self._order_group, 2),
            (self._receive, 5),
        ]

    def _new_list(self) -> None:
        if len(self.world.shopping_lists) < MOST_LISTS:
            answer = self.call("POST", "/api/shopping-lists", {"name": f"For the {self.chance.choice(PROJECTS).lower()}"})
            if answer.status == 201:
                self.world.shopping_lists[answer.content["id"]] = {}

    def _view(self, list_id: int) -> None:
        answer = self.call("GET", f"/api/shopping-lists/{list_id}")
        if answer.status == 200:
            self.world.shopping_lists[list_id] = {line["id"]: (line["part_id"], line["status"]) for line in answer.content["lines"]}

    def _view_some(self) -> None:
        if self.world.shopping_lists:
            self._view(self.chance.choice(sorted(self.world.shopping_lists)))

    def _add_line(self) -> None:
        if self.world.shopping_lists:
            list_id, part_id = self.chance.choice(sorted(self.world.shopping_lists)), self.world.some_part(self.chance)
            line = {"part_id": part_id, "needed": self.chance.randint(1, 40), "seller": self.chance.choice(SELLERS)}
            answer = self.call("POST", f"/api/shopping-lists/{list_id}/lines", line)
            if answer.status == 201:
                self.world.shopping_lists[list_id][answer.content["id"]] = (answer.content["part_id"], "new")

    def _push(self) -> None:
        kit_id = self.world.some_kit(self.chance, active=True, filled=True)
        if kit_id and self.world.shopping_lists:
            list_id = self.chance.choice(sorted(self.world.shopping_lists))
            terms = {"units": self.chance.choice((1, 5, 50)), "honor_reserved": self.chance.choice((True, False))}
            answer = self.call("POST", f"/api/kits/{kit_id}/shopping-lists", {"shopping_list_id": list_id} | terms)
            if answer.status == 200:
                self.world.kits[kit_id].shopping_lists.add(list_id)
                lines = {line["id"]: (line["part_id"], "new") for line in answer.content["lines"]}
                self.world.shopping_lists[list_id].update(lines)

    def _unlink(self) -> None:
        linked = [(kit_id, list_id) for kit_id, kit in sorted(self.world.kits.items()) for list_id in sorted(kit.shopping_lists)]
        if linked:
            kit_id, list_id = self.chance.choice(linked)
            self.call("DELETE", f"/api/kits/{kit_id}/shopping-lists/{list_id}")
            self.world.kits[kit_id].shopping_lists.discard(list_id)

    def _unlink_nothing(self) -> None:
        kit_id = self.world.some_kit(self.chance)
        unlinked = sorted(self.world.shopping_lists.keys() - self.world.kits[kit_id].shopping_lists) if kit_id else []
        if unlinked:
            self.call("DELETE", f"/api/kits/{kit_id}/shopping-lists/{self.chance.choice(unlinked)}")

    def _order(self) -> None:
        found = self._some_line("new")
        if found:
            list_id, line_id, part_id = found
            answer = self.call("POST", f"/api/shopping-lists/{list_id}/lines/{line_id}/order", {"quantity": self.chance.randint(1, 50)})
            if answer.status == 200:
                self.world.shopping_lists[list_id][line_id] = (part_id, "ordered")
            elif answer.status in REFUSED:
                self._view(list_id)

    def _order_group(self) -> None:
        if self.world.shopping_lists:
            list_id = self.chance.choice(sorted(self.world.shopping_lists))
            for seller in self.chance.sample(SELLERS, len(SELLERS)):
                answer = self.call("POST", f"/api/shopping-lists/{list_id}/order", {"seller": seller})
                if answer.status == 200:
                    for line in answer.content:
                        self.world.shopping_lists[list_id][line["id"]] = (line["part_id"], "ordered")
                    break

    def _receive(self) -> None:
        found = self._some_line("ordered")
        place = self.world.place_for(self.chance, found[2]) if found else None
        if found and place:
            list_id, line_id, part_id = found
            delivery = {"box_no": place[0], "location_no": place[1], "quantity": self.chance.randint(1, 30)}
            answer = self.call("POST", f"/api/shopping-lists/{list_id}/lines/{line_id}/receive", delivery)
            if answer.status == 200:
                self.world.shopping_lists[list_id][line_id] = (part_id, answer.content["status"])
                before = self.world.stock.get(place, (part_id, 0))[1]
                self.world.stock[place] = (part_id, before + delivery["quantity"])
            elif answer.status in REFUSED:
                self._view(list_id)

    def _some_line(self, status: str) -> tuple[int, int, int] | None:
        fitting = [
            (list_id, line_id, part_id)
            for list_id, lines in sorted(self.world.shopping_lists.items())
            for line_id, (part_id, known) in sorted(lines.items())
            if known == status
        ]
        return self.chance.choice(fitting) if fitting else None
