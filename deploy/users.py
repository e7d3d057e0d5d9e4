"""The command ``make user``: who can log in to the project's Airflow, with which role.

A user is in the setting AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS, or was added by `make user` and is in
``users.json`` of the home. The API server reads that file while it runs, through
deploy/settings/airflow_local_settings.py. Passwords are only in Airflow's own file, which this module writes
with mode 600.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from project import HOME, LocalError, project_settings

from batch_serving.shared.suggestions import suggest

USERS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"
PASSWORDS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
ALL_ADMINS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"
# Each may also do what those before it may.
ROLES = {
    "viewer": "reads everything but connections and variables",
    "user": "also triggers, pauses and clears",
    "op": "also changes connections, variables and pools",
    "admin": "may do everything",
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")  # a comma or a colon would end it in the setting
LETTERS = "abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ23456789"  # none that looks like another
LOCK_TIMEOUT_S = 30


@dataclass(frozen=True)
class Users:
    """The users of the Airflow in ``home``, which runs with these ``settings``, or will."""

    home: Path
    settings: Mapping[str, str]

    @property
    def passwords_file(self) -> Path:
        """Where Airflow keeps passwords: a JSON object, from name to password."""
        return Path(
            self.settings.get(PASSWORDS) or self.home / "simple_auth_manager_passwords.json.generated"
        )

    @property
    def added_file(self) -> Path:
        """Where the users are that `make user` added: a JSON object, from name to role."""
        return self.home / "users.json"

    def of_setting(self) -> dict[str, str]:
        """Return name and role of the users in the setting."""
        listed = [each.strip().split(":") for each in self.settings.get(USERS, "admin:admin").split(",")]
        return {each[0]: each[1] for each in listed if len(each) > 1}

    def added(self) -> dict[str, str]:
        """Return name and role of the users that were added; of one name, the setting's user counts."""
        return {name: role for name, role in _read(self.added_file).items() if name not in self.of_setting()}

    def add(self, name: str, role: str) -> str:
        """Add a user and return the new password; LocalError if that is not possible."""
        _check_name(name)
        _check_role(role)
        with self._locked():
            self._refuse_if_there(name)
            password = _new_password()
            # First the password: Airflow makes and logs one for a user that has none.
            _write(self.passwords_file, {**_read(self.passwords_file), name: password})
            _write(self.added_file, {**_read(self.added_file), name: role})
        return password

    def _refuse_if_there(self, name: str) -> None:
        if name in self.of_setting():
            raise LocalError(
                f"{name} is there already, as {self.of_setting()[name]}: {USERS} has it; change it there"
            )
        if name in self.added():
            raise LocalError(
                f"{name} is there already, as {self.added()[name]}; for another role or password, first "
                f"remove it: make user NAME={name} DELETE=1"
            )

    def remove(self, name: str) -> None:
        """Remove a user, who is logged out; LocalError if there is no such user."""
        with self._locked():
            if name in self.of_setting():
                raise LocalError(f"{name} was not added by `make user`: {USERS} has it; remove it there")
            added = self.added()
            if name not in added:
                found = suggest(name, list(added))
                hint = f"did you mean {found.name}?" if found else "`make user` lists them"
                raise LocalError(f"there is no user {name}; {hint}")
            _write(self.added_file, {other: role for other, role in added.items() if other != name})
            passwords = _read(self.passwords_file)
            passwords.pop(name, None)
            _write(self.passwords_file, passwords)

    def make_passwords(self) -> None:
        """Make a password for each user without one, before Airflow does and writes it into its output."""
        with self._locked():
            passwords = _read(self.passwords_file)
            new = {name: _new_password() for name in (*self.of_setting(), *self.added())}
            if new.keys() - passwords.keys() or self.passwords_file.parent == self.home:  # there: mode 600
                _write(self.passwords_file, {**new, **passwords})

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        with FileLock(self.home / ".users.lock", timeout=LOCK_TIMEOUT_S):
            yield


def _read(file: Path) -> dict[str, str]:
    try:
        return {str(name): str(value) for name, value in json.loads(file.read_bytes() or b"{}").items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        raise LocalError(
            f"{file} is not a JSON object; correct it, or remove it, and add its users again"
        ) from None


def _write(file: Path, content: dict[str, str]) -> None:
    """Write a file that only this user can read, in one step."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".users", dir=file.parent)  # mode 600
    except OSError as error:
        raise LocalError(f"{file} cannot be written: {error.strerror}; make its folder writable") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(content) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _new_password() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(16))


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise LocalError(
            f"{name!r} cannot be a name; write letters, digits and . _ @ -, at most 64, "
            "the first of them a letter or a digit"
        )


def _check_role(role: str) -> None:
    if role in ROLES:
        return
    known = "; ".join(f"{name} {may}" for name, may in ROLES.items())
    if not role:
        raise LocalError(f"the role is missing; add ROLE=viewer, for example ({known})")
    found = suggest(role, list(ROLES))
    hint = f"did you mean {found.name}? " if found else ""
    raise LocalError(f"there is no role {role!r}; {hint}The roles: {known}")


def _list(users: Users) -> None:
    if users.settings.get(ALL_ADMINS, "").lower() in ("true", "t", "1"):
        print(f"{ALL_ADMINS} is set: everyone is admin, without a login\n")
    shown = [(name, role, f"in {USERS}") for name, role in users.of_setting().items()]
    shown += [(name, role, "added by `make user`") for name, role in users.added().items()]
    width = max((len(name) for name, _, _ in shown), default=0)
    for name, role, place in shown:
        print(f"  {name:{width}}  {role:6}  {place}")
    print("\n  The roles; each may also do what those before it may:")
    for role, may in ROLES.items():
        print(f"  {role:6}  {may}")


def _run(users: Users, given: argparse.Namespace) -> None:
    if not given.name:
        if given.role or given.delete:
            raise LocalError("the name is missing; add NAME=kim, for example")
        _list(users)
    elif given.delete:
        if given.role:
            raise LocalError("ROLE and DELETE do not go together; leave one of them out")
        users.remove(given.name)
        print(f"user: {given.name} is removed, and logged out")
    else:
        password = users.add(given.name, given.role)
        print(f"user: {given.name} can log in, as {given.role}\n\n  user      {given.name}")
        print(f"  password  {password}\n\n  The password is not shown again.")


def main(arguments: Sequence[str]) -> int:
    """List, add or remove users of the Airflow that `make up` starts."""
    parser = argparse.ArgumentParser(prog="deploy/users.py", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--name", default="", help="who")
    parser.add_argument("--role", default="", help=", ".join(ROLES))
    parser.add_argument("--delete", default="", help="anything but 0 removes the user")
    given = parser.parse_args(arguments)
    given.delete = given.delete not in ("", "0")
    try:
        _run(Users(HOME, project_settings(lambda _: None)), given)
    except LocalError as error:
        print(f"user: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
