"""The colours of charts by their names on the page, where a style sheet says what they are: in
light, in the dark and on paper.

The values here hold where there is no style sheet, as in a notebook. Each stands out from white by
at least 4.5 to 1, so that a line's name can have its colour; MUTED and BAND never colour text.
"""

# Okabe and Ito's, darkened where text in them could not be read
PALETTE = ["#0072b2", "#b84a00", "#007a58", "#a03c78", "#5b4bb5", "#7a5c00", "#1b2330"]
INK, SOFT, PAPER = "#262626", "#566072", "#ffffff"
MUTED, LINE, BAND = "#8a93a3", "#dce1e9", "#e9edf3"  # dots that stand back, grids, shades
GOOD, BAD = "#1a6b54", "#a13a2a"
PUBLISHED = "#8a5a00"

_NAMES = {color: f"--c{number}" for number, color in enumerate(PALETTE, 1)} | {
    MUTED: "--muted",
    LINE: "--line",
    BAND: "--band",
    GOOD: "--yes",
    BAD: "--no",
    PUBLISHED: "--pub",
    SOFT: "--soft",
}
# what a notebook's own dark theme turns round
VARIABLES = {color: f"var({name},{color})" for color, name in _NAMES.items()} | {
    INK: f"var(--ink,var(--jp-ui-font-color1,{INK}))",
    PAPER: f"var(--paper,var(--jp-layout-color0,{PAPER}))",
}
