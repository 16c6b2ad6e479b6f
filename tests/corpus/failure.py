# ruff: noqa: B012, B018, B904, BLE001, C400, E722, F403, F405, F841
# The odd forms are the point of this file.
"""Failures: raised, caught, passed on, and what ``finally`` does to them."""

import contextlib
import sys
import traceback

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def uncaught(n):
    a = inc(n)
    fail(a, kind="bad")
    return a


@workflow
def every_kind(kind):
    try:
        return fail(1, kind=kind)
    except (KeyError, OSError) as e:
        return type(e).__name__, e.args, getattr(e, "errno", None), getattr(e, "filename", None)
    except Bad as e:
        return type(e).__name__, e.args, e.left, e.right, getattr(e, "note", "")
    except Exception as e:
        return type(e).__name__, str(e)


@workflow
def not_an_exception(kind):
    try:
        fail(1, kind=kind)
    except Exception:
        return "caught"


@workflow
def base_is_caught(kind):
    try:
        fail(1, kind=kind)
    except BaseException as e:
        return type(e).__name__, e.args, getattr(e, "code", None)


@workflow
def first_failure_counts(n):
    a = fail_from(n, 1)
    b = fail(0, kind="key")
    return a, b


@workflow
def what_failed_input_feeds(n):
    try:
        a = fail(n)
        b = inc(a)
        c = fail(0, kind="key")
    except Exception as e:
        return type(e).__name__


@workflow
def handler_sees_earlier_names(n):
    a = 1
    try:
        a = inc(n)
        b = fail_from(n, 2)
        a = double(a)
        c = 3
    except ValueError:
        try:
            return a, b
        except UnboundLocalError:
            return a, "no b"
    return a, b, c


@workflow
def handler_sees_changes(n):
    xs = []
    try:
        xs.append(1)
        q = 5
        xs.append(fail_from(n, 2))
        xs.append(3)
    except ValueError:
        xs.append(q)
    return xs


@workflow
def glue_fails_halfway(n):
    xs = [inc(n)]
    q = 0
    try:
        xs.append(1)
        q = 5
        1 / 0
        q = 6
    except ZeroDivisionError:
        return xs, q


@workflow
def loop_fails_midway(xs):
    out = []
    y = None
    try:
        for x in xs:
            y = inc(x)
            out.append(fail_from(x, 2))
    except ValueError as e:
        return out, y, x, str(e)
    return out


@workflow
def else_is_not_protected(n):
    try:
        a = inc(n)
    except ValueError:
        return "caught"
    else:
        fail_from(a, 2)
    finally:
        inc(0)
    return a


@workflow
def finally_on_each_way(n):
    seen = []
    try:
        try:
            if n == 0:
                return seen
            seen.append(fail_from(n, 1))
        finally:
            seen.append(inc(n))
    except ValueError:
        seen.append("failed")
    return seen


@workflow
def finally_returns(n):
    try:
        return fail_from(n, 1)
    finally:
        if n > 1:
            return inc(n)


@workflow
def finally_changes_the_result(n):
    xs = [n]
    m = n
    try:
        return xs
    finally:
        xs.append(inc(n))
        xs = []


@workflow
def finally_rebinds(n):
    m = inc(n)
    try:
        return m
    finally:
        m = double(m)


@workflow
def finally_in_loop(n):
    out = []
    for k in range(n):
        try:
            if k == 1:
                continue
            if k == 3:
                break
            out.append(inc(k))
        finally:
            out.append(double(k))
    return out, k


@workflow
def break_in_finally(n):
    for k in range(5):
        try:
            fail_from(k, n)
        finally:
            if k > n:
                break
    return k


@workflow
def finally_fails(n):
    try:
        fail(n, kind="bad")
    finally:
        fail(n, kind="key")


@workflow
def raised_from(n):
    try:
        fail(n, kind="bad")
    except Bad as e:
        raise KeyError(inc(n)) from e


@workflow
def raised_from_none(n):
    try:
        fail(n, kind="bad")
    except Bad:
        raise KeyError(inc(n)) from None


@workflow
def raised_in_handler(n):
    try:
        fail(n, kind="bad")
    except Bad:
        raise KeyError(inc(n))


@workflow
def step_fails_in_handler(n):
    try:
        fail(n, kind="bad")
    except Bad:
        fail(inc(n), kind="key")


@workflow
def raised_again(n):
    try:
        fail(n, kind="worse")
    except Bad as e:
        a = inc(n)
        if a > 1:
            raise
        return e.args


@workflow
def raised_by_name(n):
    try:
        fail(n, kind="worse")
    except Bad as e:
        e.add_note("seen")
        kept = e
    inc(n)
    raise kept


@workflow
def chained_in_the_step(n):
    fail_chained(n)


@workflow
def cause_is_seen(n):
    try:
        fail_chained(n)
    except Bad as e:
        return (
            type(e.__cause__).__name__,
            e.__cause__.__notes__,
            e.__suppress_context__,
            type(e.__context__).__name__,
        )


@workflow
def current_exception(n):
    try:
        fail(n, kind="bad")
    except Bad:
        a = inc(n)
        inner = sys.exc_info()[0].__name__
        line = traceback.format_exc().splitlines()[-1]
    return a, inner, sys.exc_info()[0], line


@workflow
def current_in_finally(n):
    seen = []
    try:
        try:
            fail_from(n, 1)
        finally:
            inc(n)
            seen.append(str(sys.exc_info()[0]))
    except ValueError:
        pass
    return seen


@workflow
def nested_handlers(n):
    try:
        try:
            fail(n, kind="bad")
        except Bad:
            try:
                fail(n, kind="key")
            except KeyError as inner:
                a = type(inner.__context__).__name__
            b = sys.exc_info()[0].__name__
            raise
    except Bad as outer:
        return a, b, outer.args, inc(n)


@workflow
def error_name_is_unbound_after(n):
    e = 5
    try:
        inc(fail_from(n, 1))
    except ValueError as e:
        kept = str(e)
    try:
        return e
    except UnboundLocalError:
        return "gone", kept


@workflow
def handler_order(kind):
    try:
        fail(1, kind=kind)
    except Worse as e:
        return "worse", inc(1), e.note
    except (Bad, KeyError):
        return "bad or key", double(1)
    except:
        return "other"


@workflow
def unmatched(n):
    try:
        fail(n, kind="key")
    except Bad:
        return inc(n)
    except IndexError:
        return double(n)


@workflow
def except_type_fails(n):
    try:
        fail(n)
    except no_such_name:
        return inc(n)


@workflow
def asserts(n):
    assert inc(n) > 1, f"too small: {name_of(n)}"
    assert is_even(n), name_of(n)
    return n


@workflow
def guards(n):
    a = inc(n)
    if a > 3:
        raise Bad(a, "above")
    assert n != 1
    return double(a)


@workflow
def retried_by_hand(n):
    for attempt in range(4):
        try:
            value = fail_from(n - attempt, 1)
        except ValueError as e:
            problem = str(e)
            continue
        break
    else:
        return "never", problem
    return value, attempt


@workflow
def gathered_failures(xs):
    good, bad = [], []
    for x in xs:
        try:
            good.append(fail_from(x, 2))
        except ValueError as e:
            bad.append((x, e.args))
        else:
            good.append(inc(x))
        finally:
            bad.append(double(x))
    return good, bad


@workflow
def error_is_a_value(n):
    try:
        fail(n, kind="worse")
    except Bad as e:
        kept = e
    return [kept, inc(n), kept.left]


@workflow
def plain_suppress(n):
    a = inc(n)
    with contextlib.suppress(KeyError):
        a = {}["k"]
    return a


@workflow
def stop_iteration_from_a_step(n):
    return list(fail(x, kind="stop") for x in numbers(n))


@workflow
def stop_iteration_directly(n):
    try:
        fail(n, kind="stop")
    except StopIteration as e:
        return e.value


@workflow
def index_error_comes_first(n):
    xs = [1]
    return xs[9] + fail(n)


@workflow
def attribute_error_comes_first(n):
    out = None
    try:
        out.append(fail(n))
    except AttributeError as e:
        return str(e)


@workflow
def type_of_argument_fails(n):
    return inc(n, by="x")


@workflow
def wrong_arguments(n):
    try:
        inc(n, wrong=1)
    except TypeError as e:
        return str(e)


@workflow
def deep_nesting(n):
    seen = []
    for a in range(2):
        try:
            for b in range(3):
                try:
                    if is_even(b):
                        seen.append(fail_from(add(a, b), n))
                    elif a:
                        continue
                    else:
                        seen.append(b)
                except ValueError:
                    seen.append("inner")
                    if b > 1:
                        raise Bad(a, b)
                else:
                    seen.append(inc(b))
                finally:
                    seen.append(".")
        except Bad as e:
            seen.append(e.args)
            if a == 1:
                break
    else:
        seen.append("else")
    return seen


@workflow
def closed(n):
    try:
        return inc(n)
    finally:
        raise KeyError(n)


@workflow
def finally_inside_a_handler(n):
    try:
        fail(n)
    except ValueError:
        return closed(n)


@workflow
def outer_raised_again_in_a_handler(n):
    # Python breaks the circle: the second no longer comes from the first, which now comes from the second.
    try:
        fail(n)
    except ValueError as e:
        try:
            fail(n, kind="bad")
        except Bad:
            n = inc(n)
            raise e


@workflow
def outer_raised_again_in_finally(n):
    try:
        fail(n)
    except ValueError as e:
        try:
            n = inc(n)
            raise KeyError(n)
        finally:
            n = inc(n)
            raise e


@workflow
def middle_raised_again(n):
    try:
        fail(n)
    except ValueError as first:
        try:
            fail(n, kind="bad")
        except Bad as second:
            second.seen = type(first).__name__
            try:
                fail(n, kind="key")
            except KeyError:
                n = inc(n)
                raise second


@workflow
def outer_raised_again_by_a_cause(n):
    try:
        fail(n)
    except ValueError as first:
        first.add_note(f"noted {inc(n)}")
        try:
            fail(n, kind="bad")
        except Bad as second:
            try:
                raise KeyError(inc(n)) from first
            except KeyError as third:
                inc(n)
                raise first from second


class Holding(Exception):
    """An exception with something of the workflow's in it."""

    def __init__(self, what, held):
        super().__init__(what)
        self.held = held


def refuse(items):
    if len(items) > 1:
        raise KeyError(items)
    return len(items)


def refuse_kept(box):
    raise Holding("kept", box.items)


@workflow
def raises_what_it_changes(n):
    xs = [n]
    try:
        y = inc(n)
        raise KeyError(xs)
    except KeyError as e:
        e.args[0].append(y)
    return xs, total(xs)


@workflow
def helper_raises_its_argument(n):
    xs = [n, inc(n)]
    try:
        y = refuse(xs[1:])
        refuse(xs)
    except KeyError as e:
        e.args[0].append(3)
    z = total(xs)
    return xs, y, z


@workflow
def raised_object_changes_under_its_name(n):
    xs, kept = [n], None
    try:
        y = inc(n)
        raise Holding("it", xs)
    except Holding as e:
        kept = e
        xs.append(double(y))
    kept.held.append(inc(5))
    return xs, kept.held, kept


@workflow
def raised_made_before(n):
    xs = [n]
    error = Holding("before", xs)
    try:
        y = inc(n)
        raise error
    except Holding as e:
        e.held.append(double(y))
    return xs, error.held


@workflow
def raised_in_a_loop(n):
    out, rows = [], []
    for k in range(n):
        row = [k]
        try:
            y = inc(k)
            if y % 2:
                raise Holding("odd", row if y % 3 else out)
        except Holding as e:
            e.held.append(y)
        rows.append(row)
    return out, rows


@workflow
def cause_changes(n):
    xs = [inc(n)]
    try:
        try:
            y = inc(1)
            refuse([0, *xs])
        except KeyError as e:
            e.args[0].append(y)
            raise Holding("again", xs) from e
    except Holding as again:
        again.__cause__.args[0].append(inc(2))
        again.held.append(double(n))
        return xs, again.__cause__.args, again.held


@workflow
def changed_on_the_way_out(n):
    xs = [inc(n)]
    try:
        try:
            inc(n)
            raise Holding("out", xs)
        finally:
            xs.append(inc(3))
    except Holding as e:
        return e.held, xs


@workflow
def leaves_changed_by_finally(n):
    xs = [inc(n)]
    try:
        inc(n)
        raise Holding("left", xs)
    finally:
        xs.append(inc(3))


@workflow
def _fails_inside(xs):
    y = inc(1)
    raise Holding(y, xs)


@workflow
def raised_by_an_inlined_workflow(n):
    xs = [inc(n)]
    try:
        _fails_inside(xs)
    except Holding as e:
        e.held.append(9)
    return xs


@workflow
def method_raises_what_it_keeps(n):
    box = Box(n, [1])
    try:
        y = inc(1)
        refuse_kept(box)
    except Holding as e:
        e.held.append(y)
    z = inc(2)
    return box.items, z


@workflow
def caught_without_steps(n):
    xs = [inc(n), 0]
    try:
        refuse(xs)
    except KeyError as e:
        e.args[0].append(3)
    y = inc(n)
    return xs, y


@workflow
def handed_on_by_a_local_function(n):
    xs = [n]

    def check():
        raise Holding("local", xs)

    try:
        y = inc(n)
        check()
    except Holding as e:
        e.held.append(y)
    z = inc(n)
    return xs, z


@workflow
def errors_noted_and_kept(n):
    errors, rows = [], [n, 1, 2]
    for row in rows:
        try:
            fail_from(row, 1)
        except ValueError as e:
            e.add_note(f"row {inc(row)}")
            e.row = row
            errors.append(e)
    if errors:
        errors[0].row += 1
        raise ExceptionGroup("all", errors)
    return rows


cases(errors_noted_and_kept, call(5), call(1))
cases(raises_what_it_changes, call(1))
cases(helper_raises_its_argument, call(1))
cases(raised_object_changes_under_its_name, call(1))
cases(raised_made_before, call(1))
cases(raised_in_a_loop, call(6), call(0))
cases(cause_changes, call(1))
cases(changed_on_the_way_out, call(1))
cases(leaves_changed_by_finally, call(1))
cases(raised_by_an_inlined_workflow, call(1))
cases(method_raises_what_it_keeps, call(1))
cases(caught_without_steps, call(1))
cases(handed_on_by_a_local_function, call(1))
cases(uncaught, call(1))
cases(every_kind, *(call(kind) for kind in ("value", "bad", "worse", "key", "os", "unicode", "stop")))
cases(not_an_exception, call("leave"), call("exit"), call("bad"))
cases(base_is_caught, call("leave"), call("exit"), call("key"))
cases(first_failure_counts, call(1), call(2))
cases(what_failed_input_feeds, call(1))
cases(handler_sees_earlier_names, call(1), call(3))
cases(handler_sees_changes, call(1), call(3))
cases(glue_fails_halfway, call(1))
cases(loop_fails_midway, call([1, 2, 3, 4]), call([1]), call([5]))
cases(else_is_not_protected, call(1), call(2))
cases(finally_on_each_way, call(0), call(1), call(2))
cases(finally_returns, call(1), call(2))
cases(finally_changes_the_result, call(1))
cases(finally_rebinds, call(1))
cases(finally_in_loop, call(5), call(2), call(0))
cases(break_in_finally, call(2), call(9))
cases(finally_fails, call(1))
cases(raised_from, call(1))
cases(raised_from_none, call(1))
cases(raised_in_handler, call(1))
cases(step_fails_in_handler, call(1))
cases(raised_again, call(1), call(0))
cases(raised_by_name, call(1))
cases(chained_in_the_step, call(1))
cases(cause_is_seen, call(1))
cases(current_exception, call(1))
cases(current_in_finally, call(1), call(2))
cases(nested_handlers, call(1))
cases(error_name_is_unbound_after, call(1), call(2))
cases(handler_order, call("worse"), call("bad"), call("key"), call("leave"))
cases(unmatched, call(1))
cases(except_type_fails, call(1))
cases(asserts, call(0), call(3), call(4))
cases(guards, call(1), call(2), call(4))
cases(retried_by_hand, call(1), call(3), call(9))
cases(gathered_failures, call([1, 5, 2]), call([]))
cases(error_is_a_value, call(1))
cases(plain_suppress, call(1))
cases(stop_iteration_from_a_step, call(2))
cases(stop_iteration_directly, call(2))
cases(index_error_comes_first, call(2))
cases(attribute_error_comes_first, call(2))
cases(type_of_argument_fails, call(2))
cases(wrong_arguments, call(2))
cases(deep_nesting, call(1), call(9), call(-1))
cases(finally_inside_a_handler, call(1))
cases(outer_raised_again_in_a_handler, call(1))
cases(outer_raised_again_in_finally, call(1))
cases(middle_raised_again, call(1))
cases(outer_raised_again_by_a_cause, call(1))
