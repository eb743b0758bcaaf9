"""A measured application for real servers."""
