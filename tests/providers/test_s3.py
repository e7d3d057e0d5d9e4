"""Files in a real S3 server: the sensor sees them, and an operator copies them."""

from __future__ import annotations

import json
from collections.abc import Callable

import boto3
import pytest
from dag_runs import DAY, Project

pytestmark = [pytest.mark.slow, pytest.mark.extra("s3")]


def test_an_export_is_seen_and_copied(
    s3_settings: dict[str, str], project: Project, example: Callable[[str], str]
) -> None:
    endpoint = s3_settings["AWS_ENDPOINT_URL"]
    sign_in = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **sign_in)
    client.create_bucket(Bucket="exports")
    client.put_object(Bucket="exports", Key=f"{DAY}/rows.csv", Body=b"a\n1\n")
    project.add("import_export.yaml", example("import_export"))
    extra = {"region_name": "us-east-1", "endpoint_url": endpoint}
    store = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    states = project.run("import_export", object_store=json.dumps(store))["import_export"]
    assert states == {"wait_for_export": "success", "keep_export": "success"}, project.output[-6000:]
    copied = client.get_object(Bucket="exports", Key=f"kept/{DAY}.csv")["Body"].read()
    assert copied == b"a\n1\n"
