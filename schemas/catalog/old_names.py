"""Names of Airflow 2 and of other tools for what Airflow 3 and dag-factory call otherwise.

Source: Airflow's release notes for 3.0 (removed and renamed), and dag-factory's for 1.0.
"""

from __future__ import annotations

# Keys whose value stays what it is.
KEY_NAMES = {
    "concurrency": "max_active_tasks",
    "depends_on": "dependencies",
    "execution_date": "logical_date",  # of TriggerDagRunOperator
    "fail_stop": "fail_fast",
    "is_paused": "is_paused_upon_creation",
    "retry_delay_sec": "retry_delay",
    "schedule_interval": "schedule",
    "task_concurrency": "max_active_tis_per_dag",
    "upstream": "dependencies",
    "upstream_tasks": "dependencies",
    "use_task_execution_day": "use_task_logical_date",  # of BranchDayOfWeekOperator
}
NO_SETUP = (
    "dag-factory has no key for it: write trigger_rule: all_done in the task that cleans up, or an operator "
    "that is a teardown task, as in examples/building_blocks/operators.py"
)
# Keys for which something else is to be done.
KEY_ADVICE = {
    "assets": "list the assets' URIs, as in schedule: ['s3://bucket/key']",
    "auto_register": "remove it: every DAG of a file is registered",
    "dag_concurrency": "write max_active_tasks",
    "dag_default_view": "remove it: Airflow 3 has no default_view",
    "dagrun_timeout_sec": "write dagrun_timeout: {__type__: datetime.timedelta, seconds: 600}",
    "datasets": "list the assets' URIs, as in schedule: ['s3://bucket/key']",
    "expand_kwargs": "write expand, with a list of values for each argument: expand: {op_kwargs: [{…}, {…}]}",
    "extends": "put what files share into a defaults.yml in their folder, or in one above it",
    "default_view": "remove it: Airflow 3 has no default_view",
    "execution_timeout_secs": "write execution_timeout: {__type__: datetime.timedelta, seconds: 600}",
    "full_filepath": "remove it: Airflow knows the file",
    "max_active_tasks_per_dag": "write max_active_tasks",
    "name": "write task_id, or group_name",
    "as_setup": NO_SETUP,
    "as_teardown": NO_SETUP,
    "is_setup": NO_SETUP,
    "is_teardown": NO_SETUP,
    "on_failure_fail_dagrun": NO_SETUP,
    "setup": NO_SETUP,
    "setups": NO_SETUP,
    "teardown": NO_SETUP,
    "teardowns": NO_SETUP,
    "sla": "write deadline, on the DAG: Airflow 3 has it in place of sla",
    "sla_miss_callback": "write deadline: Airflow 3 has it in place of sla_miss_callback",
    "orientation": "remove it: Airflow 3 has no orientation",
    "provide_context": "remove it: Airflow gives a function the context that its arguments name",
    "timetable": "write schedule: {__type__: the timetable's class}",
    "variables_as_arguments": "write a template: {{ var.value.NAME }}",
}
# Values of enumerations: trigger rules.
VALUE_NAMES = {
    "dummy": "always",
    "none_failed_or_skipped": "none_failed_min_one_success",
}
# Classes by name alone, with the same arguments; the catalog knows their paths.
CLASS_NAMES = {
    "DummyOperator": "EmptyOperator",
    "MySqlSensor": "SqlSensor",
    "SimpleHttpOperator": "HttpOperator",
}
# Arguments of classes that are gone, by what takes their place in the class that does their work.
CONNECTION_NAMES = frozenset({"mysql_conn_id", "postgres_conn_id", "sqlite_conn_id", "mssql_conn_id"})
# Classes that another one does the work of, with other arguments.
CLASS_ADVICE = dict.fromkeys(
    (
        *("JdbcOperator", "MsSqlOperator", "MySqlOperator", "OracleOperator", "PostgresOperator"),
        *("RedshiftSQLOperator", "SnowflakeOperator", "SqliteOperator", "TrinoOperator", "VerticaOperator"),
    ),
    "SQLExecuteQueryOperator",
)
# Classes that Airflow 3 no longer has, and what does their work.
CLASSES_GONE = {
    "BaseOperator": "name an operator that does something, or write one in callables",
    "SlackWebhookHook": "name an operator or a callback: a hook is used by a function in callables",
    "SubDagOperator": "Airflow 3 has no sub-DAGs: write task_groups",
}
PATHS = {
    "airflow.Dataset": "airflow.sdk.Asset",
    "airflow.datasets.Dataset": "airflow.sdk.Asset",
    "airflow.decorators.task": "airflow.sdk.task",
    "airflow.models.param.Param": "airflow.sdk.Param",
}
# Variables of a template: the old name and the expression that says the same.
TEMPLATE_NAMES = {
    "execution_date": "logical_date",
    "next_ds": "(data_interval_end | ds)",
    "next_execution_date": "data_interval_end",
    "tomorrow_ds": "macros.ds_add(ds, 1)",
    "tomorrow_ds_nodash": "(macros.ds_add(ds, 1) | replace('-', ''))",
    "try_number": "ti.try_number",
    "yesterday_ds": "macros.ds_add(ds, -1)",
    "yesterday_ds_nodash": "(macros.ds_add(ds, -1) | replace('-', ''))",
}
TEMPLATE_ADVICE = {
    "conf": "write dag_run.conf, or var.value.NAME",
    "exception": "only the callbacks of a failed or retried task have it",
    "expanded_ti_count": "remove it: Airflow 3 gives it to no template",
    "next_ds_nodash": "write (data_interval_end | ds_nodash)",
    "prev_ds": "write macros.ds_add(ds, -1) for the day before",
    "prev_ds_nodash": "write (macros.ds_add(ds, -1) | replace('-', '')) for the day before",
    "reason": "only the callbacks of a DAG have it",
    "templates_dict": "only the function has it, as an argument: write the template in templates_dict itself",
    "test_mode": "remove it: Airflow 3 gives it to no template",
    "prev_execution_date": "write prev_data_interval_start_success, which is the last successful run's",
}
# What a template took from an object of Airflow 2, and the expression that says the same in Airflow 3.
OBJECTS = {"task_instance": "ti"}
MEMBER_NAMES = {
    ("dag", "concurrency"): "dag.max_active_tasks",
    ("dag", "schedule_interval"): "dag.schedule",
    ("dag_run", "execution_date"): "dag_run.logical_date",
    ("dag_run", "external_trigger"): "(dag_run.run_type == 'manual')",
    ("ti", "data_interval_end"): "data_interval_end",
    ("ti", "data_interval_start"): "data_interval_start",
    ("ti", "execution_date"): "logical_date",
    ("ti", "logical_date"): "logical_date",
    ("ti", "next_try_number"): "(ti.try_number + 1)",
    ("ti", "operator"): "task.task_type",
    ("ti", "pool"): "task.pool",
    ("ti", "prev_attempted_tries"): "(ti.try_number - 1)",
    ("ti", "priority_weight"): "task.priority_weight",
}
