"""Who is added and removed by ``make user``, without an Airflow; test_make.py lets them log in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import users
from project import LocalError
from users import USERS, Users

ROOT = Path(__file__).resolve().parent.parent.parent


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_a_password_is_in_airflows_file_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    password = Users(home, {}).add("kim", "viewer")
    holding = [path for path in home.rglob("*") if path.is_file() and password in path.read_text()]
    assert [path.name for path in holding] == ["simple_auth_manager_passwords.json.generated"]
    assert mode(holding[0]) == "0o600"
    assert mode(home) == "0o700"
    assert json.loads(holding[0].read_text()) == {"kim": password}
    assert Users(home, {}).added() == {"kim": "viewer"}


def test_each_user_gets_another_password_and_all_are_kept(tmp_path: Path) -> None:
    there = Users(tmp_path, {})
    made = {name: there.add(name, "op") for name in ("kim", "lee", "park")}
    there.make_passwords()
    kept = json.loads(there.passwords_file.read_text())
    assert len(set(kept.values())) == 4
    assert kept == {**made, "admin": kept["admin"]}


def test_who_is_removed_is_gone_from_both_files(tmp_path: Path) -> None:
    there = Users(tmp_path, {})
    there.add("kim", "viewer")
    there.add("lee", "op")
    there.remove("kim")
    assert there.added() == {"lee": "op"}
    assert list(json.loads(there.passwords_file.read_text())) == ["lee"]
    there.add("kim", "op")
    assert there.added() == {"lee": "op", "kim": "op"}


@pytest.mark.parametrize(
    ("name", "role", "message"),
    [
        ("ki,m", "viewer", r"'ki,m' cannot be a name; write letters, digits and"),
        ("kim:admin", "viewer", r"'kim:admin' cannot be a name"),
        ("", "viewer", r"'' cannot be a name"),
        ("kim\n", "viewer", r"'kim\\n' cannot be a name"),
        ("k" * 65, "viewer", r"cannot be a name; .* at most 64"),
        ("kim", "viwer", r"there is no role 'viwer'; did you mean viewer\? The roles: viewer reads"),
        ("kim", "boss", r"there is no role 'boss'; The roles: "),
        ("kim", "Admin", r"there is no role 'Admin'; did you mean admin\?"),
        ("kim", "", r"the role is missing; add ROLE=viewer"),
        ("admin", "viewer", rf"admin is there already, as admin: {USERS} has it; change it there"),
        ("lee", "op", r"lee is there already, as user; .*: make user NAME=lee DELETE=1"),
        ("lee", "user", r"lee is there already, as user; "),
    ],
)
def test_who_cannot_be_added(tmp_path: Path, name: str, role: str, message: str) -> None:
    there = Users(tmp_path, {})
    there.add("lee", "user")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(LocalError, match=message):
        there.add(name, role)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("admin", rf"admin was not added by `make user`: {USERS} has it; remove it there"),
        ("le", r"there is no user le; did you mean lee\?"),
        ("park", r"there is no user park; `make user` lists them"),
    ],
)
def test_who_cannot_be_removed(tmp_path: Path, name: str, message: str) -> None:
    there = Users(tmp_path, {})
    there.add("lee", "user")
    with pytest.raises(LocalError, match=message):
        there.remove(name)
    assert there.added() == {"lee": "user"}


def test_users_of_an_env_file_count_and_are_changed_there(tmp_path: Path) -> None:
    there = Users(tmp_path, {USERS: "admin:admin, kim:op"})
    assert there.of_setting() == {"admin": "admin", "kim": "op"}
    with pytest.raises(LocalError, match=f"kim is there already, as op: {USERS} has it"):
        there.add("kim", "viewer")
    there.add("lee", "viewer")
    assert there.added() == {"lee": "viewer"}
    # Added first, and in the setting later: the setting counts.
    assert Users(tmp_path, {USERS: "admin:admin,lee:admin"}).added() == {}


def test_a_corrupt_file_is_named_and_stays(tmp_path: Path) -> None:
    there = Users(tmp_path, {})
    there.passwords_file.write_text("{")
    with pytest.raises(LocalError, match=r"passwords.json.generated is not a JSON object; correct it"):
        there.add("kim", "viewer")
    assert there.passwords_file.read_text() == "{"


def test_two_at_the_same_time_lose_no_user(tmp_path: Path) -> None:
    code = "import sys, pathlib; from users import Users; "
    code += "[Users(pathlib.Path(sys.argv[1]), {}).add(f'{sys.argv[2]}{n}', 'user') for n in range(20)]"
    command = [sys.executable, "-c", code, str(tmp_path)]
    both = [
        subprocess.Popen([*command, name], cwd=ROOT, env={"PYTHONPATH": "deploy:."})
        for name in ("kim", "lee")
    ]
    assert [process.wait() for process in both] == [0, 0]
    there = Users(tmp_path, {})
    assert len(there.added()) == len(json.loads(there.passwords_file.read_text())) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--role=op"], "user: the name is missing; add NAME=kim, for example\n"),
        (["--delete=1"], "user: the name is missing; add NAME=kim, for example\n"),
        (
            ["--name=kim", "--role=op", "--delete=1"],
            "user: ROLE and DELETE do not go together; leave one of them out\n",
        ),
    ],
)
def test_options_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert users.main(arguments) == 1
    assert capsys.readouterr().err == message
