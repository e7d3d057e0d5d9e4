#!/bin/sh
# Run once by the image of PostgreSQL: Celery's results have a user and a database of their own, so that workers have no
# way to the metadata.
set -eu
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -v password="$(cat /run/secrets/celery_password)" <<'SQL'
CREATE ROLE celery LOGIN PASSWORD :'password';
CREATE DATABASE celery OWNER celery;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
SQL
