"""The application's server behind the fallback: Python's `websockets`, as anybody would use it.

It echoes and obeys the texts of contrib/client/test/application.js, and serves the page that runs that file in a browser."""
import asyncio
from collections import Counter
from http import HTTPStatus

from kit.process import TREE
from kit.servers import WebSocketServer

CLIENT = TREE / "contrib" / "client"
PAGE = "<!doctype html><meta charset=utf-8><title>fallback</title><script src=/holdfast.js></script><script src=/application.js></script>"
FILES = {"/page": lambda: ("text/html", PAGE.encode()),
         "/holdfast.js": lambda: ("text/javascript", (CLIENT / "holdfast.min.js").read_bytes()),
         "/application.js": lambda: ("text/javascript", (CLIENT / "test" / "application.js").read_bytes())}


class ApplicationServer(WebSocketServer):
    def __init__(self, home, **options):
        self.notes = Counter()
        super().__init__(home, handler=self.serve, process_request=self.before, select_subprotocol=self.select, subprotocols=["chat"],
                         max_queue=8, **options)

    @staticmethod
    async def before(path, headers):
        if path == "/refuse":
            return HTTPStatus.FORBIDDEN, [], b"no"
        if path in FILES and "upgrade" not in headers.get("connection", "").lower():
            kind, body = FILES[path]()
            return HTTPStatus.OK, [("Content-Type", kind), ("Content-Length", str(len(body)))], body
        return None

    @staticmethod
    def select(offered, _mine):
        return next((p for p in offered if p.startswith("chat")), None)

    async def serve(self, socket):
        async for message in socket:
            name, *words = message.split(" ", 2) if isinstance(message, str) else [""]
            command = self.commands.get(name)
            if command:
                await command(self, socket, *words)
            else:
                await socket.send(message)

    async def close(self, socket, code, reason=""):
        await socket.close(int(code), reason)

    async def terminate(self, socket):
        socket.transport.abort()

    async def count(self, socket, number, size="0"):
        for i in range(int(number)):
            await socket.send(f"{i} ".ljust(int(size), "."))

    async def sleep(self, _socket, ms):
        await asyncio.sleep(int(ms) / 1000)

    async def note(self, _socket, key):
        self.notes[key] += 1

    async def recall(self, socket, key):
        await socket.send(str(self.notes[key]))

    async def path(self, socket):
        await socket.send(socket.path)

    commands = {"close": close, "terminate": terminate, "count": count, "sleep": sleep, "note": note, "recall": recall, "?path": path}
