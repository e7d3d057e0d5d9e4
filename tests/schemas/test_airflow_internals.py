"""What the loader uses of Airflow's inside is still as the loader expects it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import structlog
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import _serialize_dags

from schemas.airflow_internals import ConfigError

ROOT = Path(__file__).resolve().parent.parent.parent
GOOD = (ROOT / "tests/configs/valid/mapping.yaml").read_text(encoding="utf-8")


def local_settings_mark() -> str:
    file = ROOT / "deploy" / "settings" / "airflow_local_settings.py"
    spec = importlib.util.spec_from_file_location("settings_under_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.MARK)


def test_a_broken_file_is_an_error_of_its_own_and_stops_no_other(tmp_path: Path) -> None:
    """As the DAG processor does it: collect the DAGs of the loader, then turn each into its stored form."""
    configs = tmp_path / "dag_configs"
    configs.mkdir()
    (configs / "good.yaml").write_text(GOOD.replace("example", "good"), encoding="utf-8")
    (configs / "bad.yaml").write_text(GOOD.replace("tasks:", "task:"), encoding="utf-8")
    (tmp_path / "dags").mkdir()
    loader = (ROOT / "dags" / "load_all.py").read_text(encoding="utf-8")
    (tmp_path / "dags" / "load_all.py").write_text(loader, encoding="utf-8")
    bag = DagBag(dag_folder=tmp_path / "dags", bundle_path=tmp_path / "dags", bundle_name="test")
    stored, errors = _serialize_dags(bag, structlog.get_logger())
    assert [dag.dag_id for dag in stored] == ["good"]
    assert bag.import_errors == {}
    assert list(errors) == ["dag_configs/bad.yaml"]
    shown = errors["dag_configs/bad.yaml"].rpartition(local_settings_mark())[2]
    assert shown.startswith("dag_configs/bad.yaml:")
    assert "DAG002 error" in shown
    assert "Traceback" not in shown


def test_the_settings_name_the_error_where_it_is() -> None:
    assert local_settings_mark() == f"{ConfigError.__module__}.{ConfigError.__qualname__}: \n"
