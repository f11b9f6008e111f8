import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_results_is_the_measured_one():
    tables = ("baselines", "trust", "review_efficiency", "review_throughput", "negative_flips")
    for table in (*tables, "emnlp_tags", "faults", "load", "speed", "training_speed"):
        measured = (ROOT / "experiments" / "results" / f"{table}.md").read_text(encoding="utf-8")
        assert measured.strip() in README


def test_every_file_that_is_named_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
