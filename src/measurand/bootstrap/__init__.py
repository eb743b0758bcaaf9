"""The one place that wires: settings, registry, lifecycle, pollers, health, pages and servers become a runtime."""
