"""The reference application of a workshop: parts in boxes, the kits they are built into, and the metrics of both.

``python -m examples.inventory`` serves it, ``python -m examples.inventory.demo`` shows it under traffic. Every metric is a constant
of the module that causes it (``inventory.py``, ``kits.py``, ``dashboard.py``, ``api/parts.py``). The README beside this file is the map.
"""
