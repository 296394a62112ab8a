"""A headless Chromium that tests look into: its DOM from the command line, and W3C WebDriver over plain HTTP."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-prefers-reduced-motion",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def dom(page: Path, profile: Path) -> str:
    """The document as the browser understood it."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


class Browser:
    """A phone's browser, 360 × 740; use it as a context."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile

    def __enter__(self) -> Browser:
        self.process = subprocess.Popen([str(DRIVER), "--port=0"], stdout=subprocess.PIPE, text=True)
        port = next(line for line in self.process.stdout if "successfully" in line).rstrip(".\n").split()[-1]
        self.base = f"http://127.0.0.1:{port}"
        options = {
            "binary": CHROMIUM,
            "args": [*FLAGS, f"--user-data-dir={self.profile}"],
            "mobileEmulation": {"deviceMetrics": {"width": 360, "height": 740, "pixelRatio": 2, "touch": True}},
        }
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self.base += f"/session/{self._ask('POST', '/session', wanted)['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process.stdout.close()

    def open(self, url: str) -> None:
        """Load a page to its end."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str) -> object:
        """What a script returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def click(self, css: str) -> None:
        """Click what the selector finds first, as a user would: what is hidden or covered cannot be clicked."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": css})
        self._ask("POST", f"/element/{found[_ELEMENT]}/click", {})

    def wait(self, script: str, seconds: float = 5.0) -> bool:
        """Whether a script comes to return true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(script):
                return True
            time.sleep(0.05)
        return False

    def _ask(self, method: str, path: str, body: object = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
