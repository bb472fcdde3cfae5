"""A server of MJPEG streams on this machine, that stalls, drops and comes back as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
from pictures import Tiles


@dataclass(frozen=True)
class Serving:
    """What one connection gets."""

    frames: int = 1000
    period: float = 0.02
    """Seconds from one frame to the next."""
    stall: float = 0.0
    """Seconds of silence after the last, before the connection ends."""
    damaged: frozenset[int] = field(default_factory=frozenset)
    """Frames that are sent in half."""


@contextmanager
def streaming(picture: Callable[[int], Tiles], *serving: Serving) -> Iterator[str]:
    """The address of a stream: its first connection gets the first serving, and so on; after the last, none answers.

    `picture` gives frame number n, counted over all connections.
    """
    over = threading.Event()
    waiting = list(serving)
    count = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if not waiting:
                self.send_error(503)
                return
            mine = waiting.pop(0)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for number in range(mine.frames):
                    data = cv2.imencode(".jpg", picture(next(count)))[1].tobytes()
                    if number in mine.damaged:
                        data = data[: len(data) // 2]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    if over.wait(mine.period):
                        return
                over.wait(mine.stall)
            except OSError:  # the client has gone
                pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/stream"
        finally:
            over.set()
            server.shutdown()
            thread.join()
