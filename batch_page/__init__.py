"""The Batch Serving page in Airflow's UI (docs/page.md).

``views/`` has one module per view: its queries, its routes and its tiles, with a template of the same name.
"""
