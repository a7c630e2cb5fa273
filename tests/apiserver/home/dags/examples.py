"""DAGs of the tests, some with odd names. `access_control` gives one role one of them."""

from urllib.parse import quote

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, Param

PLAIN = ("example_complex", "DAGs", "größe.1-2", "example_complex_2", "victim_fab", "victim_ours")

for name in PLAIN:
    with DAG(name, schedule=None, tags=["tests"], params={"size": Param(3)}) as dag:
        EmptyOperator(task_id="first") >> EmptyOperator(task_id="second", outlets=[Asset(f"tests://{quote(name)}")])
    globals()[name] = dag

with DAG("readable", schedule=None, access_control={"DAG readers": {"can_read", "can_edit"}}) as readable:
    EmptyOperator(task_id="first")
