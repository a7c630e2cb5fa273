"""Long work in short pieces."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncauth.db.pieces import PIECE_CHARACTERS, Breather, pieces


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.integers(0, 10**6).map(str), max_size=50), st.integers(1, 40))
def test_the_pieces_are_the_list(entries: list[str], size: int) -> None:
    """Cut up, the pieces are the entries of the list, and each is short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncauth.db.pieces.PIECE_CHARACTERS", size)
        cut = list(pieces("".join(f"{entry};" for entry in entries), ";"))
    assert [entry for piece in cut for entry in piece.split(";")] == entries
    assert all(len(piece) <= size + 7 for piece in cut)


def test_a_long_list_is_cut() -> None:
    """The pieces of 50,000 entries are of about the same length, and many."""
    entries = [str(number) for number in range(50_000)]
    cut = list(pieces("".join(f"{entry};" for entry in entries), ";"))
    assert [entry for piece in cut for entry in piece.split(";")] == entries
    assert len(cut) > 10
    assert max(map(len, cut)) < PIECE_CHARACTERS + 10


async def test_others_run_in_the_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause lets others run if the work has taken long, and costs nothing if it has not."""
    now = 0.0
    monkeypatch.setattr("asyncauth.db.pieces.time.perf_counter", lambda: now)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await asyncio.sleep(0)
    breather, before = Breather(), turns
    for _ in range(10):
        await breather.pause()
    assert turns == before
    for _ in range(5):
        now += 1
        await breather.pause()
    assert turns == before + 5
    running.cancel()
    await asyncio.wait([running])
