"""`stream-avs run` whose source goes away for good: one line that says so, and the code of a source."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 127, np.uint8))[1].tobytes()


class Camera(http.server.BaseHTTPRequestHandler):
    """A network camera that sends two seconds of pictures and is gone."""

    gone = threading.Event()

    def do_GET(self) -> None:
        if self.gone.is_set():
            return  # hangs up without a word
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
        self.end_headers()
        for _ in range(50):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(JPEG)}\r\n\r\n"
            self.wfile.write(head.encode() + JPEG + b"\r\n")
            time.sleep(0.04)
        self.gone.set()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.mark.slow
def test_a_camera_that_is_gone_ends_the_run_as_configured() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/video"
        arguments = ["run", "--source", url, "--reconnect.give-up-after-s", "2.5"]
        done = subprocess.run(
            [sys.executable, "-m", "stream_avs", *arguments], capture_output=True, text=True, timeout=90
        )
        server.shutdown()
    assert done.returncode == 3, done.stderr
    assert "source reconnecting: lost http://" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("stream-avs: error: http://")
    assert "has not come back for 2.5 s" in last
