"""Pages, index and README: complete, readable offline, the same bytes every time."""

import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbclient
import nbformat
import pytest
from bs4 import BeautifulSoup

from kinks import paths
from kinks.report import claims, readme, summary
from kinks.report.formula import block, inline
from kinks.report.html import page
from kinks.report.index import index

SOURCE = Path(__file__).parents[2] / "notebooks" / "90_claims.ipynb"
CELLS = [
    "# How large is *it*?\n\nHere $\\alpha = 0$, not `$code$`, see [the paper](https://arxiv.org/abs/2106.12915).\n\n"
    "$$1-(1-p)^{n/60000}$$\n\n| a | b |\n| --- | --- |\n| 1 | 2 |",
    "import matplotlib.pyplot as plt\nimport pandas as pd\nfrom kinks.report import style\nstyle.use()\n\n\nx = 3",
    "fig, ax = plt.subplots(figsize=(2, 1))\nax.plot([1, 2]);",
    "Each point is a *mini-batch*. And more.",
    "print('one\\n\\n\\nfour')\npd.DataFrame({'share': [0.5]})",
]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A small notebook, really executed by a kernel."""
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    kinds = ["markdown", "code", "code", "markdown", "code"]
    notebook = nbformat.v4.new_notebook(cells=[make[k](text) for k, text in zip(kinds, CELLS, strict=True)])
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable
    client.execute()
    path = tmp_path_factory.mktemp("executed") / "20_volume.ipynb"
    nbformat.write(notebook, path)
    return path


def loads(soup: BeautifulSoup) -> list[str]:
    """Every address that a browser would fetch to show the page."""
    found = [tag.get(name) for tag in soup.find_all(True) for name in ("src", "data", "poster") if tag.get(name)]
    found += [tag["href"] for tag in soup.find_all("link")]
    styles = [str(tag.string) for tag in soup.find_all("style")] + [tag["style"] for tag in soup.select("[style]")]
    found += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", "\n".join(styles))
    return [address for address in found if not str(address).startswith("data:")]


def test_a_page_loads_nothing_and_runs_nothing(executed, tmp_path):
    page(executed, tmp_path / "html" / "page.html")
    soup = BeautifulSoup((tmp_path / "html" / "page.html").read_text(encoding="utf-8"), "html.parser")
    assert loads(soup) == []
    assert soup.find_all(["script", "iframe", "object"]) == []
    assert not [tag for tag in soup.find_all(True) if any(name.startswith("on") for name in tag.attrs)]


def test_a_page_is_titled_linked_and_readable(executed, tmp_path):
    page(executed, tmp_path / "page.html")
    soup = BeautifulSoup((tmp_path / "page.html").read_text(encoding="utf-8"), "html.parser")
    assert soup.title.string == "How large is it?"
    assert soup.select_one("nav a")["href"] == "index.html"
    assert soup.select_one("footer a")["href"] == "../notebooks/20_volume.ipynb"
    assert len(soup.find_all("h1")) == 1 and soup.find("table") is not None
    folded = soup.find_all("details")
    assert [one.summary.get_text() for one in folded] == ["code"] * 3 and not any(
        one.has_attr("open") for one in folded
    )
    formulas = soup.select("svg.formula")
    assert [one["aria-label"] for one in formulas] == [r"\alpha = 0", "1-(1-p)^{n/60000}"]
    assert "$code$" in soup.get_text() and "one\n\n\nfour" in soup.get_text()
    assert soup.find("img")["src"].startswith("data:image/png;base64,")
    assert soup.find("img")["alt"] == "Each point is a mini-batch."


def test_a_page_has_the_same_bytes_every_time(executed, tmp_path):
    for name in ("one.html", "two.html"):
        page(executed, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_inline_figures_carry_no_software_name(executed):
    from base64 import b64decode

    outputs = [o for cell in nbformat.read(executed, 4).cells for o in cell.get("outputs", []) if "data" in o]
    images = [b64decode(o["data"]["image/png"]) for o in outputs if "image/png" in o["data"]]
    assert len(images) == 1 and b"atplotlib" not in images[0]


def test_a_formula_beyond_reach_stays_readable():
    assert inline(r"\alpha") == inline(r" \alpha ") and "<path" in inline(r"\mathrm{ReLU}'(0)")
    assert block(r"\begin{aligned}a<b\end{aligned}").count("<code") == 1
    assert "a&lt;b" in block(r"\begin{aligned}a<b\end{aligned}")


@pytest.fixture
def complete(full, executed):
    """A project with tables, claims, a figure and a notebook."""
    (full / "notebooks" / "20_volume.ipynb").write_bytes(executed.read_bytes())
    claims.save(claims.results(paths.TABLES))
    (paths.FIGURES / "volume").mkdir(parents=True)
    for ending in ("png", "pdf", "csv"):
        (paths.FIGURES / "volume" / f"panels.{ending}").write_bytes(b"")
    return full


def test_the_index_shows_every_claim_figure_table_and_notebook(complete):
    path = index()
    text = path.read_text(encoding="utf-8")
    soup = BeautifulSoup(text, "html.parser")
    assert path == paths.REPORTS / "html" / "index.html"
    assert all(claim.id in text for claim in claims.load())
    colours = {tag.get_text(): tag["style"] for tag in soup.select(".verdict")}
    assert {"reproduced", "inconclusive", "depends on the arm"} <= set(colours)
    assert len(set(colours.values())) == len(colours)
    assert loads(soup) == ["../figures/volume/panels.png"] and soup.find("script") is None
    links = {tag["href"] for tag in soup.find_all("a")}
    assert {"20_volume.html", "../figures/volume/panels.pdf", "../tables/volume/cells.csv", "../claims.md"} <= links
    assert "How large is it?" in text and "MNIST, first 10,000 training images" in text
    assert index().read_text(encoding="utf-8") == text


def test_every_link_of_the_index_to_results_leads_somewhere(complete):
    path = index()
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    stages = (
        "ties",
        "divergence",
        "rates",
        "relu_sweep",
        "pool_sweep",
        "pieces",
        "sawtooth",
        "single_relu",
        "target_scale",
    )
    unmade = tuple(f"../tables/{stage}/" for stage in stages)
    linked = {tag["href"] for tag in soup.find_all("a") if tag["href"].startswith("../")}
    linked = {link for link in linked if not link.startswith(unmade)}
    assert [link for link in linked if not (path.parent / link).is_file()] == []


MARKED = f"# kinks\n\n{readme.START}\nold\n{readme.END}\n\n## Folders\n"


def test_the_readme_block_is_written_anew_and_nothing_else(complete):
    file = complete / "README.md"
    file.write_text(MARKED)
    readme.update()
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# kinks\n\n") and text.endswith("\n\n## Folders\n") and "\nold\n" not in text
    assert text.count("| **reproduced** |") >= 3
    for claim in claims.load():
        notebook = summary.notebooks().get(claim.table.split("/")[0], claim.table.split("/")[0])
        assert (f"[{claim.id}](reports/notebooks/{notebook}.ipynb)" in text) == claim.headline
    counted = re.search(r"NeurIPS 2021\) \|([ |\d]+)\|", text)[1]
    ours = [claim for claim in claims.load() if claim.paper == "relu-prime"]
    assert sum(int(number) for number in re.findall(r"\d+", counted)) == len(ours)
    assert "0.463 at 60,000 images, so 0.0984 at 10,000" in text
    for door in ("a GPU", "a laptop", "a browser"):
        assert f"| {door}" in text
    readme.update()
    assert file.read_text(encoding="utf-8") == text


def test_the_readme_says_so_before_there_are_results(project):
    file = project / "README.md"
    file.write_text(MARKED)
    readme.update()
    assert "No results yet: run `make reproduce`." in file.read_text()


@pytest.mark.parametrize("text", ["# kinks\n", f"{readme.END}\n{readme.START}\n", MARKED + MARKED])
def test_a_readme_without_its_markers_is_left_alone(project, text):
    (project / "README.md").write_text(text)
    with pytest.raises(ValueError, match=r"README\.md needs the lines"):
        readme.update()
    assert (project / "README.md").read_text() == text


def test_one_verdict_over_the_arms():
    def over(**said):
        return summary.verdict({arm: summary.Cell("1", "", "1", word) for arm, word in said.items()})

    assert over(published="reproduced", corrected="reproduced", noise="inconclusive") == "reproduced"
    assert over(published="reproduced", corrected="not reproduced") == "depends on the arm"
    assert over(published="reproduced", corrected="not run at this scale") == "reproduced"
    assert over(corrected="not run at this scale") == "not run at this scale"
    assert over(noise="inconclusive") == "inconclusive"


def test_the_sentence_counts_every_claim_once(complete):
    table = summary.read(paths.REPORTS / "claims.csv")
    numbers = [int(n) for n in re.findall(r"(\d+) (?:reproduced|depending|not|inconclusive)", summary.sentence(table))]
    assert sum(numbers) == len(claims.load()) == int(summary.sentence(table).split()[0])


def test_what_we_see_names_every_claim_and_both_numbers_where_the_rule_decides(complete):
    text = summary.text(summary.read(paths.REPORTS / "claims.csv"))
    assert all(claim.id in text for claim in claims.load())
    assert "89 as published, 0.004 as the mathematics says" in text


def test_the_styled_table_colours_verdicts(complete):
    html = summary.styled(claims.evaluate(paths.TABLES)).to_html()
    assert "E2-fp32-half" in html and "color: #1b7837" in html and ">nan<" not in html


def test_the_notebook_of_claims_runs_on_a_full_set_of_tables(complete, monkeypatch):
    """The cells of 90_claims.ipynb in turn, as under the pipeline: list, figure, index and README are written."""
    notebook = nbformat.read(SOURCE, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    monkeypatch.setenv("KINKS_REPORTS", str(paths.REPORTS))
    (complete / "README.md").write_text(MARKED)
    scope: dict = {}
    with plt.rc_context():
        for cell in notebook.cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, "90_claims.ipynb", "exec"), scope)
    plt.close("all")
    assert (paths.REPORTS / "claims.csv").is_file() and (paths.REPORTS / "html" / "index.html").is_file()
    assert {path.name for path in (paths.FIGURES / "claims").iterdir()} == {"forest.csv", "forest.pdf", "forest.png"}
    assert "E2-fp32-half" in (complete / "README.md").read_text()
