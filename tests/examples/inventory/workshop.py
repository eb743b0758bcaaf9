"""Types, boxes, parts, stock and kits in one line each, through the API; every line fails loudly when the API refuses."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from tests.servers.process import until


class Workshop:
    """Furnishes the database of one client."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def part_type(self, name: str = "Resistor") -> int:
        return int(self._made("/api/part-types", name=name)["id"])

    def box(self, capacity: int = 10) -> int:
        return int(self._made("/api/boxes", description="Drawer", capacity=capacity)["box_no"])

    def part(self, type_id: int | None = None, **given: Any) -> int:
        known = self.client.get("/api/part-types").get_json()
        type_id = type_id or (known[0]["id"] if known else self.part_type())
        return int(self._made("/api/parts", **{"description": "10 kΩ", "type_id": type_id} | given)["id"])

    def document(self, part_id: int) -> None:
        self._made(f"/api/parts/{part_id}/documents", title="Datasheet", url="https://example.org/sheet.pdf")

    def kit(self, name: str = "Clock") -> int:
        return int(self._made("/api/kits", name=name)["id"])

    def line(self, kit_id: int, part_id: int, required: int = 1) -> int:
        return int(self._made(f"/api/kits/{kit_id}/contents", part_id=part_id, required_per_unit=required)["id"])

    def stock(self, part_id: int, box_no: int, location_no: int, quantity: int) -> None:
        self._sent("/api/stock/add", 200, part_id=part_id, box_no=box_no, location_no=location_no, quantity=quantity)

    def take(self, part_id: int, box_no: int, location_no: int, quantity: int) -> None:
        self._sent("/api/stock/remove", 200, part_id=part_id, box_no=box_no, location_no=location_no, quantity=quantity)

    def stocked(self, *quantities: int) -> list[int]:
        """Parts, each with so many pieces in a location of its own of one new box."""
        box = self.box(capacity=len(quantities))
        parts = [self.part() for _ in quantities]
        for location, (part, quantity) in enumerate(zip(parts, quantities, strict=True), start=1):
            self.stock(part, box, location, quantity)
        return parts

    def kit_of(self, *parts: int, required: int = 1, name: str = "Clock") -> int:
        """A kit that takes so many pieces of each part."""
        kit = self.kit(name)
        for part in parts:
            self.line(kit, part, required)
        return kit

    def pick_list(self, kit_id: int, units: int = 1) -> dict[str, Any]:
        return self._made("/api/pick-lists", kit_id=kit_id, requested_units=units)

    def shopping_list(self, name: str = "Spring order") -> int:
        return int(self._made("/api/shopping-lists", name=name)["id"])

    def shopping_line(self, list_id: int, part_id: int, needed: int = 10, seller: str = "") -> int:
        return int(self._made(f"/api/shopping-lists/{list_id}/lines", part_id=part_id, needed=needed, seller=seller)["id"])

    def task(self, answer: Any) -> dict[str, Any]:
        """Wait for the end of a background task that was just asked for."""
        assert answer.status_code == 202, answer.get_data(as_text=True)
        path = f"/api/tasks/{answer.get_json()['id']}"

        def ended() -> dict[str, Any] | None:
            task = self.client.get(path).get_json()
            return task if task["state"] in {"done", "failed"} else None

        return until(ended, lambda: str(self.client.get(path).get_json()))

    def _made(self, path: str, **body: Any) -> Any:
        return self._sent(path, 201, **body)

    def _sent(self, path: str, status: int, **body: Any) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json()
