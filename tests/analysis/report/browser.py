"""A headless Chromium as a phone, 360 × 740, by W3C WebDriver over plain HTTP."""

import json
import shutil
import subprocess
import time
import urllib.request

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


class Browser:
    """Use it as a context; with phone=False it is a window of a desktop."""

    def __init__(self, profile, *, phone=True):
        small = {"deviceMetrics": {"width": 360, "height": 740, "pixelRatio": 2, "touch": True}}
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}", "--window-size=1600,1900"]}
        options |= {"mobileEmulation": small} if phone else {}
        self.wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}

    def __enter__(self):
        self.process = subprocess.Popen([str(DRIVER), "--port=0"], stdout=subprocess.PIPE, text=True)
        port = next(line for line in self.process.stdout if "successfully" in line).rstrip(".\n").split()[-1]
        self.base = f"http://127.0.0.1:{port}"
        self.base += f"/session/{self._ask('POST', '/session', self.wanted)['sessionId']}"
        return self

    def __exit__(self, *_):
        with self.process:
            self._ask("DELETE", "")
            self.process.terminate()

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def run(self, script):
        """What a script returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def click(self, css):
        """Click what the selector finds first, as a user would: what is hidden or covered cannot be clicked."""
        (found,) = self._ask("POST", "/element", {"using": "css selector", "value": css}).values()
        self._ask("POST", f"/element/{found}/click", {})

    def wait(self, script, seconds=5):
        """Whether a script comes to return true in time."""
        end = time.monotonic() + seconds
        while not (true := self.run(script)) and time.monotonic() < end:
            time.sleep(0.05)
        return true

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
