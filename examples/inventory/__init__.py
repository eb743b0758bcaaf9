"""The reference application of a workshop: parts in boxes, the kits they are built into, and everything that is done with them.

``python -m examples.inventory`` serves it, ``python -m examples.inventory.demo`` shows it under traffic. Every metric is a constant
of the module that causes it. The README beside this file is the map.
"""
