"""Services that are told to stop under load, and the clients that watch them."""
