"""The admin sockets, as a program of an operator's uses them."""
import http.client
import json
import socket


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Admin:
    """Over the UNIX socket `at` (a path), or the TCP port `at`."""

    def __init__(self, at):
        self.at = at

    def connection(self):
        if isinstance(self.at, int):
            return http.client.HTTPConnection("127.0.0.1", self.at, timeout=20)
        return UnixConnection(self.at)

    def ask(self, method, path, body=None):
        connection = self.connection()
        try:
            connection.request(method, path, body=body if body is None or isinstance(body, (str, bytes)) else json.dumps(body))
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path):
        return self.ask("GET", path)

    def connections(self, query=""):
        return self.get("/connections" + query).json["connections"]

    def metrics(self):
        """Samples by their name with labels, as they stand."""
        lines = [line for line in self.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
