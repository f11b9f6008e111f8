from helpers.samples import page, run

from tagger.papers import Paper
from tagger.review import suggest_papers


def test_labelled_papers_are_not_suggested(model, papers, taxonomy):
    steps = []
    chosen = suggest_papers(
        papers[:50], papers[:20], taxonomy, model.encoder, 10, lambda *step: steps.append(step)
    )
    assert len({paper.id for paper in chosen}) == 10
    assert not {paper.id for paper in chosen} & {paper.id for paper in papers[:20]}
    assert steps == [(50, 50)]
    assert suggest_papers(papers[:20], papers[:20], taxonomy, model.encoder, 5) == []

    # Also not under another id.
    named = [Paper(p.title, "", identifiers=(f"doi:10.1/{n}",)) for n, p in enumerate(papers[:3])]
    [chosen] = suggest_papers(named, papers[:2], taxonomy, model.encoder, 5)
    assert chosen.id == "doi:10.1/2"


def test_the_command_needs_no_labels(label_folder):
    (label_folder / "seed.jsonl").write_text("", encoding="utf-8")
    root = label_folder.parent
    (root / "page.txt").write_text(page("One", "Two", "Three"), encoding="utf-8")
    done = run("labels", "suggest", 2, "page.txt", cwd=root, code=0)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.endswith(" (page.txt)") for line in lines)
    missing = run("labels", "suggest", 2, "page.txt", "none.txt", "--json", cwd=root, code=2)
    assert '"labelled": 0' in missing.stdout
    assert '"files_failed": [' in missing.stdout
    assert "none.txt: no such file" in missing.stderr
