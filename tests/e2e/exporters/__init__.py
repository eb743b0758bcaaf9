"""A service with every exporter that goes over a network, and destinations that are of no use."""
