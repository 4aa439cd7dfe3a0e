"""Keys and certificates, made by the openssl command: two authorities and the leaves that tests need."""
import ssl
import subprocess
from pathlib import Path


def openssl(*args, stdin=b"", timeout=30, check=True):
    done = subprocess.run(["openssl", *map(str, args)], input=stdin, capture_output=True, timeout=timeout)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done


class Leaf:
    def __init__(self, cert, key):
        self.cert, self.key = str(cert), str(key)

    @property
    def config(self):
        return {"cert": self.cert, "key": self.key}


class Authority:
    def __init__(self, directory, name):
        self.directory, self.name = Path(directory), name
        self.cert, self.key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, file, names, key_args=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        """A leaf for the names (IP:… for addresses), in FILE.pem and FILE.key."""
        cert, key, request = (self.directory / f"{file}.{x}" for x in ("pem", "key", "csr"))
        extensions = self.directory / f"{file}.ext"
        extensions.write_text("subjectAltName=" + ",".join(n if n.startswith("IP:") else f"DNS:{n}" for n in names))
        openssl("req", "-new", "-newkey", *key_args, "-nodes", "-subj", f"/CN={names[0]}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", "30",
                "-extfile", extensions, "-out", cert)
        return Leaf(cert, key)


class Certs:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.ca = Authority(directory, "test-ca")
        self.stranger = Authority(directory, "strange-ca")
        self.leaf = self.ca.issue("localhost", ["localhost", "*.example.com", "IP:127.0.0.1"])
        self.other = self.ca.issue("other", ["other.test"])
        self.strange = self.stranger.issue("strange", ["localhost", "IP:127.0.0.1"])
        self.client = self.ca.issue("client", ["a-client"])
        self.strange_client = self.stranger.issue("strange-client", ["a-client"])

    def client_context(self, version=None, alpn=("http/1.1",), leaf=None, verify=True):
        context = ssl.create_default_context(cafile=self.ca.cert)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if version:
            context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if leaf:
            context.load_cert_chain(leaf.cert, leaf.key)
        return context

    def server_context(self, leaf=None, client_ca=None):
        leaf = leaf or self.leaf
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.cert, leaf.key)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca.cert)
        return context
