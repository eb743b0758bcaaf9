"""Snapshots delivered to somewhere, one file per destination."""
