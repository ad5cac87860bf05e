"""A daemon under test: started, asked, killed, and what it left in its log."""
import json
import os
import pathlib
import signal
import subprocess
import time

from support import Failure, compare_images, require

WAIT_S = 30


class Daemon:
    """`tidemark run` on a laboratory's configuration; ends with its context."""

    def __init__(self, lab, config=None, environment=None):
        lab.write_config()
        self.lab, self.config = lab, pathlib.Path(config or lab.config)
        self.log_path = lab.directory / ("daemon-%d.log" % lab.next_number())
        self.process = None
        self.environment = {**os.environ, **(environment or {})}
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen([self.lab.binary, "run", "--config", str(self.config)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=self.environment, cwd=self.lab.directory)
        wait_for(lambda: self.process.poll() is not None or " began: process %d" % self.process.pid in self.log(),
                 lambda: "the daemon did not begin:\n" + self.log())
        require(self.process.poll() is None, lambda: "the daemon ended with %s:\n%s" % (self.process.returncode, self.log()))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                if kind is None:
                    raise Failure("the daemon did not end when told to:\n" + self.log()[-3000:]) from None
            if kind is None:
                require(self.process.returncode == 0, "the daemon ended with %d:\n%s" % (self.process.returncode, self.log()[-3000:]))
        if kind is None:
            for word in ("Sanitizer", "runtime error:", "unexpected:"):
                require(word not in self.log(), lambda: self.log()[-3000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart_after_kill(self):
        self.kill()
        self.start()

    def terminate(self):
        """Seconds until it ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        return time.monotonic() - began

    def end_within_a_second(self, when):
        """And a bit, where the machine is busy; sanitizers look for leaks at the end."""
        limit = 3 if self.is_sanitized() else 1.5
        seconds = self.terminate()
        require(seconds < limit, lambda: "it took %.1f s to end %s\n%s" % (seconds, when, self.log()[-3000:]))
        require(self.process.returncode == 0, "exit code %d" % self.process.returncode)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def status(self):
        out = subprocess.run([self.lab.binary, "status", "--json", "--config", str(self.config)], capture_output=True,
                             text=True, check=False, timeout=60).stdout
        return json.loads(out)["daemon"]

    def job(self, name):
        return next(job for job in self.status()["jobs"] if job["job"] == name)

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.process.pid))

    def memory_kib(self):
        text = pathlib.Path("/proc/%d/status" % self.process.pid).read_text()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")))

    def is_sanitized(self):
        """A build whose memory says nothing: it keeps what was freed, and a shadow of all."""
        return "libasan" in pathlib.Path("/proc/%d/maps" % self.process.pid).read_text()

    def cpu_s(self):
        fields = pathlib.Path("/proc/%d/stat" % self.process.pid).read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(condition, what, seconds=WAIT_S):
    """Until the condition holds; `what` says what did not come."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("not within %d s: %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.02)


T = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);"


def pair(lab, wal=True, **job):
    a, b = lab.pair(T, wal=wal, **{"schedule": "continuous", **job})
    lab.activate()
    return a, b


def rows(node):
    return node.rows("SELECT * FROM t ORDER BY id")


def equal(*nodes):
    first = nodes[0].image()
    return all(not compare_images(first, node.image()) for node in nodes[1:])


def wait_equal(*nodes, seconds=30):
    wait_for(lambda: equal(*nodes), "equal nodes", seconds)


def reloads(daemon):
    before = daemon.log().count("configuration read anew")
    daemon.reload()
    wait_for(lambda: daemon.log().count("configuration read anew") > before, daemon.log)
