"""JSON Web Tokens made by openssl and hmac, as an identity provider makes them."""
import base64
import hashlib
import hmac
import json
import time

from kit import certs

SECRET = b"a secret of thirty-two bytes....x"


def openssl(*args, **options):
    return certs.openssl(*args, **options).stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def joined(header, claims):
    return b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())


def der_numbers(der):
    """The two INTEGERs of an ECDSA signature."""
    at = 2 + (der[1] & 0x7f if der[1] & 0x80 else 0)
    numbers = []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2:at + 2 + length], "big"))
        at += 2 + length
    return numbers


class Key:
    """A private key of openssl's, its JWK, and how it signs."""

    def __init__(self, directory, alg, kid):
        self.alg, self.kid = alg, kid
        self.file = directory / f"{kid}.key"
        kinds = {"RS": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "Ed": ["-algorithm", "ED25519"],
                 "ES": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"
                        + {"256": "P-256", "384": "P-384", "512": "P-521"}.get(alg[2:], "P-256")]}
        openssl("genpkey", *kinds["RS" if alg[0] in "RP" else alg[:2]], "-out", str(self.file))

    def public(self):
        return openssl("pkey", "-in", str(self.file), "-pubout", "-outform", "DER")

    @property
    def jwk(self):
        der = self.public()
        if self.alg == "EdDSA":
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(der[-32:]), "kid": self.kid}
        if self.alg[:2] == "ES":
            size = {"256": 32, "384": 48, "512": 66}[self.alg[2:]]
            curve = {"256": "P-256", "384": "P-384", "512": "P-521"}[self.alg[2:]]
            return {"kty": "EC", "crv": curve, "x": b64(der[-2 * size:-size]), "y": b64(der[-size:]), "kid": self.kid}
        text = openssl("rsa", "-in", str(self.file), "-noout", "-modulus").decode()
        return {"kty": "RSA", "n": b64(bytes.fromhex(text.strip().split("=")[1])), "e": "AQAB", "kid": self.kid}

    def sign(self, data):
        if self.alg == "EdDSA":
            file = self.file.with_suffix(".in")
            file.write_bytes(data)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(self.file), "-in", str(file))
        args = ["dgst", f"-sha{self.alg[2:]}", "-sign", str(self.file)]
        if self.alg[0] == "P":
            args += ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        made = openssl(*args, stdin=data)
        if self.alg[:2] != "ES":
            return made
        size = {"256": 32, "384": 48, "512": 66}[self.alg[2:]]
        return b"".join(n.to_bytes(size, "big") for n in der_numbers(made))

    def token(self, alg=None, kid=True, header=(), **claims):
        head = {"alg": alg or self.alg, "typ": "JWT", **({"kid": self.kid} if kid is True else {"kid": kid} if kid else {}),
                **dict(header)}
        text = joined(head, {"sub": "ann", "exp": time.time() + 600, **claims})
        return f"{text}.{b64(self.sign(text.encode()))}"


def hs(secret=SECRET, alg="HS256", **claims):
    claims = {"sub": "ann", "exp": time.time() + 600, **claims}
    text = joined({"alg": alg}, {n: v for n, v in claims.items() if n != "exp" or v is not None})
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    return f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"


def key_set(directory, *jwks):
    file = directory / "jwks.json"
    file.write_text(json.dumps({"keys": list(jwks)}))
    return str(file)


def jwt(**keys):
    return {"auth": {"jwt": keys}}


def bearer(token):
    return [("Authorization", f"Bearer {token}")]
