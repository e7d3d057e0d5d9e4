"""What several rooms need: files, CSV rows, settings, run context, argument checks, Airflow connections."""
