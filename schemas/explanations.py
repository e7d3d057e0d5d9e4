"""What each code means, with a bad and a good example; ``python -m schemas explain DAG103`` prints it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.diagnostics import CODES


@dataclass(frozen=True)
class Explanation:
    """Why a code matters, and YAML without and with the mistake."""

    why: str
    bad: str
    good: str


EXPLANATIONS = {
    "DAG001": Explanation(
        "Nothing in the file can be read until the text is YAML.", "tags: [model", "tags: [model]"
    ),
    "DAG002": Explanation(
        "dag-factory drops an unknown key of a DAG without a word: the run goes on with the default.",
        "schedul: '@daily'",
        "schedule: '@daily'",
    ),
    "DAG003": Explanation(
        "Airflow would fail late, or take the value for something else: the text 'false' is true.",
        "catchup: 'false'",
        "catchup: false",
    ),
    "DAG004": Explanation(
        "YAML takes the last of two equal keys and forgets the first.",
        "retries: 1\nretries: 3",
        "retries: 3",
    ),
    "DAG005": Explanation(
        "A file must be UTF-8, of a sane size, and a mapping of dag_id to DAG.", "- my_dag", "my_dag:"
    ),
    "DAG006": Explanation(
        "Such a tag imports or runs Python when the file is read.",
        "python_callable: !!python/name:os.system",
        "python_callable: callables.training.check_dataset",
    ),
    "DAG101": Explanation(
        "The path names nothing: with stock dag-factory the DAG would just be gone.",
        "python_callable: callables.training.check_datset",
        "python_callable: callables.training.check_dataset",
    ),
    "DAG102": Explanation(
        "The function would fail when the task runs, or never see the value.",
        "op_kwargs: {datset: data/digits.csv}",
        "op_kwargs: {dataset: data/digits.csv}",
    ),
    "DAG103": Explanation(
        "Airflow would blame the loader, and every DAG with it.",
        "schedule: '0 25 * * *'",
        "schedule: '0 5 * * *'",
    ),
    "DAG104": Explanation(
        "There is nothing of this name to wait for.", "dependencies: [frist]", "dependencies: [first]"
    ),
    "DAG105": Explanation(
        "No task of a cycle can ever start.",
        "a: {dependencies: [b]}\nb: {dependencies: [a]}",
        "a: {}\nb: {dependencies: [a]}",
    ),
    "DAG106": Explanation(
        "A branch can only choose between tasks that depend on it; another name fails when the task runs.",
        "op_kwargs: {better_task: promot}",
        "op_kwargs: {better_task: promote}",
    ),
    "DAG107": Explanation(
        "Airflow would take the one that it reads last, and which that is nobody knows.",
        "predict:  # in two files",
        "predict_hourly:  # a name of its own",
    ),
    "DAG108": Explanation(
        "Airflow's own objection, got by building the DAG as it would.", "pool_slots: 0", "pool_slots: 1"
    ),
    "DAG109": Explanation(
        "The DAG would run at other times than it seems, or never.",
        "timezone: Asia/Soul",
        "timezone: Asia/Seoul",
    ),
    "DAG110": Explanation("The task would fail when it renders its arguments.", "'{{ ds }'", "'{{ ds }}'"),
    "DAG111": Explanation(
        "The value would be None: nothing of that name has run before this task.",
        "bash_command: echo {{ ti.xcom_pull(task_ids='frist') }}",
        "bash_command: echo {{ ti.xcom_pull(task_ids='first') }}",
    ),
    "DAG112": Explanation(
        "A skipped task skips those after it: the join never runs, and the run is green.",
        "join: {dependencies: [left, right]}",
        "join: {dependencies: [left, right], trigger_rule: none_failed_min_one_success}",
    ),
    "DAG113": Explanation(
        "A date relative to today changes the DAG every day.", "start_date: 2 days", "start_date: 2026-01-01"
    ),
    "DAG114": Explanation(
        "Airflow takes letters, digits, '_', '-' and '.'; YAML reads yes, off and numbers as no text.",
        "yes: {tasks: …}",
        "'yes': {tasks: …}",
    ),
    "DAG115": Explanation(
        "Airflow 3 fails a task whose template uses a name that does not exist, when the task runs.",
        "bash_command: echo {{ execution_date }}",
        "bash_command: echo {{ logical_date }}",
    ),
    "DAG116": Explanation(
        "The task would fail with this when it runs: the function has a check of its own. What depends on a "
        "data file, which may be another by then, is a warning.",
        "op_kwargs: {estimator: sklearn.linear_model.LogisticRegresion}",
        "op_kwargs: {estimator: sklearn.linear_model.LogisticRegression}",
    ),
    "DAG201": Explanation(
        "Who edits YAML may run what engineers put into callables/, and nothing else of the machine.",
        "python_callable: os.system",
        "python_callable: callables.training.check_dataset",
    ),
    "DAG202": Explanation(
        "A module with a leading underscore is for other modules; its functions may change at any time.",
        "python_callable: callables._files.safe_name",
        "python_callable: callables.training.check_dataset",
    ),
    "DAG203": Explanation(
        "The text is in git, in Airflow's database and in its UI.",
        "password: hunter2hunter2",
        "connection: my_connection",
    ),
    "DAG204": Explanation(
        "Stock dag-factory puts the value in, secrets too, and shows it in the DAG's doc; here text is text.",
        "dataset: $DATA/digits.csv",
        "dataset: '{{ var.value.data }}/digits.csv'",
    ),
    "DAG301": Explanation(
        "`check --information` says when a DAG runs next, in its own time zone.",
        "schedule: '0 0 6 * *'",
        "schedule: '0 6 * * *'",
    ),
    "DAG302": Explanation(
        "A task whose pool does not exist never starts. `check --information` lists the pools.",
        "pool: gpus  # nobody made it",
        "pool: gpus  # airflow pools set gpus 2 'one slot a card'",
    ),
    "DAG303": Explanation(
        "A task whose connection does not exist fails. `check --information` lists the connections.",
        "connection: kma_api  # nobody made it",
        "connection: kma_api  # AIRFLOW_CONN_KMA_API, or a secrets backend",
    ),
}


def explain(code: str) -> str:
    """Return the text for one code; KeyError if there is no such code."""
    found = EXPLANATIONS[code]
    indented = {
        name: "\n".join(f"    {line}" for line in text.splitlines()) for name, text in vars(found).items()
    }
    return f"{code}: {CODES[code]}\n\n{found.why}\n\nbad:\n{indented['bad']}\n\ngood:\n{indented['good']}"


def codes_page() -> str:
    """Return ``schemas/README.md``: every code in a table."""
    lines = [
        "# Diagnostics",
        "",
        "Made by `python -m schemas schema` from the code. `python -m schemas explain CODE` has examples.",
        "",
        "| code | what | why it matters |",
        "|---|---|---|",
        *(f"| {code} | {CODES[code]} | {EXPLANATIONS[code].why} |" for code in CODES),
    ]
    return "\n".join(lines) + "\n"
