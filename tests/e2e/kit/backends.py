"""Backends that are scripted down to the byte, and record what they got.

RawBackend plays a coroutine on each connection.  Origin is an HTTP/1.1 server with one strict reading of its own: what it
cannot read lands in `violations`.  Both live on the loop thread; their records are read from the test's thread."""
import asyncio
import hashlib
import inspect
import json
import socket
import struct

from kit.raw import Malformed, Request, body_length, parse_head
from kit.wait import wait_until

BODY_KEPT_MAX = 1 << 21  # longer bodies are only hashed


class Conn:
    """One accepted connection, as the script sees it."""

    def __init__(self, backend, reader, writer):
        self.backend, self.reader, self.writer = backend, reader, writer
        self.received = bytearray()  # all of it, as far as it was read; up to BODY_KEPT_MAX
        self.count = 0  # bytes read
        self.requests = []
        self.ended = None  # "end" or "reset", once the other side has
        self.sent = 0

    def note(self, data):
        self.count += len(data)
        if len(self.received) < BODY_KEPT_MAX:
            self.received += data
        return data

    async def read(self, most=65536):
        """Some bytes; b"" at the end."""
        try:
            data = await self.reader.read(most)
        except ConnectionError:
            self.ended = "reset"
            return b""
        if not data:
            self.ended = self.ended or "end"
        return self.note(data)

    async def read_exactly(self, count):
        try:
            return self.note(await self.reader.readexactly(count))
        except asyncio.IncompleteReadError as e:
            self.note(e.partial)
            self.ended = self.ended or "end"
            raise
        except ConnectionError:
            self.ended = "reset"
            raise

    async def read_until(self, mark):
        try:
            return self.note(await self.reader.readuntil(mark))
        except asyncio.IncompleteReadError as e:
            self.note(e.partial)
            self.ended = self.ended or "end"
            raise
        except ConnectionError:
            self.ended = "reset"
            raise

    async def read_to_end(self):
        while await self.read():
            pass

    async def send(self, data):
        self.writer.write(data)
        self.sent += len(data)
        await self.writer.drain()

    async def send_in_pieces(self, data, size=1):
        for i in range(0, len(data), size):
            await self.send(data[i:i + size])
            await asyncio.sleep(0)

    def half_close(self):
        self.writer.write_eof()

    def close(self):
        self.writer.close()

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class RawBackend:
    """Plays `play(conn)` on every connection; closes it afterwards."""

    def __init__(self, home, play, tls=None, path=None, host="127.0.0.1", port=0, receive_buffer=None):
        self.home, self.play = home, play
        self.conns, self.failures = [], []
        self.tls, self.path, self.host, self.port = tls, path, host, port
        self.receive_buffer = receive_buffer
        self.tasks = set()
        self.start()

    def start(self):
        self.server = self.home.call(self._serve())

    async def _serve(self):
        if self.path:
            return await asyncio.start_unix_server(self._accept, self.path, ssl=self.tls, limit=1 << 20)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        sock.bind((self.host, self.port))
        self.port = sock.getsockname()[1]
        return await asyncio.start_server(self._accept, sock=sock, ssl=self.tls, limit=1 << 20)

    @property
    def address(self):
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def _accept(self, reader, writer):
        conn = Conn(self, reader, writer)
        self.conns.append(conn)
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            await self.play(conn)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except Exception as e:
            self.failures.append(e)
        finally:
            self.tasks.discard(task)
            writer.close()

    async def _stop(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        for conn in self.conns:
            if conn.ended != "reset" and not conn.writer.is_closing():  # a TLS transport that is over cannot be aborted
                conn.writer.transport.abort()

    def stop(self):
        """No listener and no connection any more; start() begins again on the same port."""
        self.home.call(self._stop())

    def wait(self, condition, what="the backend", timeout=15):
        return wait_until(lambda: condition(self), lambda: f"{what}: {[bytes(c.received[:300]) for c in self.conns]}",
                          timeout)


class Origin(RawBackend):
    """HTTP/1.1, strictly.

    reply(request, conn)    gives the bytes of the response, or None where it has sent them itself; may be a
                            coroutine function, and may close the connection.  Default: `echo`
    before_body(request, conn)    a coroutine function, called when a head is there and its body is not yet read;
                            True: the body will not be read, the connection ends behind the reply
    """

    def __init__(self, home, reply=None, before_body=None, **options):
        self.reply = reply or echo
        self.before_body = before_body
        self.requests, self.violations = [], []
        super().__init__(home, self._play, **options)

    async def _play(self, conn):
        while True:
            try:
                request = await self._read_head(conn)
                if request is None:
                    return
                if self.before_body and await self.before_body(request, conn):
                    return
                await self._read_body(request, conn)
            except asyncio.IncompleteReadError as e:
                if e.partial:
                    self.violations.append(f"cut short: {bytes(conn.received[-200:])!r}")
                return
            except (Malformed, ValueError) as e:
                self.violations.append(f"{e}: {bytes(conn.received[-400:])!r}")
                return
            request.is_whole = True
            answer = self.reply(request, conn)
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                await conn.send(answer)
            if conn.writer.is_closing():
                return

    async def _read_head(self, conn):
        try:
            head = await conn.read_until(b"\r\n\r\n")
        except asyncio.IncompleteReadError as e:
            if e.partial:
                raise
            return None
        request = parse_head(head[:-4], Request)
        request.raw, request.conn, request.is_whole = bytes(head), conn, False
        request.body_len, request.body_hash = 0, hashlib.sha256()
        conn.requests.append(request)
        self.requests.append(request)
        return request

    async def _read_body(self, request, conn):
        length = body_length(request)
        if length == "chunked":
            while size := int((await conn.read_until(b"\r\n")).strip(), 16):
                await self._keep(request, conn, size)
                if await conn.read_exactly(2) != b"\r\n":
                    raise Malformed("no CRLF behind a chunk")
            while line := (await conn.read_until(b"\r\n"))[:-2]:
                name, _, value = line.partition(b":")
                request.trailers.append((name.decode(), value.strip().decode()))
        elif length:
            await self._keep(request, conn, length)

    async def _keep(self, request, conn, size):
        while size:
            data = await conn.read(min(size, 1 << 20))
            if not data:
                raise asyncio.IncompleteReadError(b"body", size)
            size -= len(data)
            request.body_len += len(data)
            request.body_hash.update(data)
            if len(request.body) < BODY_KEPT_MAX:
                request.body += data

    def wait_requests(self, count=1, timeout=15):
        self.wait(lambda b: len([r for r in b.requests if r.is_whole]) >= count, f"{count} requests", timeout)
        return self.requests

    @property
    def last(self):
        return self.wait_requests()[-1]


def ok(body=b"", headers=(), status="200 OK"):
    """The bytes of a response with a length."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}"] + [f"{n}: {v}" for n, v in headers] + [f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def echo(request, _conn):
    """What arrived, as JSON."""
    seen = {"method": request.method, "target": request.target, "headers": request.fields,
            "body_len": request.body_len, "sha256": request.body_hash.hexdigest(), "trailers": request.trailers}
    body = json.dumps(seen)
    return ok("" if request.method == "HEAD" else body, [("Content-Type", "application/json")])


def named(name):
    """A reply that says who answers."""
    return lambda request, conn: ok(name)


def answers(raw, then=None):
    """A reply of exactly these bytes; then "close", "reset", "half_close" the connection, or wait for its end."""
    async def reply(_request, conn):
        await conn.send(raw)
        if then == "wait":
            await conn.read_to_end()
            conn.close()
        elif then:
            getattr(conn, then)()
    return reply


class Hole:
    """A port that neither accepts nor refuses: its backlog is full, so that SYNs are dropped."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.fillers = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(self.listener.getsockname())
            self.fillers.append(s)

    def close(self):
        for s in [self.listener, *self.fillers]:
            s.close()
