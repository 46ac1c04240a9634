"""Says hello over HTTP. The address is printed in colours, in pieces, as Vite does it."""

import importlib.metadata
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ["HELLO_PORT"])
VERSION = importlib.metadata.version("itsdangerous")


class Hello(BaseHTTPRequestHandler):
    """The one page."""

    def do_GET(self):
        """Answer everything with the page."""
        page = f"<!doctype html><title>Hello Pinokio</title><p>hello from itsdangerous {VERSION}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


server = ThreadingHTTPServer(("127.0.0.1", PORT), Hello)
print("loading …", flush=True)
time.sleep(1)
print(f"  \x1b[32m➜\x1b[39m  Local: \x1b[36mhttp://127.0.0.1:\x1b[1m{PORT}\x1b[22m/\x1b[39m", flush=True)
server.serve_forever()
