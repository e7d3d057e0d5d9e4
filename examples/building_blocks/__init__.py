"""One small DAG for each building block of Airflow."""
