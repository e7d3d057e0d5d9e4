"""Makes the virtual environment ``.venv`` exactly as ``uv.lock`` says; needs only Python and a network.

Run by ``make setup``. Written for any Python 3, so that an old one gets a clear message.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
OLDEST, NEWEST = (3, 11), (3, 14)
UV = "uv>=0.9,<1"


def main() -> int:
    """Install what is missing and return the exit code."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return fail(
            "Python {}.{} to {}.{} is needed, and this is {}.{} ({}).".format(
                *OLDEST, *NEWEST, *sys.version_info[:2], sys.executable
            ),
            "install one of them and name it: make setup PYTHON=python3.12",
        )
    if is_current():
        return 0
    print("setup: installing what uv.lock lists into .venv, and compiling it (20 s to 2 minutes)", flush=True)
    uv = find_uv()
    if uv is None:
        return 1
    environment = {
        # The machine's own certificates, as pip takes them: a company's proxy has one of its own.
        "UV_SYSTEM_CERTS": "1",
        "UV_NATIVE_TLS": "1",
        **os.environ,
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    environment.pop("VIRTUAL_ENV", None)
    command = [uv, "sync", "--frozen", "--compile-bytecode", "--quiet", "--python", sys.executable]
    if subprocess.run(command, cwd=str(ROOT), env=environment).returncode:
        return fail(
            "the packages could not be installed; uv says why above.", "try again; rm -rf .venv starts anew"
        )
    STAMP.write_text(fingerprint(), encoding="utf-8")
    print("setup: done", flush=True)
    return 0


def is_current() -> bool:
    """Tell whether .venv was made from the present lock file, in this folder."""
    try:
        return STAMP.read_text(encoding="utf-8") == fingerprint()
    except OSError:
        return False


def fingerprint() -> str:
    """Return what the environment depends on, as a hash."""
    files = [ROOT / "uv.lock", ROOT / "pyproject.toml"]
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content + str(ROOT).encode() + sys.version.encode()).hexdigest()


def find_uv():  # type: ignore[no-untyped-def] # an old Python must be able to read this file
    """Return a uv: the environment's, the machine's, or one newly installed into the environment."""
    own = VENV / "bin" / "uv"
    if own.exists():
        return str(own)
    found = shutil.which("uv")
    if found:
        return found
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode:
        fail("Python could not make a virtual environment.", "on Debian: apt-get install python3-venv")
        return None
    install = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", UV]
    if subprocess.run([*install, "--disable-pip-version-check"]).returncode:
        fail("uv could not be installed; pip says why above.", "check the network, then try again")
        return None
    return str(own)


def fail(problem: str, remedy: str) -> int:
    """Print what is wrong and what to do; return the exit code."""
    print("setup: " + problem, file=sys.stderr)
    print("  to do: " + remedy, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
