"""Headless Chromium, driven over its DevTools protocol."""
import asyncio
import itertools
import json
import os
import shutil
import subprocess

import aiohttp

from kit import kernel

FLAGS = ["--headless=new", "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-dev-shm-usage",
         "--disable-extensions", "--disable-background-networking", "--disable-sync", "--mute-audio", "--hide-scrollbars",
         "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--remote-allow-origins=*",
         "--disable-component-update", "--ignore-certificate-errors"]


def program():
    return next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


class Chrome:
    """async with Chrome(directory) as chrome: tab = await chrome.tab(url)"""

    def __init__(self, directory):
        self.directory, self.port = directory, kernel.free_port()

    async def __aenter__(self):
        flags = [*FLAGS, *(["--no-sandbox"] if os.getuid() == 0 else [])]
        self.log = open(self.directory / "chrome.log", "wb")
        self.process = subprocess.Popen(
            [program(), *flags, f"--remote-debugging-port={self.port}", f"--user-data-dir={self.directory}/profile",
             "about:blank"], stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self.directory)})
        self.session = aiohttp.ClientSession()
        await self._wait_ready()
        return self

    async def _wait_ready(self):
        for _ in range(600):
            try:
                async with self.session.get(f"http://127.0.0.1:{self.port}/json/version") as response:
                    return await response.json()
            except aiohttp.ClientError:
                assert self.process.poll() is None, "chromium ended: see chrome.log"
                await asyncio.sleep(0.05)
        raise AssertionError("chromium does not answer")

    async def __aexit__(self, *_):
        await self.session.close()
        self.process.terminate()
        try:
            await asyncio.get_running_loop().run_in_executor(None, lambda: self.process.wait(10))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    async def tab(self, url):
        async with self.session.put(f"http://127.0.0.1:{self.port}/json/new?about:blank") as response:
            target = await response.json()
        tab = Tab(await self.session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0))
        await tab.start()
        await tab.call("Page.navigate", url=url)
        return tab


class Tab:
    def __init__(self, socket):
        self.socket, self.numbers = socket, itertools.count(1)
        self.waiting, self.sockets, self.problems = {}, [], []

    async def start(self):
        self.reader = asyncio.ensure_future(self._read())
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def _read(self):
        async for message in self.socket:
            data = json.loads(message.data)
            if data.get("id") in self.waiting:
                self.waiting.pop(data["id"]).set_result(data)
            elif data.get("method") == "Network.webSocketCreated":
                self.sockets.append(data["params"]["url"])
            elif data.get("method") == "Runtime.exceptionThrown":
                self.problems.append(data["params"]["exceptionDetails"].get("text"))
            elif data.get("method") == "Log.entryAdded" and data["params"]["entry"]["level"] == "error":
                self.problems.append(data["params"]["entry"]["text"] + " " + data["params"]["entry"].get("url", ""))

    async def call(self, method, **params):
        number = next(self.numbers)
        answer = asyncio.get_running_loop().create_future()
        self.waiting[number] = answer
        await self.socket.send_json({"id": number, "method": method, "params": params})
        got = await asyncio.wait_for(answer, 20)
        assert "error" not in got, (method, got)
        return got["result"]

    async def evaluate(self, expression):
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait_for(self, expression, what, seconds=20):
        for _ in range(int(seconds / 0.05)):
            if value := await self.evaluate(expression):
                return value
            await asyncio.sleep(0.05)
        raise AssertionError(f"waited for {what}; the page says: {await self.text()}; problems: {self.problems}")

    async def text(self):
        return await self.evaluate("document.body ? document.body.innerText : ''")

    async def type(self, text):
        """As a person does: into what has the focus, and Enter."""
        await self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13,
                            text="\r" if kind == "keyDown" else "")
