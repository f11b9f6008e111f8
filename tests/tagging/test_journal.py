"""What was finished is found again, and what was cut short is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.tagging.journal import Journal

entries = st.dictionaries(
    st.text(max_size=5), st.fixed_dictionaries({"rows": st.text()}), max_size=3
)


@settings(max_examples=20)
@given(entries, st.binary(max_size=40).filter(lambda torn: b"\n" not in torn))
def test_a_journal_is_taken_up(tmp_path_factory, finished, torn):
    path = tmp_path_factory.getbasetemp() / "journal.jsonl"
    path.unlink(missing_ok=True)
    journal = Journal(path)
    for key, entry in finished.items():
        journal.append(key, {"rows": "of an earlier time"})
        journal.append(key, entry)
    if finished:
        with path.open("ab") as file:
            file.write(torn)
    again = Journal(path)
    again.append("the last", {"rows": 1})
    for key, entry in finished.items():
        assert journal.read(key) == again.read(key) == entry
    assert journal.read("the last") is None
    assert again.read("the last") == {"rows": 1}
    again.remove()
    assert not path.exists()


@pytest.mark.parametrize("line", ["[]", "{}", '{"batch": "a', "[" * 9999, "\0", ""])
def test_a_line_that_is_no_entry_is_passed_over(tmp_path, line):
    (tmp_path / "j").write_text(f"{line}\n", encoding="utf-8")
    journal = Journal(tmp_path / "j")
    journal.append("b", {"rows": []})
    assert (journal.read("a"), journal.read("b")) == (None, {"rows": []})
    with pytest.raises(TaggerError, match="Delete it to start afresh"):
        Journal(tmp_path)
