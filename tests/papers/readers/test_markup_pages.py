"""Feeds, saved web pages and mails."""

import email.message
import email.policy
from pathlib import Path

import pytest
from helpers.reading import source, texts
from helpers.samples import ABSTRACT, page

from tagger.errors import TaggerError
from tagger.papers import Paper, read_papers
from tagger.papers.readers import FORMATS

ATOM = f"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Query results</title>
<entry><id>http://arxiv.org/abs/2101.00001v1</id><title>Tides in
  a café</title><summary>  We show that n &lt; m.
{ABSTRACT}
</summary></entry>
<entry><title>Empty</title></entry></feed>
"""
RSS = f"""<?xml version='1.0' encoding='UTF-8'?><!-- a comment -->
<rss version="2.0"><channel><title>cs.CL</title>
<item><title>Tides</title><description>arXiv:2101.00001v1 Announce Type: new
Abstract: {ABSTRACT}</description></item>
<item><title>Ebbs &nbsp; flows</title>
<description>&lt;p&gt;A &lt;b&gt;bold&lt;/b&gt; text.&lt;/p&gt;
&lt;p&gt;More.&lt;/p&gt;</description></item></channel></rss>
"""
WITH_HEADINGS = f"""<!DOCTYPE html><html><head><title>Weekly</title></head><body>
<style>p {{ color: red }}</style><nav><a href="x">Home</a></nav>
<h1>Weekly papers</h1><p>Mon, Nov 16</p><h2>Language</h2>
<h3><a href="x">First <i>title</i></a></h3><p>Ann Other, No Body</p>
<p>{ABSTRACT}</p><p><a href="x">Read more</a></p>
<h3>Second title</h3><script>var x = "<p>no text</p>";</script><p>Abstract: {ABSTRACT}</p>
<footer>Unsubscribe</footer></body></html>"""
WITH_TABLES = f"""<html><body><div style="display: none">A hidden teaser</div><table>
<tr><td>Weekly papers</td></tr><tr><td>Nov 16</td></tr>
<tr><td><a href="x">First title</a></td></tr><tr><td>{ABSTRACT}</td></tr>
<tr><td><a href="x">Second title</a><br><br>{ABSTRACT}</td></tr>
<tr><td>You receive this mail because you asked for it.</td></tr>
<tr><td><a href="x">Leave</a></td></tr></table></body></html>"""
LISTING = f"""<html><body><h1>Computation</h1><h3>New submissions</h3><dl>
<dt>[1] <a href="x">pdf</a></dt><dd><div class="list-title mathjax"><span>Title:</span>
First title</div><div class="list-authors">Ann Other</div><p>{ABSTRACT}</p></dd>
<dt>[2] <a href="x">pdf</a></dt><dd><div class="list-title mathjax"><span>Title:</span>
Second title</div><div>Comments: 12 pages. To appear. With code.</div>
<p>{ABSTRACT}</p></dd></dl></html>"""
SECTIONS = f"""<html><h1>Weekly papers</h1><h2>Language</h2><p>First title</p><p>{ABSTRACT}</p>
<h2>Vision</h2><p>Second title</p><p>{ABSTRACT}</p><p>Third title</p><p>{ABSTRACT}</p></html>"""
BODY = (
    f"Weekly papers\n\nNov 16\n\nFirst title\nhttps://example.org/1\n\n{ABSTRACT}\n\n"
    f"Second title\n\n{ABSTRACT}\n\nTo unsubscribe, say so.\n\n-- \nThe editors\n"
)


def name_of(content):
    return next((name for name in FORMATS if FORMATS[name].recognise(source(content))), "digest")


def read(content):
    return list(FORMATS[name_of(content)].read(source(content)))


def mail(**parts):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"] = "Editors <e@example.org>", "me@example.org"
    message["Subject"], message["Date"] = "Weekly", "Mon, 16 Nov 2026 10:00:00 +0000"
    for number, (subtype, text) in enumerate(parts.items()):
        write = message.add_alternative if number else message.set_content
        write(text, subtype=subtype)
    return message.as_bytes()


BOTH = [("First title", ABSTRACT), ("Second title", ABSTRACT)]
LONG = f"<h3>One</h3><p>Nov 16</p><h4>Abstract</h4><p>{ABSTRACT}</p><p>{ABSTRACT}</p>"
LATIN = f'<html><meta charset="iso-8859-1"><h2>Café</h2><p>{ABSTRACT}</p></html>'


@pytest.mark.parametrize(
    ("name", "content", "papers"),
    [
        ("feed", ATOM, [("Tides in a café", f"We show that n < m. {ABSTRACT}"), ("Empty", "")]),
        ("feed", RSS, [("Tides", ABSTRACT), ("Ebbs flows", "A bold text. More.")]),
        ("html", WITH_HEADINGS, BOTH),
        ("html", WITH_TABLES, BOTH),
        ("html", LISTING, BOTH),
        ("html", SECTIONS, [*BOTH, ("Third title", ABSTRACT)]),
        ("html", f"<html>{LONG}</html>", [("One", f"{ABSTRACT} {ABSTRACT}")]),
        ("html", LATIN.encode("latin-1"), [("Café", ABSTRACT)]),
        ("mail", mail(plain=BODY.replace("First", "Café")), [("Café title", ABSTRACT), BOTH[1]]),
        ("mail", mail(plain=BODY, html="<p>Look at the text</p>"), BOTH),
        ("mail", mail(html=WITH_TABLES), BOTH),
    ],
)
def test_titles_and_abstracts_are_read(name, content, papers):
    assert name_of(content) == name
    assert texts(read(content)) == papers


def test_titles_of_a_web_page_have_no_numbers_and_its_last_heading_is_no_paper():
    text = f"<html><h2><b>1. Tides</b></h2><p>{ABSTRACT}</p><h2>See you next week</h2></html>"
    paper, notice = read(text)
    assert paper.title == "Tides"
    assert "See you next week" in notice


TITLES = ("The First of the Titles", "Another Title of Some Words")
ANTHOLOGY = """<p class="d-sm-flex"><span><a href="x.pdf">pdf</a> <a>bib</a></span><span><strong>
<a href="/2026.x-long.1/"><span>{0}</span></a></strong><br><a href="/a/">Ann Other</a> |
<a href="/b/">No Body</a></span></p><div class="abstract-collapse"><div>{1}</div></div>"""


@pytest.mark.parametrize(
    "item",
    [
        '<li><a href="x">{0}</a><br>{1}</li>',
        "<li><b>{0}</b> (Ann Other, No Body). {1}</li>",
        "<li><strong>{0}</strong><br>Ann Other, No Body<br><i>The Sea</i><br>{1}</li>",
        "<li><strong>{0}</strong><ul><li><b>Abstract:</b> {1}</li></ul></li>",
        '<li><b><a href="x">{0}</a></b> \u2014 {1}</li>',
        ANTHOLOGY,
    ],
)
@pytest.mark.parametrize("above", ["<h1>This week</h1>", f"<h1>We read</h1><p>{ABSTRACT}</p>", ""])
def test_items_below_one_heading_are_papers_of_their_own(item, above):
    items = "".join(item.format(title, ABSTRACT) for title in TITLES)
    read_all = read(f"<!doctype html><html><body>{above}{items}</body></html>")
    papers = [each for each in read_all if isinstance(each, Paper)]
    assert texts(papers) == [(title, ABSTRACT) for title in TITLES]


def test_points_below_headings_belong_to_their_papers():
    points = f"<ul><li><b>What is new here.</b> {ABSTRACT}</li></ul>"
    sections = "".join(f"<h3>{title}</h3><p>{ABSTRACT}</p>{points}" for title in TITLES)
    papers = read(f"<html><body>{sections}</body></html>")
    assert [paper.title for paper in papers] == [*TITLES]


def test_a_feed_gives_whole_abstracts_and_dois_where_databases_put_them():
    pubmed, biorxiv, nature, bare = read(
        """<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
        xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Results</title>"""
        "<item><title>Tides</title><description>CONCLUSIONS: They end.</description>"
        "<content:encoded><![CDATA[<div><p>Sea. 2026;8:1.</p><p><b>ABSTRACT</b></p>"
        "<p>AIM: To look.</p><p>CONCLUSIONS: They end.</p><p>PMID:12 | DOI:10.1234/a</p></div>]]>"
        "</content:encoded><guid>pubmed:12</guid><dc:identifier>pmid:12</dc:identifier>"
        "<dc:identifier>doi:10.1234/a</dc:identifier></item>"
        "<item><title>Ebbs</title><description>We look.</description>"
        "<dc:identifier>doi:10.1101/2026.11.01.1</dc:identifier></item>"
        "<item><title>Floods</title><content:encoded><![CDATA["
        '<p class="x"><a href="y">Sea</a></p>We look.]]></content:encoded></item>'
        "<item><title>Waves</title><description>NO ABSTRACT</description>"
        "<content:encoded><![CDATA[<p>Sea.</p><p>NO ABSTRACT</p><p>PMID:13</p>]]>"
        "</content:encoded></item></channel></rss>"
    )
    assert pubmed.abstract == "AIM: To look. CONCLUSIONS: They end."
    assert pubmed.identifiers == ("doi:10.1234/a", "pmid:12")
    assert (biorxiv.abstract, biorxiv.id) == ("We look.", "doi:10.1101/2026.11.01.1")
    assert nature.abstract == "Sea We look."
    assert bare.abstract == ""


def forwarding(*contents):
    """Return a mail with a line of text, to which others are attached."""
    message = email.message_from_bytes(mail(plain="See the attached."), policy=email.policy.SMTP)
    for content in contents:
        message.add_attachment(email.message_from_bytes(content, policy=email.policy.SMTP))
    return message.as_bytes()


THANKS, DIGEST = mail(plain="Thanks!"), mail(plain=BODY)


@pytest.mark.parametrize("attached", [(DIGEST, THANKS), (THANKS, DIGEST)])
def test_an_attached_mail_without_papers_costs_no_others(attached):
    assert texts(read(forwarding(*attached))) == BOTH


def test_an_attached_mail_that_cannot_be_decoded_costs_no_others():
    broken = THANKS.replace(b'charset="utf-8"', b'charset="klingon"')
    *papers, error = read(forwarding(broken, DIGEST))
    assert texts(papers) == BOTH
    assert "unknown encoding: klingon" in str(error)


def test_attached_mails_without_any_paper_are_refused():
    with pytest.raises(TaggerError, match="no papers"):
        read(forwarding(THANKS, THANKS))


def test_a_mail_attached_at_a_deep_level_is_read_once():
    content = DIGEST
    for _ in range(20):
        content = forwarding(content)
    assert texts(read(content)) == BOTH


def test_comments_at_the_end_of_a_feed_take_no_time():
    comments = "<!---->" * 200
    assert len(read(RSS + f"\n{comments}<!-- a -- b -->\n")) == 2
    with pytest.raises(TaggerError, match="end of the feed"):
        read(RSS + comments + "x")


@pytest.mark.parametrize(
    "header",
    [
        "From: the editors\nSubject: this week, in short\n\nNov 16\n\n",
        "Title, abstract\nWeekly papers, by hand\n\nNov 16\n\n",
        "Title\tAbstract\n\nNov 16\n\n",
        "[New] {Weekly} papers\n\nNov 16\n\n",
        "<Weekly papers>\n\nNov 16\n\n",
        "@someone, hello\n\nNov 16\n\n",
        "TY for it\n\nNov 16\n\n",
        "PARIS, a weekly; papers | abstracts\n\nNov 16\n\n",
        "",
    ],
)
def test_digest_pages_are_recognised_as_digests(header):
    titles = ("Title, abstract and the rest", "Tabs\tin a title", "From: here; to | there")
    content = page(*titles, header=header)
    assert name_of(content) == "digest"
    assert len(read(content)) == 3


def test_the_examples_are_digests_and_a_table():
    examples = Path(__file__).parents[3] / "examples"
    assert {name_of(path.read_bytes()) for path in examples.glob("*.txt")} == {"digest"}
    chosen = {"title": "Titel", "abstract": "Zusammenfassung"}
    assert len(list(read_papers([examples / "thursday.csv"], columns=chosen))) == 3
