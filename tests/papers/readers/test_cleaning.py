import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers.readers.cleaning import clean_marked_up_text, clean_text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (r"up to 5\% and 50% of AT&T &amp; co", "up to 5% and 50% of AT&T & co"),
        (r"we present \ewtune, while \ewtune~adds", "we present ewtune, while ewtune adds"),
        (r"as of \today we", "as of we"),
        (r"a budget of \800 each", "a budget of 800 each"),
        ("bound of mathcal{O}(mathcal{C_{Phi circ Psi}}/n)", "bound of O(C_Phi circ Psi/n)"),
        ("textit{O}bstacles G_{stack} F_{1}", "Obstacles G_stack F_1"),
        ("``N:M'' and ''mild''", '"N:M" and "mild"'),
        (r"\textbf{self-contained} caf\'e", "self-contained café"),
        (r"in $O(n^2)$ for an $\alpha$-model", "in O(n^2) for an α-model"),
        ("with $100K and a $5 budget", "with $100K and a $5 budget"),
        ("at x.io/{https://x.io/}.", "at x.io."),
        ("see 3.5B/{this https URL}, too", "see 3.5B, too"),
        (r"Byte-~and (~ +10%) or ~50 shows~5\%", "Byte- and (~ +10%) or ~50 shows 5%"),
        ("Models -- Past --- Present", "Models – Past — Present"),
        ("two\n lines\tand\u200b\x00 more", "two lines and more"),
        ("left\u202eright", "left right"),
        ("&amp;lt;b&amp;gt;", "<b>"),
        (r"CO\textsubscript{2}, a {\textless} b", "CO2, a < b"),
        ("the $1S$ wave, a $2 x_1$ plane, Cu$2$O", "the 1S wave, a 2 x_1 plane, Cu2O"),
        ("of $5 and $6 million, US$7 or $8; x_1", "of $5 and $6 million, US$7 or $8; x_1"),
        (r"$\sim$100 of $\beta$ cells, $<$5 at $5", "∼100 of β cells, <5 at $5"),
        ("$1,000$ or $x$ of $2,000, $3,000 and $5,$6", "1,000 or x of $2,000, $3,000 and $5,$6"),
        (r"{\em E. coli}, {\it in vitro}, \bfseries bold", "E. coli, in vitro, bold"),
        (r"\mkbibquote{Tides} of \ce{H2O} in 2~\mbox{l}", "Tides of H2O in 2 l"),
        (r"\begin{itemize}\item One\end{itemize}", "* One"),
        (r"\OurModel{} and \OurModel", "OurModel and OurModel"),
        (r"\href{https://x.io}{a link} and \url{https://x.io}.", "a link and ."),
    ],
)
def test_latex_and_html_are_converted(raw, clean):
    assert clean_text(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("&lt;i&gt;E. coli&lt;/i&gt; and CO<sub>2</sub>", "E. coli and CO2"),
        ("<jats:title>Abstract</jats:title>\n<jats:p>One.</jats:p>", "One."),
        ("<jats:title>Methods</jats:title><jats:p>One.</jats:p>", "Methods One."),
        ("<jats:p>One.</jats:p><jats:p>Two, <jats:italic>too</jats:italic>.", "One. Two, too."),
        ('<span class="nocase">BERT</span><br/>again', "BERT again"),
        (r"{\textless}p{\textgreater}One", "One"),
        (r"{$\less$em$\greater$One$\less$/em$\greater$ $\upalpha$ $\unheard$", "One \u03b1"),
        (
            '<AbstractText Label="AIM" NlmCategory="X">One.</AbstractText> <h4>Two</h4>Three',
            "AIM: One. Two Three",
        ),
        ("<it>A. b</it>, <math><mi>g</mi><mo>=</mo></math>", "A. b, g="),
        ("a <mask> where b <i and c> d", "a <mask> where b <i and c> d"),
    ],
)
def test_markup_of_records_is_removed(raw, clean):
    assert clean_marked_up_text(raw) == clean
    assert clean_marked_up_text(clean) == clean


@given(st.text(alphabet=st.sampled_from("ab {}\\$~%&#;^_`'-\né\u202e")), st.text())
def test_cleaning_is_idempotent_for_any_text(text, other):
    assert isinstance(clean_text(other), str)
    clean = clean_text(text)
    assert clean_text(clean) == clean
    assert "\n" not in clean
