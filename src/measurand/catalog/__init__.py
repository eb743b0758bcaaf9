"""Ready-made metric sets."""
