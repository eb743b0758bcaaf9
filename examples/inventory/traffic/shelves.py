"""Stock, boxes and parts."""

from __future__ import annotations

from urllib.parse import quote

from .habits import Habit, Habits
from .visitor import REFUSED
from .world import FIRST_PARTS, MODELS, MOST_BOXES, MOST_PARTS, NOWHERE, TYPES


class Shelves(Habits):
    """At the shelves."""

    def look_around(self) -> None:
        world = self.world
        world.features = self.call("GET", "/api/features").content or {}
        for row in self.call("GET", "/api/part-types?limit=200").content or []:
            world.types[row["name"]] = row["id"]
        world.parts = [row["id"] for row in self.call("GET", "/api/parts?limit=200").content or []]
        for row in self.call("GET", "/api/boxes?limit=200").content or []:
            world.boxes[row["box_no"]] = row["capacity"]
            self.view_box(row["box_no"])

    def furnish(self) -> None:
        world = self.world
        for name in TYPES:
            if name not in world.types:
                answer = self.call("POST", "/api/part-types", {"name": name})
                if answer.status == 201:
                    world.types[name] = answer.content["id"]
        for number in range(len(world.boxes), MOST_BOXES):
            capacity = self.chance.choice((12, 20, 30))
            answer = self.call("POST", "/api/boxes", {"description": f"Drawer {number + 1}", "capacity": capacity})
            if answer.status == 201:
                world.boxes[answer.content["box_no"]] = capacity
        for _ in range(len(world.parts), FIRST_PARTS):
            self._new_part()
            self._add_stock()

    def usual(self) -> list[tuple[Habit, int]]:
        return [
            (self._add_stock, 20),
            (self._remove_stock, 14),
            (self._view_part, 10),
            (self._search, 5),
            (self._kit_usage, 8),
            (self._new_part, 2),
            (self._document, 2),
            (self._read_summary, 2),
            (self._ask_for_nothing, 2),
            (self._take_too_much, 2),
            (self._repeat_a_name, 1),
        ]

    def view_box(self, box_no: int) -> None:
        """Refresh what is remembered of a box."""
        answer = self.call("GET", f"/api/boxes/{box_no}")
        if answer.status == 200:
            stock = self.world.stock
            for place in [place for place in stock if place[0] == box_no]:
                del stock[place]
            stock.update({(box_no, found["location_no"]): (found["part_id"], found["quantity"]) for found in answer.content["locations"]})

    def _add_stock(self) -> None:
        world, chance = self.world, self.chance
        place = world.place_for(chance)
        if world.parts and place:
            part_id, _ = world.stock.get(place, (chance.choice(world.parts), 0))
            self._change_stock("add", place, part_id, chance.randint(1, 50))

    def _remove_stock(self) -> None:
        if self.world.stock:
            place, (part_id, before) = self.chance.choice(sorted(self.world.stock.items()))
            self._change_stock("remove", place, part_id, self.chance.randint(1, before))

    def _take_too_much(self) -> None:
        if self.world.stock:
            place, (part_id, before) = self.chance.choice(sorted(self.world.stock.items()))
            self._change_stock("remove", place, part_id, before + 1)

    def _change_stock(self, operation: str, place: tuple[int, int], part_id: int, quantity: int) -> None:
        box_no, location_no = place
        change = {"part_id": part_id, "box_no": box_no, "location_no": location_no, "quantity": quantity}
        answer = self.call("POST", f"/api/stock/{operation}", change)
        if answer.status == 200 and answer.content["quantity"]:
            self.world.stock[place] = (part_id, answer.content["quantity"])
        elif answer.status == 200:
            self.world.stock.pop(place, None)
        elif answer.status in REFUSED:
            self.view_box(box_no)

    def _new_part(self) -> None:
        world, chance = self.world, self.chance
        if len(world.parts) >= MOST_PARTS or not world.types:
            return
        name = chance.choice(sorted(world.types))
        part = {
            "description": f"{name}, {chance.choice(MODELS)}",
            "type_id": world.types[name],
            "manufacturer_code": f"{name[:3].upper()}-{chance.randint(1000, 9999)}",
            "reorder_level": chance.choice((0, 5, 20, 50)),
        }
        answer = self.call("POST", "/api/parts", part)
        if answer.status == 201:
            world.parts.append(answer.content["id"])

    def _document(self) -> None:
        part_id = self.world.some_part(self.chance)
        self.call("POST", f"/api/parts/{part_id}/documents", {"title": "Datasheet", "url": f"https://example.org/parts/{part_id}.pdf"})

    def _view_part(self) -> None:
        self.call("GET", f"/api/parts/{self.world.some_part(self.chance)}")

    def _kit_usage(self) -> None:
        self.call("GET", f"/api/parts/{self.world.some_part(self.chance)}/kits")

    def _search(self) -> None:
        self.call("GET", f"/api/parts?search={quote(self.chance.choice(MODELS))}")

    def _read_summary(self) -> None:
        self.call("GET", "/api/dashboard")

    def _ask_for_nothing(self) -> None:
        self.call("GET", f"/api/{self.chance.choice(('parts', 'kits', 'boxes'))}/{NOWHERE}")

    def _repeat_a_name(self) -> None:
        if self.world.types:
            self.call("POST", "/api/part-types", {"name": self.chance.choice(sorted(self.world.types))})
