"""Pages for scrapers and people: framework-free, as WSGI and ASGI applications, and as a server of their own."""
