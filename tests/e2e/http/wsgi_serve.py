"""Serves the application of ``wsgi.py``: ``python -m tests.e2e.http.wsgi_serve wsgiref|waitress PORT``."""

from __future__ import annotations

import sys
from importlib import import_module

from tests.e2e.http.wsgi import app

server, port = sys.argv[1], int(sys.argv[2])
if server == "wsgiref":
    import_module("wsgiref.simple_server").make_server("127.0.0.1", port, app).serve_forever()
else:
    import_module("waitress").serve(app, host="127.0.0.1", port=port)
