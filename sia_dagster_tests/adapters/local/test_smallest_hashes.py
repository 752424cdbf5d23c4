"""Of calls that are read one after the other, those that can be sampled are known before all are read."""

from hashlib import md5

from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.local.smallest_hashes import SmallestHashes


@given(st.lists(st.text(alphabet="abcdé", max_size=3), max_size=60), st.integers(1, 12))
def test_an_id_with_one_of_the_smallest_hashes_is_taken_each_time(ids: list[str], most: int) -> None:
    hashes = SmallestHashes(most)
    taken = [hashes.take(name) for name in ids]
    smallest = sorted({md5(name.encode()).hexdigest() for name in ids})[:most]
    assert all(taken[n] for n, name in enumerate(ids) if md5(name.encode()).hexdigest() in smallest)
    assert hashes.greatest == (smallest[-1] if len(smallest) == most else None)


def test_most_ids_are_not_taken_once_there_are_enough() -> None:
    hashes = SmallestHashes(10)
    assert sum(hashes.take(f"span-{number}") for number in range(10_000)) < 200
