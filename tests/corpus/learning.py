# ruff: noqa: B018, B905, F403, F405, RUF017
# The odd forms are the point of this file.
"""Workflows with the shape of machine-learning work."""

from weft import workflow

from .cases import call, cases
from .steps import *


@workflow
def delays(months, target=0.5):
    flights = sum([load(m) for m in months], [])
    report = check(flights)
    if not report.ok:
        nothing(f"bad data: {report.reasons}")
        return None
    models = [train(flights, kind) for kind in ("linear", "forest", "boosting")]
    best = max(models, key=lambda m: (m.weight, m.kind))
    if best.weight >= target:
        return best.kind, evaluate(best, flights)
    nothing(f"{best.weight:.3f} is below {target}")


@workflow
def sweep(rates, depths):
    results = {}
    for rate in rates:
        for depth in depths:
            score = add(double(rate), depth)
            results[rate, depth] = score
    best = max(results, key=results.get)
    return best, results[best], results


@workflow
def early_stopping(epochs, patience):
    weight, best, waited = 1.0, None, 0
    history = []
    for epoch in range(epochs):
        weight = improve(weight, epoch)
        history.append(weight)
        if best is None or weight < best:
            best, waited = weight, 0
        else:
            waited += 1
        if waited >= patience:
            break
    else:
        history.append("all epochs")
    return best, history, epoch


@workflow
def cross_validation(folds, kinds):
    scores = {kind: [] for kind in kinds}
    data = [load(k) for k in range(folds)]
    for held_out in range(folds):
        rest = [row for k, part in enumerate(data) if k != held_out for row in part]
        for kind in kinds:
            model = train(rest, kind)
            scores[kind].append(evaluate(model, data[held_out]))
    return {kind: sum(values) / len(values) for kind, values in scores.items()}


@workflow
def ensemble(n):
    members = []
    for k in range(n):
        members.append(train(load(k), f"member {k}"))
    weights = [m.weight for m in members]
    votes = [evaluate(m, [1, 2, 3]) for m in members]
    return sum(w * v for w, v in zip(weights, votes)) / max(sum(weights), 1)


@workflow
def configurations(configs):
    for c in configs:
        c["score"] = evaluate(train(load(c["month"]), c["kind"]), [1])
    configs.sort(key=lambda c: c["score"], reverse=True)
    best, *others = configs
    best["rank"] = inc(0)
    return best, [c["kind"] for c in others], configs


@workflow
def tolerant(months):
    parts, problems = [], {}
    for month in months:
        try:
            parts.append(total(load(fail_from(month, 3))))
        except ValueError as e:
            problems[month] = str(e)
            continue
    if not parts:
        raise Bad("no part", len(problems))
    return parts, problems


@workflow
def pipeline(n, stages=("clean", "scale")):
    data = load(n)
    log = []
    for stage in stages:
        match stage:
            case "clean":
                data = [x for x in data if is_even(x)]
            case "scale":
                data = [double(x) for x in data]
            case str(other) if other.startswith("add"):
                data = [inc(x, by=int(other[3:])) for x in data]
            case _:
                raise Bad("stage", stage)
        log.append((stage, len(data)))
    return data, log


@workflow
def successive_halving(n):
    pool = {name_of(k): inc(k) for k in range(n)}
    rounds = []
    for budget in (1, 2, 4):
        scores = {name: add(score, budget) for name, score in pool.items()}
        kept = sorted(scores, key=scores.get)[len(scores) // 2 :]
        pool = {name: scores[name] for name in kept}
        rounds.append(list(kept))
        if len(pool) <= 1:
            break
    return pool, rounds


@workflow
def features(n):
    table_ = {}
    for name, stage in (("plus", inc), ("twice", double), ("root", root)):
        table_[name] = [stage(x) for x in range(n)]
    joined = [dict(zip(table_, row)) for row in zip(*table_.values())]
    return joined, add(*[total(column) for column in table_.values()])


@workflow
def gated(n):
    data = load(n)
    try:
        report = check([n, *data])
        assert report.ok, f"reasons {report.reasons}"
        model = train(data, "gated")
    except AssertionError as e:
        return "refused", str(e)
    finally:
        nothing("cleaned up")
    return "released", model.weight


class Invalid(Exception):
    def __init__(self, state):
        super().__init__("invalid")
        self.state = state


def validate(state):
    if state["steps"] > 1:
        raise Invalid(state)


@workflow
def stops_early(n):
    state = {"w": 0, "losses": []}
    best, best_loss, patience = None, float("inf"), 0
    for _ in range(n):
        state["w"] = inc(state["w"])
        loss = abs(state["w"] - 3)
        state["losses"].append(loss)
        if loss < best_loss:
            best, best_loss, patience = dict(state), loss, 0
        else:
            patience += 1
            if patience >= 2:
                break
    else:
        return "full", best
    return best, best_loss, state["losses"]


@workflow
def failures_by_row(rows):
    counts, failed = {}, {}
    for place, row in enumerate(rows):
        try:
            found = fail_from(row, 2)
        except (ValueError, TypeError) as e:
            failed[place] = e
            continue
        counts[found] = counts.get(found, 0) + 1
    if failed:
        try:
            raise RuntimeError(f"{len(failed)} failed") from failed[min(failed)]
        except RuntimeError as e:
            return counts, str(e), repr(e.__cause__)
    return counts


@workflow
def validated_as_it_grows(n):
    state = {"steps": 0, "log": [], "todo": list(range(n))}
    reasons = []
    for k in state["todo"]:
        try:
            state["log"].append(inc(k))
            state["steps"] += 1
            validate(state)
        except Invalid as e:
            e.state["log"].append("invalid")
            reasons.append(str(e))
    return state, reasons


@workflow
def cleans_up_on_each_way_out(n):
    log = []
    try:
        for k in range(n):
            try:
                log.append(fail_from(k, 2))
            except ValueError as e:
                log.append(repr(e))
                if n > 4:
                    return log
                continue
            finally:
                log.append(f"after {k}")
        return log, "end"
    finally:
        log.append(inc(100))


@workflow
def folds(n):
    results = []
    for fold in range(n):
        kept, held = [k for k in range(6) if k % n != fold], [k for k in range(6) if k % n == fold]
        results.append({"fold": fold, "score": total(kept), "held": held})
        del kept, held
    try:
        kept
    except NameError as e:
        results.append(type(e).__name__)
    return results


cases(stops_early, call(10), call(2))
cases(failures_by_row, call([1, 2, 3, 2]), call([1]))
cases(validated_as_it_grows, call(3), call(0))
cases(cleans_up_on_each_way_out, call(2), call(4), call(6))
cases(folds, call(3))
cases(delays, call([1, 2]), call([1, 2], target=99), call([-1]), call([]))
cases(sweep, call([1, 2], [3, 4, 5]), call([1], [2]))
cases(early_stopping, call(6, 2), call(3, 9))
cases(cross_validation, call(3, ["a", "b"]))
cases(ensemble, call(3), call(0))
cases(configurations, call([{"month": 1, "kind": "x"}, {"month": 2, "kind": "y"}]))
cases(tolerant, call([1, 5, 2]), call([7, 8]), call([]))
cases(pipeline, call(3), call(3, ("add5", "clean")), call(3, ("nope",)))
cases(successive_halving, call(5), call(1))
cases(features, call(3))
cases(gated, call(1), call(-1))
