"""Framework hooks that turn what a framework does into catalog events."""
