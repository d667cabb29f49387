"""Behind a real nginx that ends TLS: what browsers are told of the session's cookie."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import trustme

from tests.integration.browser import set_cookies
from tests.integration.conftest import Site

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
CONFIGURATION = """
daemon off; master_process off; pid {directory}/pid; error_log stderr;
events {{}}
http {{
  access_log off; client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {directory}/certificate.pem; ssl_certificate_key {directory}/key.pem;
    location / {{ proxy_pass {behind}; {header} }}
  }}
}}
"""


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(directory: Path, behind: str, header: str) -> Iterator[str]:
    """Run nginx, which names its upstream as Host, until the block ends; yield its URL."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    (directory / "certificate.pem").write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = directory / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, port=port, behind=behind, header=header))
    process = subprocess.Popen([NGINX, "-c", str(configuration), "-p", str(directory)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while not _is_open(port):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(not Path(NGINX).exists(), reason="no nginx: apt-get install nginx")
@pytest.mark.parametrize(
    "header", ["proxy_set_header X-Forwarded-Proto https;", "proxy_set_header X-Real-IP $remote_addr;"]
)
def test_the_cookie_is_secure_although_nginx_names_no_host(header: str, site: Site, tmp_path: Path) -> None:
    """A request that looks like plain http to this machine has a forwarding header, so the browser is elsewhere."""
    with nginx(tmp_path, site.url, header) as url, requests.Session() as browser:
        browser.trust_env = False
        browser.verify = str(tmp_path / "ca.pem")
        reply = browser.post(f"{url}/login", params={"user": "auth0|ada"}, timeout=20)
        assert 200 == reply.status_code
        (cookie,) = set_cookies(reply)
        assert cookie["secure"] is True
        assert "auth0|ada" == browser.get(f"{url}/me", timeout=20).json()["user"]["sub"]
