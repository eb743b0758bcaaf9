"""Snapshots as bytes; pure functions without I/O."""
