"""What a visitor remembers of the inventory; another visitor may have changed it meanwhile, which gives honest conflicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

TYPES = ("Resistor", "Capacitor", "Microcontroller", "Sensor", "Connector", 'Bolt 1/4"')
MODELS = ("standard", "precision", "miniature", "high temperature", "low noise", "stainless", "automotive", "spare")
PROJECTS = ("Weather station", "Line follower", "Bench supply", "Synth voice", "Door bell", "Plant monitor", "Signal tracer", "Clock")
SELLERS = ("Northern Parts", "Tiny Works", "Old Reliable")
MOST_BOXES, MOST_PARTS, MOST_KITS, MOST_LISTS = 8, 60, 40, 6
MOST_PICK_LISTS = 30  # remembered; older ones are left to themselves
FIRST_PARTS, FIRST_KITS = 18, 3
NOWHERE = 987_654_321  # an id that nothing has


@dataclass
class KnownKit:
    """A kit."""

    active: bool
    lines: dict[int, tuple[int, int]] = field(default_factory=dict)  # content id: (part id, version)
    shopping_lists: set[int] = field(default_factory=set)


@dataclass
class KnownPickList:
    """A pick list: its lines with how many pieces each takes and whether it is picked."""

    lines: dict[int, tuple[int, bool]] = field(default_factory=dict)


@dataclass
class World:
    """All of it."""

    features: dict[str, bool] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    boxes: dict[int, int] = field(default_factory=dict)  # box number: capacity
    parts: list[int] = field(default_factory=list)
    stock: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # (box, location): (part id, quantity)
    kits: dict[int, KnownKit] = field(default_factory=dict)
    pick_lists: dict[int, KnownPickList] = field(default_factory=dict)
    shopping_lists: dict[int, dict[int, tuple[int, str]]] = field(default_factory=dict)  # list id: {line id: (part id, status)}

    def some_part(self, chance: Random) -> int:
        """A part, or an id that nothing has when there is none."""
        return chance.choice(self.parts or [NOWHERE])

    def some_kit(self, chance: Random, *, active: bool | None = None, filled: bool = False) -> int | None:
        """A kit of that kind, if there is one."""
        fitting = [key for key, kit in self.kits.items() if active in {None, kit.active} and (kit.lines or not filled)]
        return chance.choice(fitting) if fitting else None

    def place_for(self, chance: Random, part_id: int | None = None) -> tuple[int, int] | None:
        """A location where a part lies already, or that is free as far as is known; any location when no part is given."""
        if not self.boxes:
            return None
        box_no = chance.choice(sorted(self.boxes))
        location_no = chance.randint(1, self.boxes[box_no])
        if part_id is None or self.stock.get((box_no, location_no), (part_id, 0))[0] == part_id:
            return box_no, location_no
        used = self.stock
        same = [place for place, (lies_there, _) in used.items() if lies_there == part_id]
        free = [(box, place) for box, size in self.boxes.items() for place in range(1, size + 1) if (box, place) not in used]
        return chance.choice(sorted(same or free)) if same or free else None
