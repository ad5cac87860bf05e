"""A private PostgreSQL server for tests: its own cluster in a temporary folder, reached by a Unix socket only,
gone with everything in it when the test ends. The server refuses to run as root: then it runs as the user
postgres, who comes with the package.

    python3 tests/postgresql_server.py      prints the folder of the socket, and serves until its input ends

Roles, none of them a superuser: tm_owner owns the databases, tm_session runs sessions, tm_app is an application.
"""
import glob
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

OPTIONS = {
    # No test pulls the plug of the machine; servers are killed, which loses nothing.
    "fsync": "off", "full_page_writes": "off",
    "listen_addresses": "''", "max_connections": "150", "max_prepared_transactions": "20", "logging_collector": "off",
    "log_min_messages": "warning", "autovacuum_naptime": "5s", "timezone": "'Europe/Berlin'",
}


def binary(name):
    """The newest server's program of this name."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/" + name), key=lambda path: int(path.split("/")[4]))
    path = found[-1] if found else shutil.which(name)
    if path is None:
        raise RuntimeError(f"{name} is not installed: run scripts/install_packages.sh")
    return path


class PrivateServer:
    def __init__(self, options=None, environment=None):
        self.folder = tempfile.mkdtemp(prefix="tidemark-pg-")
        self.data = os.path.join(self.folder, "data")
        self.environment = environment or {}      # of the server's processes
        self.options = {**OPTIONS, "unix_socket_directories": f"'{self.folder}'", **(options or {})}
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
        self._as_server(binary("initdb"), "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "-U", "postgres",
                        "-D", self.data)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as conf:
            for name, value in self.options.items():
                conf.write(f"{name} = {value}\n")
        self.start()
        for role in ("tm_owner", "tm_session", "tm_app"):
            self.sql("postgres", f"CREATE ROLE {role} LOGIN", role="postgres")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _as_server(self, *command, environment=None):
        if os.getuid() == 0:
            command = ("runuser", "-u", "postgres", "--", *command)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder,
                              check=False, env={**os.environ, **(environment or {})})
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")

    def start(self):
        # pg_ctl's child keeps what it inherits: its output must not be a pipe that somebody waits for.
        self._as_server(binary("pg_ctl"), "-s", "-w", "-t", "60", "-D", self.data, "-l", os.path.join(self.folder, "log"),
                        "start", environment=self.environment)

    def stop(self, mode="immediate"):
        self._as_server(binary("pg_ctl"), "-s", "-w", "-D", self.data, "-m", mode, "stop")

    def restart(self):
        """As after a crash: every connection is cut and nobody is asked."""
        self.stop("immediate")
        self.start()

    def processes(self):
        """The postmaster and its children."""
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as file:
            postmaster = int(file.readline())
        found = [postmaster]
        for stat in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(stat, encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == postmaster:
                found.append(int(stat.split("/")[2]))
        return found

    def kill(self):
        """kill -9 of all its processes, and a new start."""
        family = self.processes()
        for process in family:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        end = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{process}") for process in family) and time.monotonic() < end:
            time.sleep(0.02)
        self.start()

    def close(self):
        try:
            self.stop("immediate")
        except RuntimeError:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, name, owner="tm_owner"):
        self.sql("postgres", f'CREATE DATABASE "{name}" OWNER {owner}', role="postgres")
        return self.url(name, owner)

    def url(self, database, role="tm_owner"):
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def psql(self, database, role="tm_owner"):
        return [binary("psql"), "-X", "-q", "-h", self.folder, "-U", role, "-v", "ON_ERROR_STOP=1", "-d", database]

    def sql(self, database, text, role="tm_owner"):
        """Rows as lists of texts; NULL is None. The text is one transaction unless it says otherwise."""
        done = subprocess.run([*self.psql(database, role), "-A", "-t", "-F", "\x1f", "-R", "\x1e", "-P", "null=\x1d",
                               "-c", text], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        output = done.stdout[:-1] if done.stdout.endswith("\n") else done.stdout
        if not output:
            return []
        return [[None if field == "\x1d" else field for field in line.split("\x1f")] for line in output.split("\x1e")]

    def script(self, database, text, role="tm_owner"):
        """Runs a file's worth of statements, COPY data among them."""
        done = subprocess.run(self.psql(database, role), input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())

    def session(self, database, role="tm_app"):
        return Session(self, database, role)

    def backends(self, application="tidemark"):
        return [int(row[0]) for row in self.sql(
            "postgres", f"SELECT pid FROM pg_stat_activity WHERE application_name = '{application}'", role="postgres")]


class Session:
    """One connection whose statements are sent one by one: for tests about what happens in between."""

    END = "--tidemark-done--"

    def __init__(self, server, database, role):
        command = [argument for argument in server.psql(database, role) if argument not in ("-v", "ON_ERROR_STOP=1")]
        self.process = subprocess.Popen([*command, "-A", "-t"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.lines, self.rest = [], ""

    def send(self, statement):
        self.process.stdin.write(f"{statement};\n\\echo {self.END}\n".encode())
        self.process.stdin.flush()

    def ready(self):
        """Whether answer() would return at once."""
        while self.END not in self.lines and select.select([self.process.stdout], [], [], 0)[0]:
            self._read()
        return self.END in self.lines

    def _read(self):
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            raise RuntimeError("psql ended: " + "\n".join(self.lines))
        text = self.rest + data.decode()
        *lines, self.rest = text.split("\n")
        self.lines += lines

    def answer(self):
        while self.END not in self.lines:
            self._read()
        end = self.lines.index(self.END)
        lines, self.lines = self.lines[:end], self.lines[end + 1:]
        return "\n".join(lines)

    def run(self, statement):
        self.send(statement)
        answer = self.answer()
        # A COMMIT that the server's end cut off is no error to psql, which goes on: whether it counted is not known.
        if any(word in answer for word in ("ERROR:", "FATAL:", "server closed the connection", "connection to server")):
            raise RuntimeError(answer)
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def serve():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with PrivateServer() as server:
        print(server.folder, flush=True)
        while sys.stdin.buffer.read(65536):
            pass


if __name__ == "__main__":
    serve()
