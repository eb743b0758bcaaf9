"""Services of several processes, as users write and start them, with nothing set up for metrics."""
