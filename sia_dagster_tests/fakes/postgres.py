"""Debian's PostgreSQL for the tests: a real server on loopback, and a proxy that cuts connections at a bad moment."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from unittest import SkipTest
from urllib.parse import quote

USER, PASSWORD = "sia", "p@ss/w%rd"


PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class PostgresServer:
    """A running server; each database is made anew."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self._programs = folder, programs
        self.port = _free_port()
        self._databases = 0

    def start(self) -> None:
        """Start it and wait until it answers; also after `stop`."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", "files", "-o", options, "-l", "server.log")

    def stop(self) -> None:
        """Stop it at once, as a power cut does, but for the files."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", "files")

    def prepare(self) -> None:
        """Make its files."""
        (self.folder / "password").write_text(PASSWORD, encoding="utf-8")
        self._run("initdb", "-D", "files", "-U", USER, "-A", "scram-sha-256", "--pwfile", "password", "-E", "UTF8")

    def address(self, database: str, port: int | None = None) -> str:
        """The URL with the password."""
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port or self.port}/{database}"

    def new_database(self) -> str:
        """The name of a fresh database."""
        self._databases += 1
        name = f"sia_{self._databases}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return name

    def execute(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Run one statement as the server's owner."""
        import psycopg

        with psycopg.connect(self.address(database), autocommit=True) as db:
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def wait_until_unlocked(self, database: str, wait: Callable[[float], object]) -> None:
        """Wait until the server has released the advisory locks of connections that were closed or lost."""
        locks = f"pg_locks JOIN pg_database d ON d.oid = database WHERE datname = '{database}'"
        self.wait_until_none(f"SELECT 1 FROM {locks} AND locktype = 'advisory'", wait)

    def wait_until_none(self, query: str, wait: Callable[[float], object]) -> None:
        """Ask the server again and again until the query has no rows. `wait` takes seconds."""
        for _ in range(1000):
            if not self.execute("postgres", query):
                return
            wait(0.01)
        raise TimeoutError(f"there are still rows: {query}")

    def _run(self, program: str, *arguments: str) -> None:
        with (self.folder / "programs.log").open("ab") as log:
            command = [str(self._programs / program), *arguments]
            subprocess.run(command, cwd=self.folder, check=True, stdout=log, stderr=log, user=_account())


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server in a temporary folder. Where there is none to start, tests that ask for it are skipped and say so."""
    if not PROGRAMS:
        raise SkipTest("POSTGRES IS NOT INSTALLED, so its store is NOT TESTED here: apt-get install postgresql")
    if find_spec("psycopg") is None:
        raise SkipTest("PSYCOPG IS NOT INSTALLED, so the Postgres store is NOT TESTED here: the extra `postgres`")
    folder = Path(tempfile.mkdtemp(prefix="sia-postgres-"))
    if account := _account():
        os.chown(folder, pwd.getpwnam(account).pw_uid, -1)
    server = PostgresServer(folder, PROGRAMS[-1])
    try:
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


class CuttingProxy:
    """Passes bytes on to a server. When armed, it passes on the next message with these bytes, and the reply to it
    never reaches the client: the connection is cut."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut_at: bytes | None = None
        self.cuts = 0

    def arm(self, at: bytes) -> None:
        """Cut the connection on which `at` passes next."""
        self._cut_at = at

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=_down, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        while message := _received(client):
            if self._cut_at and self._cut_at in message:
                self._cut_at = None
                self.cuts += 1
                _end(client, socket.SHUT_RDWR)
            server.sendall(message)
        _end(server, socket.SHUT_WR)


def _down(client: socket.socket, server: socket.socket) -> None:
    """Read to the end also where nobody listens: a connection closed before would take back what was sent."""
    with server, client:
        while message := _received(server):
            with suppress(OSError):
                client.sendall(message)
        _end(client, socket.SHUT_RDWR)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def _end(connection: socket.socket, how: int) -> None:
    with suppress(OSError):
        connection.shutdown(how)


def _account() -> str | None:
    """The server refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
