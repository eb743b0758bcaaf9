"""What a service does between its start and its end: states, shutdown, signals, polling, background tasks."""
