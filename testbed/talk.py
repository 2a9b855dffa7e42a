"""Real traffic between two pods: HTTP both families, UDP both ways, pings and fragments. Run inside a pod.

python talk.py serve            an HTTP server (port 80) and a UDP echo (port 53), until killed
python talk.py talk HOST...     everything once with each host; exits 0 when all was answered
"""

import http.server
import socket
import subprocess
import sys
import threading
import urllib.request

BODY = bytes(range(256)) * 4096  # 1 MiB: large segments


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve() -> None:
    echo = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    echo.bind(("::", 53))

    def answer() -> None:
        while True:
            data, peer = echo.recvfrom(65535)
            echo.sendto(data, peer)

    threading.Thread(target=answer, daemon=True).start()
    server = Server(("::", 80), Handler)
    print("serving", flush=True)
    server.serve_forever()


def talk(host: str) -> None:
    literal = f"[{host}]" if ":" in host else host
    with urllib.request.urlopen(f"http://{literal}/", timeout=100) as response:
        assert response.read() == BODY
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        for size in (1, 100, 1400, 4000):  # the last one is fragmented
            udp.sendto(b"u" * size, (host, 53))
            assert len(udp.recv(65535)) == size
    for size in (56, 3000):
        subprocess.run(
            ["ping", "-c", "3", "-i", "0.05", "-s", str(size), "-q", host], check=True, capture_output=True
        )


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    for name in sys.argv[2:]:
        try:
            talk(name)
        except (OSError, subprocess.SubprocessError) as error:
            sys.exit(f"talk: {name} does not answer: {error}")
