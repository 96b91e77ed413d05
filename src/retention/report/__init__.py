"""Notebooks and parameters in, a published folder of HTML pages out. Knows nothing of
statistics.
"""

import sys

# Whoever reads a notebook imports jsonschema, which builds a grammar of international addresses
# with Lark where JupyterLab brought one along: seconds of every process, for a format that no
# notebook uses. Marked as absent, it is passed over.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
