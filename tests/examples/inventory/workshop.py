"""Types, boxes, parts, stock and kits in one line each, through the API; every line fails loudly when the API refuses."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient


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

    def _made(self, path: str, **body: Any) -> Any:
        return self._sent(path, 201, **body)

    def _sent(self, path: str, status: int, **body: Any) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_json()
