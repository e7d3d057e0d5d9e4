"""The image, built by buildah on a Debian without Docker, and Airflow's commands run in it.

Steps run in a chroot: neither a Docker engine nor a kernel with user namespaces is needed, only root.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import programs
import pytest
from running_airflow import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.needs("buildah"), pytest.mark.needs("mmdebstrap")]

# A base with this machine's certificates: its packages may come through a server that the usual ones do not know.
CONTAINERFILE = """FROM scratch
ADD base.tar /
ADD ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ADD pip.conf /etc/pip.conf
ADD uv.toml /etc/uv/uv.toml
"""
CACHE = "/var/cache/uv"  # in the build; of the packages that this machine has already
UV = f'system-certs = true\ncache-dir = "{CACHE}"\n'
PIP = "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n"


class Image:
    """An image in a storage for it alone, and a container made of it."""

    def __init__(self, folder: Path) -> None:
        self._as_root = programs.as_root([], os.geteuid())
        storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._buildah = [*self._as_root, "buildah", *storage]
        self._folder = folder
        self._container = ""

    def build(self) -> None:
        """Build a base from Debian's packages, the image on it, and start a container."""
        base = self._folder / "base"
        base.mkdir()
        packages = "--include=python3,python3-venv"
        _ran(
            [
                *self._as_root,
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                packages,
                _codename(),
                str(base / "base.tar"),
            ]
        )
        shutil.copy(ssl.get_default_verify_paths().cafile or "", base / "ca-certificates.crt")
        (base / "Containerfile").write_text(CONTAINERFILE)
        (base / "pip.conf").write_text(PIP)
        (base / "uv.toml").write_text(UV)
        chroot = [*self._buildah, "bud", "--isolation", "chroot", "--format", "docker"]
        _ran([*chroot, "--tag", "localhost/base", str(base)])
        cache = _ran([str(Path(sys.executable).parent / "uv"), "cache", "dir"])
        _ran([
            *chroot, "--build-arg", "BASE=localhost/base", "--volume", f"{cache}:{CACHE}:rw",
            "--file", "deploy/Dockerfile", "--tag", "localhost/batch-serving", str(ROOT),
        ])  # fmt: skip
        self._container = _ran([*self._buildah, "from", "localhost/batch-serving"])

    def run(self, *command: str) -> str:
        """Run a command in the container and return what it printed."""
        return _ran([*self._buildah, "run", "--isolation", "chroot", self._container, "--", *command])

    def inspect(self, template: str) -> str:
        """Return what the image's configuration says."""
        return _ran([*self._buildah, "inspect", "--format", template, self._container])

    def remove(self) -> None:
        """Remove the container, which is mounted, and the files, which belong to root."""
        subprocess.run([*self._buildah, "rm", "--all"], capture_output=True, check=False)
        subprocess.run([*self._as_root, "rm", "-rf", str(self._folder)], check=False)


def _ran(command: list[str]) -> str:
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, f"{' '.join(command)}\n{found.stdout[-3000:]}\n{found.stderr[-3000:]}"
    return found.stdout.strip()


def _codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("VERSION_CODENAME="))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    built = Image(tmp_path_factory.mktemp("image"))
    try:
        built.build()
        yield built
    finally:
        built.remove()


def test_airflow_runs_in_the_image_as_an_ordinary_user(image: Image) -> None:
    assert image.run("airflow", "version") == "3.3.2"
    assert image.run("id", "-u") == "50000"
    assert "healthcheck.py" in image.inspect("{{.Docker.Config.Healthcheck.Test}}")


def test_the_projects_configs_are_in_it_and_pass_the_checker(image: Image) -> None:
    assert image.run("python", "-m", "schemas", "check") == "no problems found"
    assert image.run("python", "-c", "import callables.training as t; print(t.__file__)").startswith(
        "/opt/batch/"
    )


def test_it_has_neither_build_tools_nor_the_machines_own_files(image: Image) -> None:
    script = "for name in gcc make git uv; do command -v $name; done; true"
    assert image.run("sh", "-c", script) == ""
    here = set(image.run("ls", "-A", "/opt/batch").split())
    assert not here & {".env", ".git", ".airflow", "output", "tests"}
    assert image.run("sh", "-c", "touch /opt/batch/a 2>/dev/null || echo refused") == "refused"
    found = image.run("find", "/opt/batch/callables", "-name", "*.pyc")
    assert "training.cpython" in found
