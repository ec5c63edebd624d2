"""A vendor of embeddings for tests: answers in the documented shapes of OpenAI, Azure, Hugging Face and Bedrock Titan,
and fails in every way that a script asks for."""
import base64
import hashlib
import hmac
import json
import math
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse

DIMENSION = 8
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def vector(text, dimension=DIMENSION, space=""):
    """The vector of a text: of length 1, the same wherever it is asked for; another space is another model."""
    digest = hashlib.sha256((space + (text if isinstance(text, str) else json.dumps(text))).encode()).digest()
    raw = [byte - 127.5 for byte in digest[:dimension]]
    length = math.sqrt(sum(x * x for x in raw))
    return [struct.unpack("<f", struct.pack("<f", x / length))[0] for x in raw]


def tokens(text):
    return len(text.split()) if isinstance(text, str) else len(text)


def packed(row):
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    def json(self):
        return json.loads(self.body)


def read_request(file):
    """The next one of a connection; None at its end."""
    line = file.readline().decode()
    if not line:
        return None
    method, path, _ = line.split()
    headers = {}
    while (line := file.readline().decode().strip()):
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    return Request(method, path, headers, file.read(int(headers.get("content-length", 0))))


def openai_reply(request, space=""):
    asked = request.json()
    texts = asked["input"]
    dimension = asked.get("dimensions", DIMENSION)
    data = [{"object": "embedding", "index": i, "embedding": packed(vector(text, dimension, space))}
            for i, text in enumerate(texts)]
    used = sum(tokens(text) for text in texts)
    # The order is nobody's promise.
    return {"object": "list", "data": data[::-1], "model": asked.get("model", "deployment"),
            "usage": {"prompt_tokens": used, "total_tokens": used}}


def reply_of(request, space=""):
    if request.path.endswith("/credentials"):
        return {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": "session",
                "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))}
    if "/embeddings" in request.path:
        return openai_reply(request, space)
    if request.path.endswith("/invoke"):
        text = request.json()["inputText"]
        row = vector(text, request.json().get("dimensions", DIMENSION), space)
        return {"embedding": row, "embeddingsByType": {"float": row}, "inputTextTokenCount": tokens(text)}
    return [vector(text, space=space) for text in request.json()["inputs"]]


def sigv4_error(request):
    """Checks the signature as AWS's documents say; None if it is right."""
    authorization = request.headers.get("authorization", "")
    if authorization.startswith("Bearer "):
        return None
    fields = dict(part.strip().split("=", 1) for part in authorization.split(" ", 1)[1].split(","))
    _, date, region, service, _ = fields["Credential"].split("/")
    names = fields["SignedHeaders"].split(";")
    if "host" not in names or "x-amz-date" not in names:
        return "host and x-amz-date must be signed"
    if ("x-amz-security-token" in request.headers) != ("x-amz-security-token" in names):
        return "the session token must be signed"
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
    canonical = "\n".join([request.method, urllib.parse.quote(request.path, safe="/-._~"), "", headers, ";".join(names),
                           hashlib.sha256(request.body).hexdigest()])
    scope = f"{date}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope,
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET_KEY).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    right = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(right, fields["Signature"]) else "the signature does not match"


# What a script may hold: each takes the request and the vendor, and returns the bytes to send.

def status(code, body=None, **headers):
    """An error with the vendor's usual body, or that one."""
    def make(_request, _vendor):
        content = body if body is not None else json.dumps({"error": {"message": f"scripted {code}", "type": "x",
                                                                      "param": None, "code": None}})
        return response(code, content.encode(), headers)
    return make


def changed(change):
    """A good answer after `change(reply)`."""
    def make(request, vendor):
        reply = reply_of(request, vendor.space)
        return response(200, json.dumps(change(reply) or reply).encode())
    return make


def raw(text):
    return lambda _request, _vendor: response(200, text.encode())


def cut(count):
    """The first bytes of a good answer, then the end; a negative count: all but so many."""
    return lambda request, vendor: Cut(response(200, json.dumps(reply_of(request, vendor.space)).encode())[:count])


def stall(where):
    """Answers until `where` ("head", "body", "middle") and then nothing until the client leaves."""
    def make(request, vendor):
        whole = response(200, json.dumps(reply_of(request, vendor.space)).encode())
        head = whole.index(b"\r\n\r\n") + 4
        part = {"head": 0, "body": head, "middle": (head + len(whole)) // 2}[where]
        return Stall(whole[:part])
    return make


class Stall(bytes):
    pass


class Cut(bytes):
    pass


def response(code, body, headers=None):
    lines = [f"HTTP/1.1 {code} Scripted", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Vendor:
    """Listens on a free port until it is closed. `script` is used up request by request; then answers are good."""

    def __init__(self, space="", certificate=None):
        self.space = space
        self.script = []
        self.requests = []
        self.lock = threading.Lock()
        self.closing = False
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closing:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            file = connection.makefile("rb")
            while self._serve_one(connection, file):
                pass
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            connection.close()

    def _serve_one(self, connection, file):
        request = read_request(file)
        if request is None:
            return False
        with self.lock:
            self.requests.append(request)
            step = self.script.pop(0) if self.script else None
        if step is None and request.path.endswith("/invoke") and sigv4_error(request):
            step = status(403, json.dumps({"message": sigv4_error(request)}), x_amzn_ErrorType="InvalidSignatureException")
        answer = step(request, self) if step else response(200, json.dumps(reply_of(request, self.space)).encode())
        if answer:
            connection.sendall(answer)
        if isinstance(answer, Stall):
            connection.settimeout(20)
            connection.recv(1)  # until the client leaves
            return False
        return not isinstance(answer, Cut)

    def take(self):
        """The requests since the last time."""
        with self.lock:
            taken, self.requests = self.requests, []
        return taken

    def close(self):
        self.closing = True
        self.listener.close()


def make_certificate(folder):
    """Files with a certificate for 127.0.0.1 and its key."""
    certificate, key = f"{folder}/vendor.pem", f"{folder}/vendor.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
                    certificate], check=True, capture_output=True)
    return certificate, key
