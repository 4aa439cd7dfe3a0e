"""What stands between a client and the proxy: boxes that forbid, hold, cut and lose.

Middlebox(home, upstream, upgrade="refuse", ...) is an HTTP/1.1 intermediary on the loop thread.  It reads requests whole, passes them
on over a connection of its own for each of the client's, and relays answers as they come, each step bent by one of these:

    upgrade         what happens to a request with Upgrade: None passes it; "refuse" (403), "bad" (400), "silent" (200 and a page),
                    "strip" (goes on as a plain GET), "strip-connection" (without Connection only), "hole" (no answer, ever),
                    "mute" (101 of its own, frames swallowed), "once" (cut after the backend's first frame)
    buffer          bytes that an answer's body must have before any of it goes on; "end": all of it
    hold_first      the first record of an event stream waits for the second
    idle_cut_s      a connection on which nothing moves is cut
    life_cut_s      any answer and any WebSocket is cut after so long
    cut_bytes       an answer or a WebSocket is cut after so many bytes from the proxy
    unchunk         chunked answers become ones with a length (so they wait for their end)
    http10          answers are HTTP/1.0: no chunks, no keep-alive
    one_connection  one request, or one WebSocket, at a time; others wait for it to end
    delay_s         added each way
    drop            the share of requests that are cut instead of passed
    change_address  every connection to the proxy comes from another address
    strip           names of header fields that are taken out, of requests and of answers
    cache_gets      a GET is answered once by the proxy and then from memory

Counts what it saw: `requests` by kind, `cuts`.  cut() cuts every connection now."""
import asyncio
import random
from collections import Counter

HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"content-length"}


class Cut(Exception):
    """The box ends this connection."""


class Late:
    """A writer behind a line of a certain length."""

    def __init__(self, writer, delay_s):
        self.writer, self.delay_s = writer, delay_s
        if delay_s:
            self.queue = asyncio.Queue(64)
            self.task = asyncio.ensure_future(self._run())

    async def _run(self):
        loop = asyncio.get_running_loop()
        try:
            while (entry := await self.queue.get()) is not None:
                await asyncio.sleep(max(0, entry[0] - loop.time()))
                self.writer.write(entry[1])
                await self.writer.drain()
        except ConnectionError:
            pass

    async def write(self, data):
        if not self.delay_s:
            self.writer.write(data)
            return await self.writer.drain()
        if self.task.done():
            raise ConnectionError
        await self.queue.put((asyncio.get_running_loop().time() + self.delay_s, data))

    async def flush(self):
        if self.delay_s and not self.task.done():
            await self.queue.put(None)
            await self.task
            self.task = asyncio.ensure_future(self._run())

    def stop(self):
        if self.delay_s:
            self.task.cancel()
        self.writer.transport.abort()


class Head:
    def __init__(self, raw):
        first, *lines = raw[:-4].split(b"\r\n")
        self.first = first
        self.fields = [tuple(part.strip() for part in line.split(b":", 1)) for line in lines]

    def get(self, name):
        return next((v for n, v in self.fields if n.lower() == name), None)

    def without(self, names):
        self.fields = [(n, v) for n, v in self.fields if n.lower() not in names]

    def bytes(self, extra=()):
        return b"\r\n".join([self.first, *(n + b": " + v for n, v in [*self.fields, *extra])]) + b"\r\n\r\n"


async def chunks(reader):
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()


async def pieces(reader, left):
    """As they come: of a body with a length, or to the end."""
    while left is None or left > 0:
        data = await reader.read(65536 if left is None else min(left, 65536))
        if not data:
            if left:
                raise Cut
            return
        left = left and left - len(data)
        yield data


class Middlebox:
    def __init__(self, home, upstream, seed=1, **behaviour):
        self.home = home
        host, _, port = upstream.rpartition(":")
        self.upstream = host, int(port)
        usual = dict(upgrade=None, buffer=0, hold_first=False, idle_cut_s=None, life_cut_s=None, cut_bytes=None, unchunk=False,
                     http10=False, one_connection=False, delay_s=0, drop=0, change_address=False, strip=(), cache_gets=False)
        assert not set(behaviour) - set(usual), behaviour
        self.__dict__.update(usual, **behaviour)
        self.random = random.Random(seed)
        self.requests, self.cuts, self.cache = Counter(), 0, {}
        self.address_next = 2
        self.conns, self.tasks = set(), set()
        self.server = self.home.call(self._serve())
        self.port = self.server.sockets[0].getsockname()[1]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    async def _serve(self):
        self.turn = asyncio.Lock()
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 22)

    def cut(self, share=1):
        """As a network that goes: every connection at once, or each with this probability."""
        self.home.call(self._cut(share))

    async def _cut(self, share=1):
        for task in list(self.tasks):
            if self.random.random() < share:
                self.cuts += 1
                task.cancel()

    def stop(self):
        async def end():
            self.server.close()
            await self._cut()
        self.home.call(end())

    # ---- one connection

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        conn = Connection(self, reader, writer)
        self.conns.add(conn)
        try:
            await conn.run()
        except (Cut, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, asyncio.TimeoutError, ValueError):
            pass
        finally:
            self.tasks.discard(task)
            self.conns.discard(conn)
            conn.stop()

    async def connect(self):
        local = None
        if self.change_address:
            self.address_next = self.address_next % 250 + 2
            local = f"127.0.0.{self.address_next}", 0
        return await asyncio.open_connection(*self.upstream, limit=1 << 22, local_addr=local)


class Connection:
    def __init__(self, box, reader, writer):
        self.box, self.reader = box, reader
        self.down = Late(writer, box.delay_s)
        self.up = self.back = None
        self.gone = asyncio.Event()  # the client has gone, while we wait for somebody else
        for name in ("feed_eof", "set_exception"):
            self._announce(name)

    def _announce(self, name):
        usual = getattr(self.reader, name)

        def announced(*args):
            usual(*args)
            self.gone.set()
        setattr(self.reader, name, announced)

    def stop(self):
        self.down.stop()
        if self.up:
            self.up.stop()

    async def run(self):
        while True:
            head = Head(await self.reader.readuntil(b"\r\n\r\n"))
            body = await self._body(head)
            box = self.box
            kind = "upgrade" if head.get(b"upgrade") else head.first.split(b" ")[0].decode()
            box.requests[kind] += 1
            if box.drop and box.random.random() < box.drop:
                box.cuts += 1
                return
            is_upgrade = kind == "upgrade" and box.upgrade not in ("strip", "strip-connection")
            work = asyncio.ensure_future(self._in_turn(self._upgrade(head) if is_upgrade else self._exchange(head, body)))
            left = asyncio.ensure_future(self.gone.wait())
            try:
                await asyncio.wait([work, left], timeout=box.life_cut_s, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    return
                if not work.result():
                    return
            finally:
                work.cancel()
                left.cancel()

    async def _in_turn(self, work):
        if not self.box.one_connection:
            return await work
        async with self.box.turn:
            return await work

    async def _body(self, head):
        if head.get(b"transfer-encoding"):
            return b"".join([c async for c in chunks(self.reader)])
        return await self.reader.readexactly(int(head.get(b"content-length") or 0))

    async def _backend(self):
        if self.back is None or self.back.at_eof():
            self.back, writer = await self.box.connect()
            self.up = Late(writer, self.box.delay_s)

    async def _read(self, awaitable):
        return await asyncio.wait_for(awaitable, self.box.idle_cut_s)

    async def _answer(self, status, body=b""):
        await self.down.write(b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
        await self.down.flush()
        return True

    # ---- an ordinary request

    async def _exchange(self, head, body):
        box, target = self.box, head.first
        if box.upgrade == "strip":
            head.without({b"upgrade", b"connection"})
        elif box.upgrade == "strip-connection":
            head.without({b"connection"})
        head.without({*HOP, *(n.encode().lower() for n in box.strip)})
        if target in box.cache:
            await self.down.write(box.cache[target])
            return True
        await self._backend()
        await self.up.write(head.bytes([(b"Content-Length", b"%d" % len(body))] if body or b"POST" in target else []) + body)
        answer = Head(await self._read(self.back.readuntil(b"\r\n\r\n")))
        while answer.first.split(b" ")[1] == b"100":
            answer = Head(await self._read(self.back.readuntil(b"\r\n\r\n")))
        return await self._relay(target, answer)

    async def _relay(self, target, answer):
        box = self.box
        length = answer.get(b"content-length")
        is_chunked = answer.get(b"transfer-encoding") is not None
        status = answer.first.split(b" ")[1]
        is_empty = status in (b"204", b"304") or target.startswith(b"HEAD")
        must_close = not is_chunked and length is None and not is_empty or (answer.get(b"connection") or b"").lower() == b"close"
        body = chunks(self.back) if is_chunked else pieces(self.back, 0 if is_empty else None if length is None else int(length))
        answer.without({*HOP, *(n.encode().lower() for n in box.strip)})
        if box.http10:
            answer.first = answer.first.replace(b"HTTP/1.1", b"HTTP/1.0")
        if box.cache_gets and target.startswith(b"GET ") and status == b"200" or box.unchunk or box.buffer == "end":
            whole = b"".join([c async for c in body])
            raw = answer.bytes([(b"Content-Length", b"%d" % len(whole))]) + whole
            if box.cache_gets and target.startswith(b"GET "):
                box.cache[target] = raw
            await self.down.write(raw)
        else:
            as_chunks = is_chunked and not box.http10
            extra = [(b"Transfer-Encoding", b"chunked")] if as_chunks else []
            if length is not None and not is_empty:
                extra = [(b"Content-Length", length)]
            elif not as_chunks and not is_empty or box.http10:
                extra, must_close = [(b"Connection", b"close")], True
            held = answer.bytes(extra) if not box.hold_first and not box.buffer else b""
            if held:
                await self.down.write(held)
            await self._stream(body, as_chunks, b"" if held else answer.bytes(extra), b"event-stream" in (answer.get(b"content-type") or b""))
        await self.down.flush()
        if must_close or box.http10:
            self.down.writer.close()
            return False
        return True

    async def _stream(self, body, as_chunks, held, is_events):
        """`held`: the head, where it waits with what comes behind it."""
        box, kept, sent, is_open = self.box, b"", 0, not held
        iterator = body.__aiter__()
        while True:
            try:
                data = await self._read(iterator.__anext__())
            except StopAsyncIteration:
                break
            if not is_open:
                kept += data
                if box.hold_first and is_events and kept.count(b"\n\n") < 2 or box.buffer and len(kept) < box.buffer:
                    continue
                data, kept, is_open = kept, b"", True
                await self.down.write(held)
            sent += len(data)
            await self.down.write(b"%x\r\n%s\r\n" % (len(data), data) if as_chunks else data)
            if box.cut_bytes and sent > box.cut_bytes:
                box.cuts += 1
                raise Cut
        if not is_open:
            await self.down.write(held + (b"%x\r\n%s\r\n" % (len(kept), kept) if as_chunks and kept else kept))
        if as_chunks:
            await self.down.write(b"0\r\n\r\n")

    # ---- a request with Upgrade

    async def _upgrade(self, head):
        box = self.box
        if box.upgrade == "refuse":
            return await self._answer(b"403 Forbidden")
        if box.upgrade == "bad":
            return await self._answer(b"400 Bad Request")
        if box.upgrade == "silent":
            return await self._answer(b"200 OK", b"<p>nothing to see")
        if box.upgrade == "hole":
            await asyncio.sleep(3600)
        head.without({n.encode().lower() for n in box.strip})
        await self._backend()
        await self.up.write(head.bytes())
        raw = await self._read(self.back.readuntil(b"\r\n\r\n"))
        answer = Head(raw)
        if answer.first.split(b" ")[1] != b"101":
            return await self._relay(head.first, answer)
        answer.without({n.encode().lower() for n in box.strip})
        await self.down.write(answer.bytes())
        ways = [asyncio.ensure_future(self._pump(self.reader, None if box.upgrade == "mute" else self.up, 0)),
                asyncio.ensure_future(self._pump(self.back, None if box.upgrade == "mute" else self.down, 1))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await self.down.flush()
        finally:
            for way in ways:
                way.cancel()
        return False

    async def _pump(self, reader, writer, is_down):
        box, count = self.box, 0
        while data := await self._read(reader.read(65536)):
            count += len(data)
            if writer:
                await writer.write(data)
            if is_down and (box.upgrade == "once" or box.cut_bytes and count > box.cut_bytes):
                box.cuts += 1
                return
        if writer:
            await writer.flush()
