"""Settings: each is checked, and nothing is bound beyond this machine without a token."""

from __future__ import annotations

import pytest

from batch_serving.api.settings import check_reach, read_settings
from batch_serving.shared.errors import InvalidValueError


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("PORT", "80a", "whole number from 0 to 65535"),
        ("PORT", "70000", "whole number from 0 to 65535"),
        ("POLL_SECONDS", "0", "seconds, from 0.1"),
        ("POLL_SECONDS", "nan", "seconds, from 0.1"),
        ("MAX_ROWS", "0", "whole number from 1"),
        ("TOKEN", "a b", "openssl rand"),
        ("TOKN", "x", "did you mean 'BATCH_SERVE_TOKEN'"),
        ("COLLECTIONS", "vae", "name=value"),
        ("COLLECTIONS", "vae=sqlite:///x", "add vae="),
        ("LOADERS", "vae=callables.x.y", "add vae="),
        ("TABLES", "vae=models", "add vae=… to BATCH_SERVE_COLLECTIONS"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, hint: str) -> None:
    with pytest.raises(InvalidValueError, match=hint):
        read_settings({f"BATCH_SERVE_{name}": value})


def test_each_collection_has_its_table() -> None:
    settings = {
        "BATCH_SERVE_COLLECTIONS": "vae=store other=store",
        "BATCH_SERVE_LOADERS": "vae=callables.x.y other=callables.x.y",
    }
    found = read_settings({**settings, "BATCH_SERVE_TABLES": "vae=public.models"}).collections
    assert (found["vae"].table, found["other"].table) == ("public.models", "model_collection")
    for name in ("a;DROP", "a.b.c", "1a", "모델"):
        with pytest.raises(InvalidValueError, match="is not a table's name"):
            read_settings({**settings, "BATCH_SERVE_TABLES": f"vae={name}"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert check_reach(read_settings({"BATCH_SERVE_HOST": host})) in (host, "127.0.0.1", "::1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "0", "169.254.1.1"])
def test_beyond_this_machine_a_token_is_needed(host: str) -> None:
    with pytest.raises(InvalidValueError, match=r"there is no BATCH_SERVE_TOKEN; set BATCH_SERVE_TOKEN"):
        check_reach(read_settings({"BATCH_SERVE_HOST": host}))
    assert check_reach(read_settings({"BATCH_SERVE_HOST": host, "BATCH_SERVE_TOKEN": "t"}))


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(InvalidValueError, match="BATCH_SERVE_HOST 'not a host' is not an address"):
        check_reach(read_settings({"BATCH_SERVE_HOST": "not a host"}))


def test_secrets_are_not_in_the_text_of_the_settings() -> None:
    found = read_settings(
        {
            "BATCH_SERVE_TOKEN": "secret-token",
            "BATCH_SERVE_COLLECTIONS": "vae=mysql+pymysql://u:secret-password@h/d",
            "BATCH_SERVE_LOADERS": "vae=callables.x.y",
        }
    )
    assert "secret" not in repr(found) + str(found)
    assert found.collections["vae"].database.startswith("mysql+pymysql://")
