from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.store.database.recent import Recent


def test_the_one_not_used_for_longest_is_forgotten():
    """Put a, b, read a, put c into room for two: b goes. Else a model in use is loaded again."""
    recent = Recent[int](2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]


def test_a_value_put_again_is_the_new_one():
    """Else a replaced object is served for as long as the store is open."""
    recent = Recent[int](2)
    recent.put("a", 1)
    recent.put("b", 2)
    recent.put("a", 3)
    recent.put("c", 4)
    assert [recent.get(key) for key in "abc"] == [3, None, 4]


def test_what_is_popped_or_cleared_is_gone():
    """Else a deleted pipeline counts as alive."""
    recent = Recent[int](3)
    recent.put("a", 1)
    recent.put("b", 2)
    assert (recent.pop("a"), recent.pop("a"), recent.get("a")) == (1, None, None)
    recent.clear()
    assert recent.get("b") is None


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=30))
def test_it_holds_what_a_list_in_order_of_use_holds(size, steps):
    recent = Recent[int](size)
    order: list[int] = []
    for is_put, key in steps:
        if is_put:
            recent.put(key, key)
            order = [*(k for k in order if k != key), key][-size:]
        elif recent.get(key) is not None:
            order = [*(k for k in order if k != key), key]
    assert {key for key in range(7) if recent.get(key) is not None} == set(order)
