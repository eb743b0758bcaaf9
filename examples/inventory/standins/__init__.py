"""Stand-ins for what the service talks to elsewhere: an OpenID Connect issuer, a language model's provider, a parts distributor.

Each is a small real HTTP server on this machine that speaks the API of the real thing, as far as the service uses it, and signs, counts
and refuses for real. None of them is meant for anything but demos and tests. ``python -m examples.inventory.standins`` runs all three and
prints the settings that make the service use them.
"""
