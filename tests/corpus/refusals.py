"""What the language refuses: a snippet, the code of the error, and where it must point.

``¶`` in a text stands right before what the error must point at (it is taken out before compiling), so
that line and column need no counting. A text without a ``def`` is the body of ``main(n, xs, d)``.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

HEADER = """\
import asyncio
import contextlib
import functools
import itertools
import random
from weft import limit, mutex, step, workflow

COUNT = []
SETTINGS = {}

@step
def inc(n, by=1):
    return n + by

@step
def fail(n):
    raise ValueError(n)

def plain(function):
    return function

class Holder:
    pass

HOLDER = Holder()
"""
MARK = "¶"


@dataclass(frozen=True)
class Refusal:
    """``name`` is what the test is called; ``code`` the error's code; ``text`` the marked snippet."""

    name: str
    code: str
    marked: str

    @property
    def text(self) -> str:
        """The whole module, without the mark."""
        return self._whole().replace(MARK, "")

    @property
    def line(self) -> int:
        return self._whole().split(MARK)[0].count("\n") + 1

    @property
    def column(self) -> int:
        """Columns count from 0, as in ``ast``."""
        return len(self._whole().split(MARK)[0].rpartition("\n")[2])

    def _whole(self) -> str:
        body = textwrap.dedent(self.marked).strip("\n")
        if "def main(" not in body:
            body = "@workflow\ndef main(n, xs, d):\n" + textwrap.indent(body, "    ")
        return f"{HEADER}\n{body}\n"


REFUSALS = [
    # -- ends ------------------------------------------------------------------------------------
    Refusal("while_body", "unbounded-loop", "¶while n < 9:\n    n = inc(n)\nreturn n"),
    Refusal("while_test", "unbounded-loop", "¶while inc(n) < 9:\n    n += 1\nreturn n"),
    Refusal(
        "while_true_with_break",
        "unbounded-loop",
        "¶while True:\n    n = inc(n)\n    if n > 9:\n        break\nreturn n",
    ),
    Refusal(
        "while_nested_in_for",
        "unbounded-loop",
        "for x in xs:\n    ¶while x < 3:\n        x = inc(x)\nreturn n",
    ),
    Refusal(
        "while_holds_workflow",
        "unbounded-loop",
        """
        @workflow
        def part(n):
            return inc(n)

        @workflow
        def main(n, xs, d):
            ¶while n < 3:
                n = part(n)
            return n
        """,
    ),
    Refusal(
        "recursion",
        "recursion",
        "@workflow\ndef main(n, xs, d):\n    return inc(n) if n > 3 else ¶main(n + 1, xs, d)",
    ),
    Refusal(
        "mutual_recursion",
        "recursion",
        """
        @workflow
        def part(n):
            return ¶main(inc(n), [], {})

        @workflow
        def main(n, xs, d):
            return part(n)
        """,
    ),
    # -- no durable meaning ----------------------------------------------------------------------
    Refusal("lambda", "step-in-lambda", "f = lambda v: ¶inc(v)\nreturn f(n)"),
    Refusal("lambda_as_key", "step-in-lambda", "return sorted(xs, key=lambda v: ¶inc(v))"),
    Refusal("nested_def", "step-in-nested-def", "def f(v):\n    return ¶inc(v)\nreturn f(n)"),
    Refusal("nested_def_decorated", "step-in-decorator", "@¶inc\ndef f(v):\n    return v\nreturn f"),
    Refusal("class_body", "step-in-class-body", "class C:\n    a = ¶inc(1)\nreturn C.a"),
    Refusal("class_base", "step-in-decorator", "class C(¶inc(1)):\n    pass\nreturn C"),
    Refusal("yielding", "yield-in-workflow", "a = inc(n)\n¶yield a"),
    Refusal("yield_from", "yield-in-workflow", "¶yield from [inc(n)]"),
    Refusal("yield_value", "yield-in-workflow", "a = ¶yield\nreturn inc(a)"),
    Refusal("async_def", "await-in-workflow", "@workflow\n¶async def main(n, xs, d):\n    return inc(n)"),
    Refusal(
        "awaiting", "await-in-workflow", "@workflow\n¶async def main(n, xs, d):\n    return await inc(n)"
    ),
    Refusal("global_name", "global-statement", "¶global COUNT\nCOUNT = inc(n)\nreturn n"),
    Refusal(
        "nonlocal_name",
        "nonlocal-statement",
        """
        def outer():
            k = 1

            @workflow
            def main(n, xs, d):
                ¶nonlocal k
                k = inc(n)
                return k

            return main


        main = outer()
        """,
    ),
    Refusal("locals_call", "dynamic-scope", "a = inc(n)\nreturn ¶locals()"),
    Refusal("vars_call", "dynamic-scope", "a = inc(n)\nreturn ¶vars()"),
    Refusal("dir_call", "dynamic-scope", "a = inc(n)\nreturn ¶dir()"),
    Refusal("eval_call", "dynamic-scope", "a = inc(n)\nreturn ¶eval('a + 1')"),
    Refusal("exec_call", "dynamic-scope", "a = inc(n)\n¶exec('a = 2')\nreturn a"),
    Refusal("star_except", "except-star", "¶try:\n    inc(n)\nexcept* ValueError:\n    n = 1\nreturn n"),
    Refusal(
        "except_type",
        "step-in-except-type",
        "try:\n    n = inc(n)\nexcept ¶(ValueError, inc(n)):\n    pass\nreturn n",
    ),
    # -- with ------------------------------------------------------------------------------------
    Refusal(
        "with_suppress",
        "unsupported-with",
        "¶with contextlib.suppress(ValueError):\n    n = fail(n)\nreturn n",
    ),
    Refusal("with_open", "unsupported-with", "¶with open('x') as file:\n    n = inc(n)\nreturn n"),
    Refusal(
        "with_step_as_manager",
        "unsupported-with",
        "¶with contextlib.nullcontext(inc(n)) as m:\n    pass\nreturn m",
    ),
    Refusal("limit_of_a_name", "dynamic-limit", "¶with limit(str(n)):\n    n = inc(n)\nreturn n"),
    Refusal("limit_bound", "dynamic-limit", "¶with limit('a') as held:\n    n = inc(n)\nreturn n"),
    Refusal(
        "limit_inside_itself",
        "nested-limit",
        "with limit('a'):\n    n = inc(n)\n    ¶with limit('a'):\n        n = inc(n)\nreturn n",
    ),
    Refusal(
        "mutex_inside_itself_through_a_workflow",
        "nested-limit",
        """
        @workflow
        def part(n):
            ¶with mutex("a"):
                return inc(n)

        @workflow
        def main(n, xs, d):
            with mutex("b"), mutex("a"):
                return part(n)
        """,
    ),
    Refusal(
        "limits_in_both_orders",
        "limit-order",
        """
        with limit("a"), limit("b"):
            n = inc(n)
        with limit("b"), limit("c"):
            n = inc(n)
        with mutex("c"):
            ¶with limit("a"):
                n = inc(n)
        return n
        """,
    ),
    # -- decorators ------------------------------------------------------------------------------
    Refusal(
        "second_decorator", "second-decorator", "@workflow\n@¶plain\ndef main(n, xs, d):\n    return inc(n)"
    ),
    Refusal(
        "second_decorator_with_wraps",
        "second-decorator",
        """
        def plus_hundred(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(*args) + 100
            return wrapper

        @workflow
        @¶plus_hundred
        def main(n, xs, d):
            return inc(n)
        """,
    ),
    Refusal("workflow_of_lambda", "no-source", "main = workflow(¶lambda n, xs, d: inc(n))  # no def main("),
    # -- generators and captures -----------------------------------------------------------------
    Refusal("kept_generator", "kept-generator", "g = ¶(inc(x) for x in xs)\nreturn list(g)"),
    Refusal("returned_generator", "kept-generator", "return ¶(inc(x) for x in xs)"),
    Refusal("generator_in_list", "kept-generator", "return [¶(inc(x) for x in xs)]"),
    Refusal(
        "captured_rebound",
        "captured-name-rebound",
        "k = 1\n¶f = lambda v: v + k\ny = inc(n)\nk = 2\nreturn f(y)",
    ),
    Refusal(
        "captured_rebound_def",
        "captured-name-rebound",
        "k = 1\n¶def f(v):\n    return v + k\ny = inc(n)\nk += 1\nreturn f(y)",
    ),
    Refusal(
        "captured_loop_name",
        "captured-name-rebound",
        "fs = []\nfor x in xs:\n    y = inc(x)\n    ¶fs.append(lambda: x)\nreturn [f() for f in fs]",
    ),
    # -- loops -----------------------------------------------------------------------------------
    Refusal(
        "list_grows_under_loop", "changes-what-it-iterates", "for x in xs:\n    ¶xs.append(inc(x))\nreturn xs"
    ),
    Refusal(
        "list_grows_by_alias",
        "changes-what-it-iterates",
        "ys = xs\nfor x in xs:\n    ¶ys.append(inc(x))\nreturn xs",
    ),
    Refusal(
        "item_grows_under_loop",
        "changes-what-it-iterates",
        "for x in d['k']:\n    y = inc(x)\n    ¶d['k'].append(y)\nreturn d",
    ),
    Refusal(
        "attribute_grows_under_loop",
        "changes-what-it-iterates",
        "for k, x in enumerate(n.items):\n    y = inc(x)\n    ¶n.items += [y]\nreturn n",
    ),
    Refusal(
        "item_of_an_item_deleted_under_loop",
        "changes-what-it-iterates",
        "for k in d['a']['b']:\n    y = inc(k)\n    ¶del d['a']['b'][k]\nreturn d",
    ),
    Refusal("dict_grows_under_loop", "changes-what-it-iterates", "for k in d:\n    ¶d[inc(k)] = 1\nreturn d"),
    Refusal(
        "dict_deleted_under_loop",
        "changes-what-it-iterates",
        "for k, v in d.items():\n    inc(v)\n    ¶del d[k]\nreturn d",
    ),
    Refusal(
        "list_augmented_under_loop",
        "changes-what-it-iterates",
        "for x in xs:\n    ¶xs += [inc(x)]\nreturn xs",
    ),
    Refusal(
        "counting",
        "unbounded-iterable",
        "for k in ¶itertools.count():\n    n = inc(n)\n    if n > 9:\n        break\nreturn n",
    ),
    Refusal(
        "cycling", "unbounded-iterable", "for x in ¶itertools.cycle(xs):\n    n = inc(x)\n    break\nreturn n"
    ),
    Refusal(
        "repeating",
        "unbounded-iterable",
        "for x in ¶itertools.repeat(n):\n    n = inc(x)\n    break\nreturn n",
    ),
    Refusal(
        "called_until",
        "unbounded-iterable",
        "for x in ¶iter(random.random, 2):\n    n = inc(x)\n    break\nreturn n",
    ),
    Refusal(
        "counting_in_comprehension", "unbounded-iterable", "return next(inc(k) for k in ¶itertools.count())"
    ),
    # -- stores outside --------------------------------------------------------------------------
    Refusal("global_mutated", "store-to-global", "a = inc(n)\n¶COUNT.append(a)\nreturn a"),
    Refusal("global_item", "store-to-global", "a = inc(n)\n¶SETTINGS['a'] = a\nreturn a"),
    Refusal("global_attribute", "store-to-global", "a = inc(n)\n¶HOLDER.a = a\nreturn a"),
    Refusal(
        "global_augmented_item", "store-to-global", "SETTINGS.get('a')\n¶SETTINGS['a'] += inc(n)\nreturn n"
    ),
    Refusal("global_item_deleted", "store-to-global", "a = inc(n)\n¶del SETTINGS['a']\nreturn a"),
    Refusal(
        "change_in_a_generator",
        "change-in-generator",
        "return any(inc(¶xs.pop()) > 3 for _ in range(n)), xs",
    ),
    Refusal(
        "change_in_a_generator_by_a_local_function",
        "change-in-generator",
        "def keep(v):\n    xs.append(v)\n    return v\n\nreturn any(inc(¶keep(n)) > 3 for _ in range(n)), xs",
    ),
    Refusal(
        "generator_takes_turns",
        "generator-takes-turns",
        "out = []\n¶for x in (inc(y) + len(out) for y in xs):\n    out.append(x)\nreturn out",
    ),
    Refusal(
        "generator_takes_turns_around_steps",
        "generator-takes-turns",
        "k = 0\n¶for x in (inc(y) + k for y in xs):\n    k = inc(x)\nreturn k",
    ),
]
