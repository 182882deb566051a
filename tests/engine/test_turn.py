from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from stream_avs.engine.turn import Held, Phase, Turn

MOVES = st.lists(st.sampled_from(["rest", "begin", "finish"]), max_size=12)


def move(turn: Turn, name: str) -> bool:
    return turn.begin(7) if name == "begin" else getattr(turn, name)()


@given(before=MOVES, after=MOVES)
def test_after_it_is_revoked_nothing_goes_on(before: list[str], after: list[str]) -> None:
    turn = Turn()
    assert all(move(turn, name) for name in before)
    assert turn.moves == len(before)
    phases = {"rest": Phase.RESTING, "begin": Phase.STEPPING, "finish": Phase.HANDING_ON}
    held = turn.revoke()
    assert held.phase is (phases[before[-1]] if before else Phase.RESTING)
    assert not any(move(turn, name) for name in after)
    assert turn.moves == len(before)
    assert turn.revoke().phase is Phase.REVOKED


def test_it_says_which_frame_was_in_hand() -> None:
    turn = Turn()
    turn.begin(40)
    turn.finish()
    turn.rest()
    turn.begin(80)
    assert turn.revoke() == Held(phase=Phase.STEPPING, stamp_ns=80)


def test_one_of_finish_and_revoke_accounts_for_the_frame() -> None:
    """However the two meet: either the worker hands the result on, or the frame is said to be lost."""
    for _ in range(300):
        turn = Turn()
        turn.begin(1)
        finished: list[bool] = []
        worker = threading.Thread(target=lambda t=turn, f=finished: f.append(t.finish()))
        worker.start()
        lost = turn.revoke().phase is Phase.STEPPING
        worker.join()
        assert finished == [not lost]
