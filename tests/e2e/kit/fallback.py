"""A client of the fallback that shares nothing with the program: records over http.client, holdfast.1 over websockets."""
import base64
import http.client
import json
import secrets
import ssl as tls_module
import threading

from kit.wait import wait_until

TYPE = "text/plain;holdfast=1"


def record(event, data, number=None):
    return ((f"id: {number}\n" if number is not None else "") + (f"event: {event}\n" if event else "")
            + f"data: {data}\n\n")


def up_record(message):
    if isinstance(message, bytes):
        return record("b", base64.b64encode(message).decode())
    if isinstance(message, str):
        return record("", json.dumps(message))
    return record("close", json.dumps(list(message)))


def records(text):
    """(event, value, id) of each; a value is str, bytes, or what the JSON of a control says."""
    for part in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line and not line.startswith(":"))
        if "data" not in fields:
            continue
        event = fields.get("event", "")
        value = base64.b64decode(fields["data"]) if event == "b" else json.loads(fields["data"])
        yield event, value, fields.get("id")


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.text = response.status, response.headers, body.decode()
        self.records = list(records(self.text)) if self.status in (200, 409) else []

    def first(self, event):
        return next((v for e, v, _ in self.records if e == event), None)


class Session:
    """One session, whatever carries it.  `received` are messages in order; a close is a tuple."""

    def __init__(self, port, path="/", host="127.0.0.1", headers=None, tls=None, protocols=()):
        self.port, self.path, self.host, self.tls = port, path, host, tls
        self.headers = headers or {}
        self.protocols = list(protocols)
        self.nonce = secrets.token_urlsafe(16)
        self.token = None
        self.turn, self.got, self.sent, self.acked = 0, 0, 0, 0
        self.received, self.log, self.opens, self.controls = [], [], [], []
        self.carriers = []

    def connection(self, timeout=30):
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def post(self, body, accept="text/plain", connection=None, **headers):
        c = connection or self.connection()
        try:
            c.request("POST", self.path, body.encode(), {"Content-Type": TYPE, "Accept": accept, **self.headers, **headers})
            r = c.getresponse()
            return Answer(r, r.read())
        finally:
            if connection is None:
                c.close()

    def hello(self, **more):
        self.turn += 1
        if self.token:
            return record("resume", json.dumps({"s": self.token, "turn": self.turn, "got": self.got, **more}))
        return record("open", json.dumps({"protocols": self.protocols, "nonce": self.nonce, "turn": self.turn, **more}))

    # ---- what comes

    def take(self, event, value, number):
        if number is not None:
            n = int(number.rpartition(".")[2]) if isinstance(number, str) else number
            if event == "open":
                number = None
            else:
                if n <= self.got:
                    return
                assert n == self.got + 1, f"{n} behind {self.got}: a gap"
                self.got = n
                self.received.append(tuple(value) if event == "close" else value)
                return
        if event == "open":
            self.token = value["s"]
            self.opens.append(value)
            self.acked = max(self.acked, value["got"])
        elif event == "ack":
            self.acked = max(self.acked, value)
        self.controls.append((event, value))

    def count(self, event):
        return sum(1 for e, _ in self.controls if e == event)

    # ---- carriers

    def poll(self, hold=0, connection=None, **headers):
        answer = self.post(self.hello(hold=hold), connection=connection, **headers)
        for r in answer.records:
            self.take(*r)
        return answer

    def stream(self, **headers):
        s = Stream(self, headers)
        self.carriers.append(s)
        return s

    def close(self):
        for c in self.carriers:
            c.cut()

    # ---- what goes

    def up(self, *messages, first=None, connection=None):
        """Sends, counts them as sent, and returns the answer."""
        first = self.sent + 1 if first is None else first
        head = record("up", json.dumps({"s": self.token, "got": self.got, "from": first}))
        answer = self.post(head + "".join(map(up_record, messages)), connection=connection)
        if answer.status == 200:
            self.sent = max(self.sent, first + len(messages) - 1)
        for r in answer.records:
            self.take(*r)
        return answer

    def wait(self, condition, what="the session", timeout=20):
        wait_until(condition, what, timeout=timeout)

    def wait_received(self, count, timeout=20):
        self.wait(lambda: len(self.received) >= count, f"{count} messages, got {self.received[:5]}", timeout)


class Stream:
    """A stream read by a thread."""

    def __init__(self, session, headers, method="POST", path=None):
        self.session, self.ended, self.error, self.status = session, False, None, None
        self.c = session.connection(timeout=60)
        self.times = []
        if method == "POST":
            self.c.request("POST", session.path, session.hello().encode(),
                           {"Content-Type": TYPE, "Accept": "text/event-stream", **session.headers, **headers})
        else:
            self.c.request("GET", session.path, headers={"Accept": "text/event-stream", **session.headers, **headers})
        self.response = self.c.getresponse()
        self.status, self.headers = self.response.status, self.response.headers
        self.is_stopped = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        if self.status == 200:
            self.thread.start()

    def run(self):
        rest = ""
        try:
            while not self.is_stopped:
                data = self.response.read1(65536)
                if not data:
                    break
                rest += data.decode()
                whole, mark, rest = rest.rpartition("\n\n")
                for r in records(whole + mark):
                    self.session.take(*r)
        except Exception as e:
            self.error = e
        self.ended = True

    def cut(self):
        """Broken off, as a network does it; and what came until then was read."""
        self.is_stopped = True
        try:
            self.c.sock and self.c.sock.shutdown(2)
        except OSError:
            pass
        if self.thread.is_alive():
            self.thread.join(10)
        self.c.close()


def trusting():
    context = tls_module.create_default_context()
    context.check_hostname, context.verify_mode = False, tls_module.CERT_NONE
    return context
