-- Tasks and their attempts. A final state never changes, and nothing that has run goes back to not having run.

-- name: put
insert into tasks (
    run, node, idx, path, kind, state, attempt, key, started_ms, ended_ms, cpu_ms, memory_bytes,
    executor, worker, source, reason, inputs, outcome
)
values (
    :run, :node, :idx, :path, :kind, :state, :attempt, :key, :started_ms, :ended_ms, :cpu_ms, :memory_bytes,
    :executor, :worker, :source, :reason, :inputs, :outcome
)
on conflict (run, node, idx) do update set
    path = excluded.path, kind = excluded.kind, state = excluded.state, attempt = excluded.attempt,
    key = excluded.key, started_ms = excluded.started_ms, ended_ms = excluded.ended_ms,
    cpu_ms = excluded.cpu_ms, memory_bytes = excluded.memory_bytes, executor = excluded.executor,
    worker = excluded.worker, source = excluded.source, reason = excluded.reason,
    inputs = excluded.inputs, outcome = excluded.outcome
where tasks.state = 'waiting'
    or (tasks.state in ('running', 'retrying') and excluded.state not in ('waiting', 'skipped', 'reused'))

-- name: put_attempt
insert into attempts (
    run, node, idx, attempt, state, started_ms, ended_ms, executor, worker, log, failure
)
values (
    :run, :node, :idx, :attempt, :state, :started_ms, :ended_ms, :executor, :worker, :log, :failure
)
on conflict (run, node, idx, attempt) do nothing

-- name: get
select
    run, node, idx, path, kind, state, attempt, key, started_ms, ended_ms, cpu_ms, memory_bytes,
    executor, worker, source, reason, inputs, outcome
from tasks where run = :run and node = :node and idx = :idx

-- name: page
select
    run, node, idx, path, kind, state, attempt, key, started_ms, ended_ms, cpu_ms, memory_bytes,
    executor, worker, source, reason, inputs, outcome
from tasks where run = :run and (node, idx) > (:node, :idx)
order by node, idx limit :count

-- name: page_of_state
select
    run, node, idx, path, kind, state, attempt, key, started_ms, ended_ms, cpu_ms, memory_bytes,
    executor, worker, source, reason, inputs, outcome
from tasks where run = :run and (node, idx) > (:node, :idx) and state = :state
order by node, idx limit :count

-- name: named
select
    run, node, idx, path, kind, state, attempt, key, started_ms, ended_ms, cpu_ms, memory_bytes,
    executor, worker, source, reason, inputs, outcome
from tasks where run = :run and path = :path
order by node, idx limit :count

-- name: cached
select
    run, node, idx, path, kind, state, attempt, key, started_ms, ended_ms, cpu_ms, memory_bytes,
    executor, worker, source, reason, inputs, outcome
from tasks
where key = :key and key is not null and state in ('succeeded', 'reused')
    and state = 'succeeded' and ended_ms >= :not_before_ms
order by ended_ms desc, run desc limit 1

-- `run || ''` keeps SQLite from reading all tasks of the run instead of the few with the key.
-- name: keyed
select
    run, node, idx, path, kind, state, attempt, key, started_ms, ended_ms, cpu_ms, memory_bytes,
    executor, worker, source, reason, inputs, outcome
from tasks
where key = :key and key is not null and state in ('succeeded', 'reused') and run || '' = :run
order by ended_ms desc limit 1

-- name: counts
select node, kind, state, count(*), sum(attempt), min(started_ms), max(ended_ms)
from tasks where run = :run
group by node, kind, state order by node, kind, state

-- name: attempts
select run, node, idx, attempt, state, started_ms, ended_ms, executor, worker, log, failure
from attempts where run = :run and node = :node and idx = :idx
order by attempt

-- name: attempts_of_run
select run, node, idx, attempt, state, started_ms, ended_ms, executor, worker, log, failure
from attempts where run = :run and (node, idx, attempt) > (:node, :idx, :attempt)
order by node, idx, attempt limit :count
