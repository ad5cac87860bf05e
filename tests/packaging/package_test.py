#!/usr/bin/env python3
"""The Debian package and what `cmake --install` puts where.

Builds the package in a folder of its own, holds it against lintian, installs, upgrades, removes and purges it on a bare
Debian 12 that mmdebstrap makes for it, asks systemd what it thinks of the unit, and lets bash and zsh complete.

    package_test.py --build FOLDER 
"""
import argparse
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBLEMS = []

CONFIGURATION = """[node.hq]
url = "sqlite:hq.db"
[node.shop1]
url = "sqlite:shop1.db"
[job.night]
nodes = ["hq", "shop1"]
"""

# What is done in the bare system, beside installing. Each line must succeed.
IN_BARE_SYSTEM = r"""
set -eux
tidemark version
tidemark help sync | grep -q 'usage: tidemark sync'
getent passwd tidemark | grep -q /var/lib/tidemark
dpkg-query -W -f='${Conffiles}' tidemark | grep -q /etc/tidemark/tidemark.toml
test -e /lib/systemd/system/tidemark.service
test ! -e /etc/systemd/system/multi-user.target.wants/tidemark.service
# A configuration that somebody wrote survives an upgrade, and its jobs run.
cd /var/lib && mkdir shops && cd shops
printf '[node.a]\nurl = "sqlite:a.db"\n[node.b]\nurl = "sqlite:b.db"\n[job.x]\nnodes = ["a", "b"]\ntime_zone = "Europe/Berlin"\n' \
  > /etc/tidemark/tidemark.toml
printf 'exclude_windows = ["Mon-Fri 08:00-20:00"]\nschedule = "cron 0 2 * * *"\n' >> /etc/tidemark/tidemark.toml
sum=$(md5sum < /etc/tidemark/tidemark.toml)
tidemark check --config /etc/tidemark/tidemark.toml || test $? -ne 2
DEBIAN_FRONTEND=noninteractive apt-get install -y --reinstall /tmp/tidemark.deb
test "$sum" = "$(md5sum < /etc/tidemark/tidemark.toml)"
dpkg --verify tidemark | grep -v /etc/tidemark/tidemark.toml && exit 1
# What the service does, as the user who runs it and with the folders that systemd makes for it: a row is carried, and
# the daemon notes what it notes.
install -d -o tidemark -g tidemark -m 750 /var/lib/tidemark /run/tidemark
cp /tmp/a.db /tmp/b.db . && chown -R tidemark:tidemark .
printf '[daemon]\nsocket = "/run/tidemark/socket"\nstate = "/var/lib/tidemark/state"\nlog_file = "log"\nheartbeat = "1s"\n' \
  > run.toml
printf '[node.a]\nurl = "sqlite:a.db"\n[node.b]\nurl = "sqlite:b.db"\n[job.x]\nnodes = ["a", "b"]\nschedule = "every 1s"\n' \
  >> run.toml
as_service() { setpriv --reuid tidemark --regid tidemark --clear-groups "$@"; }
as_service tidemark activate --config run.toml
as_service timeout --preserve-status 5 tidemark run --config run.toml &
daemon=$!
timeout 10 sh -c 'until test -S /run/tidemark/socket; do sleep 0.1; done'
tidemark pause x --config run.toml
tidemark resume x --config run.toml
wait $daemon || { cat log; exit 1; }
grep ' 1 rows to b' log || { cat log; exit 1; }
as_service tidemark verify --config run.toml
for file in state state.lock state.lags; do test -e /var/lib/tidemark/$file; done
rmdir /run/tidemark     # the socket is gone
cd / && rm -r /var/lib/shops
apt-get remove -y tidemark
test ! -e /usr/bin/tidemark
test -e /var/lib/tidemark/state.lags
test "$sum" = "$(md5sum < /etc/tidemark/tidemark.toml)"
apt-get purge -y tidemark
test ! -e /etc/tidemark
test ! -e /var/lib/tidemark || { ls -la /var/lib/tidemark; exit 1; }
test ! -e /lib/systemd/system/tidemark.service
find / -xdev -name '*tidemark*' -not -path '/proc/*' -not -path '/tmp/*' -not -path '/var/log/*' -not -path '/var/cache/*' > /tmp/left
test ! -s /tmp/left || { cat /tmp/left; exit 1; }
"""


def check(condition, problem):
    if not condition:
        PROBLEMS.append(problem)
        print("FAILED " + problem, flush=True)


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, **more)


def must(*command, **more):
    done = run(*command, **more)
    if done.returncode != 0:
        sys.exit("%s ended with %d:\n%s%s" % (" ".join(map(str, command)), done.returncode, done.stdout[-4000:],
                                              done.stderr[-4000:]))
    return done.stdout


def build(folder):
    must("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DTIDEMARK_TESTS=OFF",
         "-DTIDEMARK_BENCH=OFF",
         "-DCMAKE_UNITY_BUILD=ON")      # a third of the time
    for old in folder.glob("*.deb"):
        old.unlink()
    must("cmake", "--build", folder, "--target", "package", "--", "--quiet")
    packages = list(folder.glob("tidemark_*.deb"))
    if len(packages) != 1:
        sys.exit("cpack made %d packages" % len(packages))
    return packages[0]


def contents(package):
    listed = {line.split()[5].lstrip(".") for line in must("dpkg-deb", "-c", package).splitlines() if line[0] == "-"}
    for file in ("/usr/bin/tidemark", "/lib/systemd/system/tidemark.service", "/etc/tidemark/tidemark.toml",
                 "/usr/share/man/man1/tidemark.1.gz", "/usr/share/bash-completion/completions/tidemark",
                 "/usr/share/zsh/vendor-completions/_tidemark", "/usr/share/doc/tidemark/copyright",
                 "/usr/share/doc/tidemark/changelog.gz", "/usr/share/doc/tidemark/configuration.md.gz"):
        check(file in listed, "the package lacks " + file)
    check(len(listed) < 25, "the package holds more than it should: %s" % sorted(listed))
    version = re.search(r"project\(tidemark VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    check(must("dpkg-deb", "-f", package, "Version").strip() == version, "the package has another version")
    changelog = (ROOT / "packaging/debian/changelog").read_text()
    check(changelog.startswith("tidemark (%s)" % version), "packaging/debian/changelog has no entry for " + version)
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", package)
    check(said.returncode == 0, "lintian: " + said.stdout)


def broken_package_is_caught(package, folder):
    """lintian must refuse a package without a copyright, with a setuid program and a library that nobody asks for."""
    must("dpkg-deb", "-R", package, folder / "broken")
    (folder / "broken/usr/share/doc/tidemark/copyright").unlink()
    (folder / "broken/usr/bin/tidemark").chmod(0o6755)
    must("dpkg-deb", "--root-owner-group", "-b", folder / "broken", folder / "broken.deb")
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", folder / "broken.deb")
    check(said.returncode != 0, "lintian accepts a broken package")


def installed_by_cmake(build_folder, folder):
    must("cmake", "--install", build_folder, "--prefix", folder / "prefix")
    prefix = folder / "prefix"
    unit = (prefix / "lib/systemd/system/tidemark.service").read_text()
    check("ExecStart=%s/bin/tidemark run" % prefix in unit, "cmake --install: the unit names another program")
    for file in ("bin/tidemark", "share/man/man1/tidemark.1", "share/zsh/site-functions/_tidemark",
                 "share/bash-completion/completions/tidemark", "etc/tidemark/tidemark.toml"):
        check((prefix / file).exists(), "cmake --install: no " + file)
    for command in re.findall(r"^  ([a-z]+)", must(prefix / "bin/tidemark", "help").split("\n\n")[2], re.MULTILINE):
        check(".SS tidemark %s\n" % command in (prefix / "share/man/man1/tidemark.1").read_text(),
              "the man page lacks " + command)


def unit_is_sound(root):
    unit = root / "lib/systemd/system/tidemark.service"
    text = unit.read_text()
    for line in ("Type=notify", "WatchdogSec=60", "ProtectSystem=strict", "NoNewPrivileges=yes",
                 "ExecReload=/bin/kill -HUP $MAINPID"):
        check("\n%s\n" % line in text, "the unit lacks " + line)
    # Verified where its program lies, for systemd-analyze looks for it.
    probe = root / "tidemark.service"
    probe.write_text(text.replace("/usr/bin/tidemark", str(root / "usr/bin/tidemark")))
    said = run("systemd-analyze", "verify", "--man=no", probe)
    # Other units of this machine are read along and may have faults of their own.
    ours = [line for line in (said.stdout + said.stderr).splitlines() if "tidemark" in line]
    check(not ours, "systemd-analyze verify: " + "\n".join(ours))
    probe.write_text(text.replace("ProtectSystem=strict", "ProtectSystm=strict"))
    said = run("systemd-analyze", "verify", "--man=no", probe)
    check("ProtectSystm" in said.stdout + said.stderr, "systemd-analyze verify overlooks a misspelled key")
    said = run("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit)
    check(said.returncode == 0, "systemd-analyze security: exposure above 2.0: " + said.stdout.splitlines()[-1])
    print("systemd-analyze security: " + said.stdout.strip().splitlines()[-1])


def bash_completes(root, folder):
    script = r"""
source %s/usr/share/bash-completion/completions/tidemark
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tidemark; echo "${COMPREPLY[*]}"; }
compopt() { :; }
ask tidemark sy
ask tidemark sync ''
ask tidemark activate --create-tables s
ask tidemark sync --progress = al
ask tidemark --config tidem
""" % root
    environment = {**os.environ, "PATH": "%s/usr/bin:%s" % (root, os.environ["PATH"])}
    said = must("bash", "--norc", "-c", script, cwd=folder, env=environment).splitlines()
    check(said == ["sync", "night", "shop1", "always", "tidemark.toml"], "bash completes %s" % said)


def zsh_completes(root, folder):
    """A person at a terminal: types, presses the key, sees what the shell made of it."""
    socket = "tidemark-package-%d" % os.getpid()
    tmux = lambda *words: must("tmux", "-L", socket, *words)
    environment = {**os.environ, "PATH": "%s/usr/bin:%s" % (root, os.environ["PATH"]), "PS1": "> "}
    try:
        must("tmux", "-L", socket, "-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", "zsh -f", cwd=folder,
             env=environment)
        tmux("send-keys", "fpath=(%s/usr/share/zsh/vendor-completions $fpath); autoload compinit; compinit -u -D" % root,
             "Enter")
        for typed, expected in (("tidemark sy", "tidemark sync "), ("tidemark sync n", "tidemark sync night "),
                                ("tidemark activate sh", "tidemark activate shop1 ")):
            tmux("send-keys", "C-u")
            tmux("send-keys", "-l", typed)
            tmux("send-keys", "Tab")
            for _ in range(100):
                screen = tmux("capture-pane", "-p")
                if expected.rstrip() in screen:
                    break
                time.sleep(.1)
            check(expected.rstrip() in screen, "zsh makes of %r: %s" % (typed, screen.strip()))
    finally:
        run("tmux", "-L", socket, "kill-server")


def sources():
    """The package sources of this machine where it is a Debian 12; else mmdebstrap knows where Debian is."""
    files = [pathlib.Path("/etc/apt/sources.list.d/debian.sources"), pathlib.Path("/etc/apt/sources.list")]
    return [file for file in files if file.exists() and "bookworm" in file.read_text()]


def bare_system(package):
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as script, tempfile.TemporaryDirectory() as folder:
        script.write(IN_BARE_SYSTEM)
        script.flush()
        # Made here, for there is no program for it there.
        for name, row in (("a", "INSERT INTO t VALUES (1, 'x')"), ("b", "")):
            database = sqlite3.connect(pathlib.Path(folder, name + ".db"))
            database.executescript("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);" + row)
            database.close()
        done = run("mmdebstrap", "--variant=apt", "bookworm", "/dev/null", *sources(),
                   "--customize-hook=upload %s /tmp/tidemark.deb" % package,
                   "--customize-hook=upload %s /tmp/script.sh" % script.name,
                   *("--customize-hook=upload %s/%s.db /tmp/%s.db" % (folder, name, name) for name in "ab"),
                   # The lists are still there in this hook; nothing but the package asks for anything.
                   "--customize-hook=chroot \"$1\" env DEBIAN_FRONTEND=noninteractive apt-get install -y "
                   "--no-install-recommends /tmp/tidemark.deb",
                   "--customize-hook=chroot \"$1\" sh /tmp/script.sh")
    check(done.returncode == 0, "on a bare Debian 12:\n" + done.stdout[-3000:] + done.stderr[-6000:])


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--build", required=True, type=pathlib.Path)
    options = args.parse_args()
    package = build(options.build.resolve())
    print("%s, %d KiB" % (package.name, package.stat().st_size // 1024), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "tidemark.toml").write_text(CONFIGURATION)
        root = folder / "root"
        must("dpkg-deb", "-x", package, root)
        contents(package)
        broken_package_is_caught(package, folder)
        installed_by_cmake(options.build.resolve(), folder)
        unit_is_sound(root)
        bash_completes(root, folder)
        zsh_completes(root, folder)
    bare_system(package)
    print("%d problems" % len(PROBLEMS))
    return 1 if PROBLEMS else 0


if __name__ == "__main__":
    sys.exit(main())
