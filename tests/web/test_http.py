"""Requests: who gets in, and what the others are told. Every test runs with each adapter."""

import json

import httpx

from asyncauth import AuthManager, Settings, User, admin
from asyncauth.web.http import ASGIApp
from tests.managers import quiet, running
from tests.web.apps import MakeApp
from tests.web.conftest import add_user, bearer, client, deactivate

UNKNOWN = {"detail": "the credentials are missing, invalid or expired"}


def refused(response: httpx.Response, challenge: str, case: str = "") -> None:
    """A 401 as it must be."""
    assert response.status_code == 401, case
    assert response.json() == UNKNOWN, case
    assert response.headers["www-authenticate"] == challenge, case
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert len(response.headers.get_list("content-length")) == 1


async def test_a_token_lets_its_user_in(app: ASGIApp, token: str) -> None:
    """200, whatever the case of the scheme."""
    async with client(app) as http:
        for scheme in ("Bearer", "bearer", "BEARER"):
            response = await http.get("/me", headers={"Authorization": f"{scheme} {token}"})
            assert (response.status_code, response.json()) == (200, {"detail": "ada"})


async def test_a_permission_lets_in_and_its_lack_is_explained(app: ASGIApp, token: str) -> None:
    """200 on one DAG, 403 with the reason on the other."""
    async with client(app) as http:
        assert (await http.get("/dags/etl", headers=bearer(token))).status_code == 200
        response = await http.get("/dags/billing", headers=bearer(token))
    assert response.status_code == 403
    reason = "no role of `ada` has permission `can_read` on `DAG:billing` (looked at: `Viewer`)"
    assert response.json() == {"detail": reason}
    assert response.headers["cache-control"] == "no-store"
    assert "www-authenticate" not in response.headers


async def test_no_credentials(app: ASGIApp) -> None:
    """401 that names the scheme, and no error code (RFC 6750 section 3.1)."""
    async with client(app) as http:
        for path in ("/me", "/dags/etl"):
            refused(await http.get(path), "Bearer")


HOSTILE = {
    "empty header": ([b""], "Bearer"),
    "scheme alone": ([b"Bearer"], "Bearer"),
    "empty token": ([b"Bearer "], "Bearer"),
    "spaces": ([b"Bearer    "], "Bearer"),
    "basic": ([b"Basic YWRhOmFkYQ=="], "Bearer"),
    "no scheme": ([b"%s"], "Bearer"),
    "wrong scheme with our token": ([b"Token %s"], "Bearer"),
    "scheme glued to the token": ([b"Bearer%s"], "Bearer"),
    "tab in place of the space": ([b"Bearer\t%s"], "Bearer"),
    "garbage": ([b"Bearer garbage"], 'Bearer error="invalid_token"'),
    "two tokens": ([b"Bearer %s %s"], 'Bearer error="invalid_token"'),
    "comma": ([b"Bearer %s, Bearer %s"], 'Bearer error="invalid_token"'),
    "two headers": ([b"Bearer %s", b"Bearer %s"], 'Bearer error="invalid_token"'),
    "two headers, one basic": ([b"Basic YWRhOmFkYQ==", b"Bearer %s"], 'Bearer error="invalid_token"'),
    "quoted": ([b'Bearer "%s"'], 'Bearer error="invalid_token"'),
    "not ASCII": ([b"Bearer \xff\xfe%s"], 'Bearer error="invalid_token"'),
    "UTF-8": ([b"Bearer \xc3\xa4.%s"], 'Bearer error="invalid_token"'),
    "NUL": ([b"Bearer %s\0"], 'Bearer error="invalid_token"'),
    "1 MB": ([b"Bearer " + b"a" * 1_000_000], 'Bearer error="invalid_token"'),
    "1 MB of dots": ([b"Bearer " + b"." * 1_000_000], 'Bearer error="invalid_token"'),
    "signature cut": ([b"Bearer %s"], 'Bearer error="invalid_token"'),
}


async def test_hostile_headers(app: ASGIApp, token: str) -> None:
    """Each is one and the same 401: nothing passes, nothing fails with 500, nothing tells what was wrong."""
    async with client(app) as http:
        for case, (values, challenge) in HOSTILE.items():
            sent = token[:-2] if case == "signature cut" else token
            headers = [(b"authorization", value.replace(b"%s", sent.encode())) for value in values]
            refused(await http.get("/me", headers=headers), challenge, case)
            refused(await http.get("/dags/etl", headers=headers), challenge, case)


async def test_every_kind_of_bad_token_looks_the_same(app: ASGIApp, auth: AuthManager, ada: User, token: str) -> None:
    """Revoked, user gone, user inactive: the same bytes as for garbage."""
    idle = await add_user(auth, "idle")
    await deactivate(auth, idle)
    revoked = auth.issue_token(ada.id)
    await auth.revoke_token(revoked)
    async with client(app) as http:
        answers = [
            await http.get("/me", headers=bearer(bad))
            for bad in ("garbage", revoked, auth.issue_token(idle.id), auth.issue_token(4711))
        ]
    for answer in answers:
        refused(answer, 'Bearer error="invalid_token"')
    assert len({answer.content for answer in answers}) == 1


async def test_what_cannot_be_known_is_503(app: ASGIApp, auth: AuthManager, token: str) -> None:
    """Never 401 and never 500: a manager that is closed says when to try again."""
    await auth.close()
    async with client(app) as http:
        response = await http.get("/dags/etl", headers=bearer(token))
    assert response.status_code == 503
    assert response.json() == {"detail": "the answer cannot be known just now; try again"}
    assert response.headers["retry-after"] == "1"
    assert response.headers["cache-control"] == "no-store"
    assert "www-authenticate" not in response.headers


async def test_no_manager_on_this_loop_is_503(make_app: MakeApp, token: str) -> None:
    """`auth=None` looks for the process-wide manager at each request; there is none."""
    async with client(make_app(None, None)) as http:
        assert (await http.get("/me", headers=bearer(token))).status_code == 503


async def test_changes_count_from_the_next_request_on(app: ASGIApp, auth: AuthManager, token: str) -> None:
    """Granted, taken, revoked."""
    async with client(app) as http:

        async def status() -> int:
            return (await http.get("/dags/billing", headers=bearer(token))).status_code

        assert await status() == 403
        await admin.grant_permission(auth, role="Viewer", action="can_read", resource="DAG:billing")
        assert await status() == 200
        await admin.take_permission(auth, role="Viewer", action="can_read", resource="DAG:billing")
        assert await status() == 403
        await auth.revoke_token(token)
        assert await status() == 401


TRICKY = ("etl.__class__", "{dag_id}", "%7Bdag_id.__class__%7D", "etl%00", "ETL", "etl%20", "%C3%A9tl", "*", "%25")


async def test_a_path_parameter_is_only_text(app: ASGIApp, token: str) -> None:
    """Whatever it holds, it names a resource that Ada may not read; the reason is valid JSON."""
    async with client(app) as http:
        for dag_id in TRICKY:
            response = await http.get(f"/dags/{dag_id}", headers=bearer(token))
            assert response.status_code == 403, dag_id
            assert "no role of `ada`" in json.loads(response.content)["detail"], dag_id


async def test_cookies_are_off_by_default(app: ASGIApp, token: str) -> None:
    """A cookie is not even looked at."""
    async with client(app) as http:
        refused(await http.get("/me", headers={"Cookie": f"__Host-asyncauth={token}"}), "Bearer")


async def test_health(app: ASGIApp, auth: AuthManager) -> None:
    """Without credentials. `/live` is always 200; `/ready` says why it is not."""
    async with client(app) as http:
        assert (await http.get("/live")).status_code == 200
        assert (await http.get("/ready")).status_code == 200
        await auth.close()
        assert (await http.get("/live")).status_code == 200
        response = await http.get("/ready")
    assert response.status_code == 503
    assert response.json() == {"detail": "not started"}
    assert response.headers["retry-after"] == "1"


async def test_health_says_what_works_with_weaker_bounds(app: ASGIApp, auth: AuthManager) -> None:
    """Without triggers requests are answered: a load balancer goes on, an operator reads why the bounds are wider."""
    async with client(app) as http:
        await auth.write(lambda connection: connection.exec_driver_sql("DROP TRIGGER asyncauth_ab_role_update"))
        await running(auth).upkeep.check_triggers()
        response = await http.get("/ready")
    assert (response.status_code, response.json()) == (200, {"detail": "degraded: no triggers"})


CONSISTENCY = "X-Consistency-Token"


async def test_a_consistency_token_is_caught_up_with(
    make_app: MakeApp, settings: Settings, auth: AuthManager, token: str
) -> None:
    """A worker that does not look by itself answers from before the change, and from after it when shown its token:
    a grant, and the revocation of the very token that asks."""
    async with AuthManager(quiet(settings)) as here, client(make_app(here, None)) as http:
        headers = bearer(token)
        assert (await http.get("/dags/billing", headers=headers)).status_code == 403
        written = await admin.grant_permission(auth, role="Viewer", action="can_read", resource="DAG:billing")
        assert (await http.get("/dags/billing", headers=headers)).status_code == 403
        answer = await http.get("/dags/billing", headers={**headers, CONSISTENCY: written.token})
        assert answer.status_code == 200
        receipt = await auth.revoke_token(token)
        assert (await http.get("/me", headers=headers)).status_code == 200
        refused(await http.get("/me", headers={**headers, CONSISTENCY: str(receipt)}), 'Bearer error="invalid_token"')


async def test_a_consistency_token_that_is_not_ours(app: ASGIApp, auth: AuthManager, token: str) -> None:
    """400, and only for somebody who is known: to anybody else it is as if there were none."""
    ours = (await admin.create_role(auth, "Editor")).token
    async with client(app) as http:
        for values in ([b""], [b"garbage"], [b"\xff"], [ours.encode() + b"A"], [ours.encode()] * 2, [b"A" * 10_000]):
            headers = [(CONSISTENCY.encode(), value) for value in values]
            answer = await http.get("/me", headers=[*headers, (b"Authorization", f"Bearer {token}".encode())])
            assert (answer.status_code, "www-authenticate" in answer.headers) == (400, False), values
            assert answer.json() == {"detail": "not a consistency token of this server"}
            refused(await http.get("/me", headers=headers), "Bearer")
            bad = (b"Authorization", b"Bearer garbage")
            refused(await http.get("/me", headers=[*headers, bad]), 'Bearer error="invalid_token"')
        answer = await http.get("/me", headers={**bearer(token), CONSISTENCY: ours})
        assert answer.status_code == 200
