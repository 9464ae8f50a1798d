"""Stop strings cut the text exactly, however it comes in pieces."""

from hypothesis import given
from hypothesis import strategies as st

from paraph.adapters.engines.stops import Stops

LETTERS = st.text("ab", max_size=12)


@given(st.lists(LETTERS, max_size=8), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_shown_text_is_the_text_up_to_the_first_stop(pieces: list[str], stops: list[str]) -> None:
    """The same as looking for the stop strings in the pieces as they grow."""
    finder = Stops(tuple(stops))
    shown = ""
    read = ""
    for piece in pieces:
        if finder.found:
            break
        read += piece
        shown += finder.feed(piece)

    places = [read.find(stop) for stop in stops if stop in read]
    assert finder.found == bool(places)
    assert shown + finder.rest() == (read[: min(places)] if places else read)


@given(st.lists(LETTERS, max_size=8), st.text("ab", min_size=1, max_size=4))
def test_nothing_shown_is_ever_taken_back(pieces: list[str], stop: str) -> None:
    """No text is shown that a stop string, once complete, would have cut."""
    finder = Stops((stop,))
    shown = "".join(finder.feed(piece) for piece in pieces)

    assert stop not in shown
    assert not finder.found or finder.feed("more") == ""


def test_without_stops_all_is_shown_at_once() -> None:
    """Nothing is held back for nothing."""
    assert Stops(()).feed("text") == "text"
