"""A web page of one line, on 127.0.0.1."""

import sys
from wsgiref.simple_server import make_server

import bottle


@bottle.route("/")
def hello() -> str:
    """Answer every visitor."""
    return "Hello from PinokioCloud!\n"


port = int(sys.argv[1])
with make_server("127.0.0.1", port, bottle.default_app()) as server:
    print(f"Listening on http://127.0.0.1:{port}", flush=True)
    server.serve_forever()
