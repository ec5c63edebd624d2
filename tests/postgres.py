"""A PostgreSQL of one's own for the tests: in a temporary folder, on a free port, as a user that is not root."""
import os
import pwd
import shutil
import socket
import subprocess
import tempfile

PROGRAMS = "/usr/lib/postgresql/15/bin"


def installed():
    return os.path.exists(os.path.join(PROGRAMS, "initdb"))


class Postgres:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="garrison-pg-")
        self.prefix = []
        if os.getuid() == 0:
            names = {user.pw_name for user in pwd.getpwall()}
            user = next(name for name in ("postgres", "nobody") if name in names)
            shutil.chown(self.folder, user)
            self.prefix = ["runuser", "-u", user, "--"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = os.path.join(self.folder, "data")
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "garrison", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def run(self, program, *arguments):
        return subprocess.run([*self.prefix, os.path.join(PROGRAMS, program), *arguments], check=True, text=True, cwd="/",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120).stdout

    def start(self):
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' -c fsync=off"
        # Its output goes to a file: a server that inherits our pipe would keep it open for ever.
        subprocess.run([*self.prefix, os.path.join(PROGRAMS, "pg_ctl"), "-D", self.data, "-w", "-t", "60", "-o", options,
                        "-l", os.path.join(self.folder, "log"), "start"], check=True, cwd="/", stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)

    def stop(self, mode="fast"):
        self.run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    @property
    def url(self):
        return f"postgres://garrison:secret-word@127.0.0.1:{self.port}/postgres"

    def sql(self, text):
        """The rows, fields separated by |."""
        return self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "garrison", "-d", "postgres", "-A", "-t",
                        "-v", "ON_ERROR_STOP=1", "-c", text).splitlines()

    def remove(self):
        try:
            self.stop("immediate")
        except subprocess.CalledProcessError:
            pass  # stopped already
        shutil.rmtree(self.folder, ignore_errors=True)
