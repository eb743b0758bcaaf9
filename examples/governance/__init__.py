"""The second reference application: decisions that are proposed, voted on, overridden and contested in front of witnesses.

Four services, each a process of its own: ``api`` takes what people do, ``event-writer`` alone appends it to a log that shows tampering,
``observer`` reads the log and holds it against the constitution, ``watchdog`` watches the services and halts the system. Operational and
governance numbers are kept apart in two domains with two endpoints. ``python -m examples.governance.demo`` shows all of it under traffic.
The README beside this file is the map.
"""
