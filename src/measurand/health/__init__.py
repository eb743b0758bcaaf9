"""Whether this process can serve: checks of what it depends on, evaluated in the background, read at once."""
