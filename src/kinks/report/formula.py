"""TeX formulas as inline SVG, so that a page shows them offline and without any script."""

import html
from functools import lru_cache

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath, text_to_path

SIZE = 100.0  # units per em in the drawing
LETTER = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}


def inline(tex: str) -> str:
    """Return a formula of running text as SVG on the text's baseline, as code where it is beyond Matplotlib's TeX."""
    return _svg(tex.strip())


def block(tex: str) -> str:
    """Return a displayed formula as a centred SVG, as preformatted text where it is beyond Matplotlib's TeX."""
    return f'<div class="formula">{_svg(tex.strip())}</div>\n'


@lru_cache(maxsize=512)
def _svg(tex: str) -> str:
    label = html.escape(tex)
    fonts = FontProperties(family="DejaVu Sans", math_fontfamily="stix", size=SIZE)
    source = f"${' '.join(tex.split())}$"
    try:
        width, height, depth = text_to_path.get_text_width_height_descent(source, fonts, ismath=True)
        outline = TextPath((0, 0), source, prop=fonts)
    except ValueError:
        return f'<code class="tex">{label}</code>'
    path = _outline(outline)
    box = f"0 {depth - height:.1f} {width:.1f} {height:.1f}"  # the height includes the depth below the baseline
    style = "width:{:.3f}em;height:{:.3f}em;vertical-align:{:.3f}em".format(*np.divide([width, height, -depth], SIZE))
    shape = f'viewBox="{box}" style="{style}"><path d="{path}"/>'
    return f'<svg class="formula" role="img" aria-label="{label}" {shape}</svg>'


def _outline(outline: TextPath) -> str:
    """The outline as SVG path data, y downwards."""
    parts = []
    for vertices, code in outline.iter_segments(simplify=False, curves=True):
        if code == Outline.CLOSEPOLY:
            parts.append("Z")
            continue
        points = np.asarray(vertices).reshape(-1, 2)
        parts.append(LETTER[code] + " ".join(f"{x:.1f} {-y:.1f}" for x, y in points))
    return "".join(parts)
