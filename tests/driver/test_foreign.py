"""The driver needs no user code: a serialised program is driven to its end where its module cannot be imported."""

from __future__ import annotations

import weft

FLOW = """
    from tools import double, Odd

    class Local(Exception):
        pass

    @step
    def load(n):
        return [Local(i) if i == 2 else i for i in range(n)]

    @step
    def scale(x):
        if isinstance(x, Local):
            raise Odd(x)
        return double(x)

    @workflow
    def inner(x):
        if x > 1:
            return scale(x)
        return x

    @workflow
    def foreign(n: int):
        out = []
        for x in load(n):
            try:
                out.append(scale(x))
            except Odd as odd:
                out.append(odd.args[0].args[0])
            finally:
                last = inner(n)
        best = max(out)
        return best, out, last if best > 3 else None
    """

# Accepts a run as `weft run` does and stops before it drives; the next process has never seen the user's code.
ACCEPT = """
import sys
from weft.client.home import Home
Home.drive = lambda self, record, *rest: sys.exit(print(record.id))
import flow
flow.foreign.run(4)
"""

DRIVE = """
import sys

class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("flow", "tools"):
            raise AssertionError(f"the driver imports {name}")

sys.meta_path.insert(0, Refuses())
from weft import get_run
run = get_run().resume()
run.wait()
print(run.state, *(task.path for task in run.tasks()))
assert not {"flow", "tools"} & sys.modules.keys()
"""


def test_a_program_is_driven_where_its_module_cannot_be_imported(project):
    project.write(
        "tools.py",
        """
        class Odd(ValueError):
            pass

        def double(x):
            return 2 * x
        """,
    )
    flow = project.module(FLOW, "flow")
    accepted = project.python("-c", ACCEPT)
    assert accepted.returncode == 0, accepted.stderr
    driven = project.python("-c", DRIVE)
    assert driven.returncode == 0, driven.stderr
    paths = driven.stdout.split()
    assert paths[0] == "succeeded"
    assert len(paths) == 1 + 1 + 4 + 4
    run = weft.get_run(accepted.stdout.strip())
    assert run.result() == flow.foreign(4) == (6, [0, 2, 2, 6], 8)
