"""The code stays readable: bounds on its density (tests/density.py), and how each number is counted."""

from density import PACKAGE, density, percentile

MOST_TOKENS = 10.2  # a line; 10 is the aim, and this number may only fall
MOST_NODES = (10, 18)  # a simple statement: median and 90th percentile
MOST_LINES = (8, 25)  # a function: median and 90th percentile
LONGEST_MODULE = 350  # code lines
LONGEST_FUNCTION = 41  # code lines; 30 is the aim, and this number may only fall


def test_the_package_keeps_its_bounds():
    found = density(sorted(PACKAGE.rglob("*.py")))
    assert found.tokens_a_line <= MOST_TOKENS
    assert percentile(found.nodes, 50) <= MOST_NODES[0]
    assert percentile(found.nodes, 90) <= MOST_NODES[1]
    assert percentile(found.functions, 50) <= MOST_LINES[0]
    assert percentile(found.functions, 90) <= MOST_LINES[1]


def test_nothing_is_too_long():
    found = density(sorted(PACKAGE.rglob("*.py")))
    assert max(found.functions) <= LONGEST_FUNCTION
    assert {name: n for name, n in found.modules.items() if n > LONGEST_MODULE} == {}


def test_what_is_counted(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(
        '"""A module."""\n\n\ndef twice(x):\n    """Two x."""\n    # why\n    return 2 * x\n'
    )
    found = density([path])
    assert (found.lines, found.functions, found.modules) == (2, [2], {"one.py": 2})
    assert found.tokens == len("def twice ( x ) :".split()) + len("return 2 * x".split())
    assert found.nodes == [4]  # the return, the product, 2 and x
