"""nginx on loopback with TLS and canned replies: a server so fast that what is measured is the client."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import certifi
import trustme
from attrs import frozen

Replies = Callable[[str], Mapping[str, object]]
"""Given the issuer's URL, the JSON document of each path."""

START_SECONDS = 10.0

EDGE_HEADERS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "CF-RAY": "8f3ac7d19b2e4c05-FRA",
    "CF-Cache-Status": "DYNAMIC",
    "Set-Cookie": "did=s%3Av0%3A5f0c1e7a-3b2d-4c8e-9a61-0d7f2b94c3e8.mS1nQ; Max-Age=31557600; Path=/; HttpOnly; Secure",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Vary": "Accept-Encoding, Origin",
    "X-Content-Type-Options": "nosniff",
    "X-Auth0-RequestId": "6c1f0a9be4d27358c0aa",
    "X-Auth0-L": "0.047",
    "X-RateLimit-Limit": "300",
    "X-RateLimit-Remaining": "299",
    "X-RateLimit-Reset": "1790000000",
    "Ot-Baggage-Auth0-Request-Id": "8f3ac7d19b2e4c05",
    "Ot-Tracer-Sampled": "true",
    "Ot-Tracer-SpanId": "3d1b7c502e9f4a68",
    "Ot-Tracer-TraceId": "71f0c49a2be5d836",
    "Alt-Svc": 'h3=":443"; ma=86400',
}
"""What Auth0's edge adds to a reply of its token endpoint. With the five headers of nginx itself that makes 23."""
# nginx takes no longer words in its configuration than 4096 bytes.
WORD = 2000

CONFIGURATION = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
lock_file {directory}/nginx.lock;
error_log {directory}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {directory}/client_body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_body_buffer_size 64k;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  tcp_nodelay on;
  default_type application/json;
  server {{
{listeners}
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.pem;
{headers}
{locations}
  }}
}}
"""


@frozen
class CannedServer:
    """A running server.

    Args:
        port: Its port, on the loopback addresses.
        ca_file: A PEM file of the CAs to trust: certifi's, as clients load them elsewhere, and the server's own.
    """

    port: int
    ca_file: str

    @property
    def issuer(self) -> str:
        """The issuer's URL, with a slash at its end."""
        return f"https://localhost:{self.port}/"


@contextmanager
def canned_server(
    replies: Replies,
    cpu: int | None = None,
    delay_ms: int = 0,
    headers: Mapping[str, str] = EDGE_HEADERS,
) -> Iterator[CannedServer]:
    """Run nginx for the duration of a ``with`` block.

    Args:
        replies: What it answers, with status 200 and whatever the method.
        cpu: The CPU to pin it to, or None.
        delay_ms: Milliseconds that it takes to answer.
        headers: What it sends beside Server, Date, Content-Type, Content-Length and Connection.

    Raises:
        SystemExit: nginx is not installed, or does not start; the message says what to do.
    """
    nginx = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if nginx is None:
        raise SystemExit("install nginx (apt-get install nginx)")
    with TemporaryDirectory(prefix="canned-server-") as name:
        directory = Path(name)
        port, addresses = _free_port()
        server = CannedServer(port, str(_make_certificates(directory)))
        configuration = directory / "nginx.conf"
        locations = _locations(directory, replies(server.issuer), delay_ms)
        configuration.write_text(_configuration(directory, port, addresses, locations, headers))
        with _running([nginx, "-p", name, "-c", str(configuration)], directory, port, cpu):
            yield server


def _configuration(
    directory: Path, port: int, addresses: list[str], locations: list[str], headers: Mapping[str, str]
) -> str:
    return CONFIGURATION.format(
        directory=directory,
        listeners="\n".join(f"    listen {address}:{port} ssl backlog=1024;" for address in addresses),
        headers="\n".join(f"    add_header {name} '{value}' always;" for name, value in headers.items()),
        locations="\n".join(locations),
    )


def _locations(directory: Path, replies: Mapping[str, object], delay_ms: int) -> list[str]:
    locations = [_location(path, reply) for path, reply in replies.items()]
    if delay_ms:
        # What nginx itself can delay is the refusal of a password, so nobody has one, and the error page is the reply.
        (directory / "passwords").touch()
        refusal = f"auth_basic canned; auth_basic_user_file {directory}/passwords; auth_delay {delay_ms}ms;"
        locations = [_location(f"/late{path}", reply, "internal;") for path, reply in replies.items()]
        locations += [f"    location = {path} {{ {refusal} error_page 401 =200 /late{path}; }}" for path in replies]
    return locations


@contextmanager
def _running(command: list[str], directory: Path, port: int, cpu: int | None) -> Iterator[None]:
    with (directory / "stderr.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        _wait_until_up(process, directory, port)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], directory: Path, port: int) -> None:
    ends_at = time.monotonic() + START_SECONDS
    while time.monotonic() < ends_at and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    logs = [directory / "stderr.log", directory / "error.log"]
    raise SystemExit("nginx does not start:\n" + "".join(log.read_text() for log in logs if log.exists()))


def _free_port() -> tuple[int, list[str]]:
    # Both loopback addresses where there are two: whoever tries ::1 first must not pay for a refusal each time.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    try:
        socket.create_server(("::1", port), family=socket.AF_INET6).close()
    except OSError:
        return port, ["127.0.0.1"]
    return port, ["127.0.0.1", "[::1]"]


def _make_certificates(directory: Path) -> Path:
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    bundle = directory / "trusted.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    return bundle


def _location(path: str, reply: object, *directives: str) -> str:
    text = json.dumps(reply)
    if set(text) & set("$\\'"):
        raise ValueError(f"the reply of {path} has characters that nginx would interpret")
    pieces = [text[start : start + WORD] for start in range(0, len(text), WORD)]
    lines = [f"set $piece{number} '{piece}';" for number, piece in enumerate(pieces)]
    whole = "".join(f"$piece{number}" for number in range(len(pieces)))
    return "\n".join([f"    location = {path} {{", *directives, *lines, f"return 200 {whole};", "    }"])
