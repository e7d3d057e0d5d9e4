"""Creates the virtual environment ``.venv`` exactly as ``uv.lock`` says; needs only Python and a network.

``make setup`` runs it. It is written for any Python 3, so that an old one gets a clear message.

``--extras "sql http"`` installs these extras of pyproject.toml and removes all others, ``--all-extras``
installs all of them, and without an option those that are installed stay. ``--with NAME`` adds one to them.
"""

import hashlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"  # a hash of what the environment depends on, and its extras
SCHEMA = VENV / "dag_config.schema.json"  # for the editor: with the providers of the extras
OLDEST, NEWEST = (3, 11), (3, 14)
UV = "uv>=0.9,<1"


def main() -> int:
    """Install what is missing and return the exit code."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return fail(
            "this is Python {}.{} ({}); the project needs {}.{} to {}.{}.".format(
                *sys.version_info[:2], sys.executable, *OLDEST, *NEWEST
            ),
            "install one of these versions and name it: make setup PYTHON=python3.12",
        )
    wanted = wanted_extras(sys.argv[1:])
    if isinstance(wanted, str):
        return fail(wanted, 'name some of these: make setup EXTRAS="sql http"; for none: make setup EXTRAS=')
    meant = sorted(set(os.environ.get("EXTRAS", "").replace(",", " ").split()))
    if meant and not sys.argv[1:] and meant != wanted:
        print(
            'setup: EXTRAS of your shell is not used; to use it: make setup EXTRAS="' + " ".join(meant) + '"'
        )
    state = fingerprint() + "\n" + " ".join(wanted) + "\n"
    if read_stamp() == state:
        return 0
    named = "" if not wanted else " and the extras " + ", ".join(wanted)
    gone = sorted(set(read_stamp().partition("\n")[2].split()) - set(wanted))
    if gone:
        print("setup: removing the extras " + ", ".join(gone), flush=True)
    print("setup: installing the packages of uv.lock" + named + " into .venv (20 s to 2 minutes)", flush=True)
    uv = find_uv()
    if uv is None or not install(uv, wanted):
        return 1
    if wanted and ("--extras" in sys.argv or SCHEMA.exists()):
        write_editor_schema()
    else:
        SCHEMA.unlink(missing_ok=True)
    STAMP.write_text(state, encoding="utf-8")
    print("setup: done", flush=True)
    return 0


def wanted_extras(arguments):  # type: ignore[no-untyped-def] # an old Python must be able to read this file
    """Return the extras that the environment must have, sorted, or a text that says what is wrong."""
    import tomllib

    with (ROOT / "pyproject.toml").open("rb") as file:
        known = sorted(tomllib.load(file)["project"].get("optional-dependencies", {}))
    if arguments[-2:-1] == ["--with"] and arguments[-1] in known:
        others = wanted_extras(arguments[:-2])
        return others if isinstance(others, str) else sorted({*others, arguments[-1]})
    if arguments == ["--all-extras"]:
        return known
    if not arguments:
        return [name for name in read_stamp().partition("\n")[2].split() if name in known]
    if len(arguments) != 2 or arguments[0] != "--extras":
        return 'the options are --extras "NAME …" and --all-extras.'
    wanted = sorted(set(arguments[1].replace(",", " ").split()))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        return "there is no extra " + ", ".join(unknown) + "; there are " + ", ".join(known) + "."
    return wanted


def install(uv, extras):  # type: ignore[no-untyped-def] # an old Python must be able to read this file
    """Install what uv.lock says with these extras, and remove all else; return whether it went well."""
    if STAMP.exists():  # if this fails, the next command installs what was there
        STAMP.write_text("\n" + read_stamp().partition("\n")[2], encoding="utf-8")
    environment = {
        # The machine's certificates, as pip uses them: a company's proxy may have its own.
        "UV_SYSTEM_CERTS": "1",
        "UV_NATIVE_TLS": "1",
        **os.environ,
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    environment.pop("VIRTUAL_ENV", None)
    command = [uv, "sync", "--frozen", "--compile-bytecode", "--quiet", "--python", sys.executable]
    for name in extras:
        command += ["--extra", name]
    if subprocess.run(command, cwd=str(ROOT), env=environment).returncode:
        fail(
            "the packages could not be installed; the lines above have the reason.",
            "correct it and try again; `rm -rf .venv` starts from nothing",
        )
        return False
    return True


def write_editor_schema() -> None:
    """Write the schema that has the providers of the extras, and say how an editor finds it."""
    print("setup: writing the schema of the installed providers", flush=True)
    command = [str(VENV / "bin" / "python"), "-m", "schemas", "schema", "--installed", str(SCHEMA)]
    if subprocess.run(command, cwd=str(ROOT)).returncode == 0:
        line = "# yaml-language-server: $schema=../.venv/dag_config.schema.json"
        print(
            "setup: an editor completes their operators in a file whose first line is\n  " + line, flush=True
        )


def read_stamp() -> str:
    """Return what the last installation wrote, empty if there was none."""
    try:
        return STAMP.read_text(encoding="utf-8")
    except OSError:
        return ""


def fingerprint() -> str:
    """Return a hash of everything that the environment depends on."""
    files = [ROOT / "uv.lock", ROOT / "pyproject.toml"]
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content + str(ROOT).encode() + sys.version.encode()).hexdigest()


def find_uv():  # type: ignore[no-untyped-def] # an old Python must be able to read this file
    """Return a uv: that of the environment, that of the machine, or one that is installed now."""
    own = VENV / "bin" / "uv"
    if own.exists():
        return str(own)
    found = shutil.which("uv")
    if found:
        return found
    if not make_venv():
        fail("Python cannot create a virtual environment.", "on Debian: apt-get install python3-venv")
        return None
    install = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", UV]
    if subprocess.run([*install, "--disable-pip-version-check"]).returncode:
        fail("uv could not be installed; the lines above have the reason.", "check the network and try again")
        return None
    return str(own)


def make_venv() -> bool:
    """Create an empty .venv; as root, a Debian whose Python lacks ensurepip gets python3-venv first."""
    if importlib.util.find_spec("ensurepip") is None and os.geteuid() == 0:
        import programs

        try:
            programs.apt_install(["python3-venv"], lambda text: print("setup: " + text, flush=True))
        except programs.ProgramsError as error:
            print("setup: " + str(error), file=sys.stderr)
            return False
    return subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode == 0


def fail(problem: str, remedy: str) -> int:
    """Print what is wrong and the next action; return the exit code."""
    print("setup: " + problem, file=sys.stderr)
    print("  to do: " + remedy, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
