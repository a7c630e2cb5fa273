"""`airflow asyncauth sync-perm` and `permissions-cleanup`, FAB's words where its provider is absent."""

from argparse import Namespace

import anyio

from asyncauth.airflow.cleanup import delete_orphans, find_orphans
from asyncauth.airflow.command_line import command
from asyncauth.airflow.dag_permissions import sync
from asyncauth.airflow.db_manager import connected, drop_own
from asyncauth.airflow.settings import make_airflow_engine, read_settings
from asyncauth.db.seed import Seeded, seed


@command
def sync_permissions(args: Namespace) -> None:
    """Make what is missing of the default roles and `[fab] custom_roles`, and optionally what Dags ask for."""
    print("Updating actions and resources for all existing roles")
    done = anyio.run(_seed)
    print(f"{done.roles} roles, {done.permissions} permissions and {done.grants} grants added")
    if not args.include_dags:
        return
    print("Updating permission on all DAG views")
    report = sync()
    for problem in report.problems.values():
        print(f"Skipped: {problem}")
    print(
        f"{report.dags} Dags: {report.stored} permissions stored, {report.granted} granted, {report.taken} taken away"
    )


@command
def clean_up(args: Namespace) -> None:
    """Delete permissions of Dags that are gone."""
    with connected() as connection:
        orphans = set(find_orphans(connection))
        if args.dag_id:
            if args.dag_id not in orphans:
                print(f"DAG '{args.dag_id}' not found in orphaned permissions or still exists in database.")
                return
            orphans = {args.dag_id}
        if not orphans:
            print("No orphaned DAG permissions found.")
            return
        print(f"Found orphaned permissions for {len(orphans)} deleted DAG(s):")
        print("\n".join(f"  - {dag_id}" for dag_id in sorted(orphans)))
        if args.dry_run:
            print(f"\nDry run mode: No changes will be made.\nWould clean up permissions for {len(orphans)} DAG(s).")
            return
        if not args.yes and not _confirmed(f"clean up permissions for {len(orphans)} DAG(s)"):
            print("Cleanup cancelled.")
            return
        print(f"\nSuccessfully cleaned up permissions for {delete_orphans(connection, orphans)} DAG(s).")


@command
def drop_tables(args: Namespace) -> None:
    """Take our tables and triggers away. Never the `ab_*` tables: they hold the users."""
    if not args.yes and not _confirmed("drop the tables of asyncauth, with cut-offs, API keys and the audit"):
        print("Nothing was dropped.")
        return
    with connected() as connection:
        drop_own(connection)
        connection.commit()
    print("The tables and triggers of asyncauth are gone; users, roles and permissions stay.")


async def _seed() -> Seeded:
    settings = read_settings()
    engine = make_airflow_engine(settings)
    try:
        return await seed(engine, settings.custom_roles)
    finally:
        await engine.dispose()


def _confirmed(what: str) -> bool:
    return input(f"\nDo you want to {what}? [y/N]: ").strip().lower() in {"y", "yes"}
