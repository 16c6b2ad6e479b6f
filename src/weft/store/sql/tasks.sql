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

-- As `page_of_state`, for the states that the index `tasks_by_state` holds.
-- name: page_of_indexed_state
select
    run, node, idx, path, kind, state, attempt, key, started_ms, ended_ms, cpu_ms, memory_bytes,
    executor, worker, source, reason, inputs, outcome
from tasks
where run = :run and (node, idx) > (:node, :idx) and state = :state
    and state in ('waiting', 'running', 'retrying', 'failed')
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

-- name: count_ended
insert into task_counts (run, node, kind, state, instances, attempts, started_ms, ended_ms)
values (:run, :node, :kind, :state, :instances, :attempts, :started_ms, :ended_ms)
on conflict (run, node, kind, state) do update set
    instances = task_counts.instances + excluded.instances,
    attempts = task_counts.attempts + excluded.attempts,
    started_ms = case
        when task_counts.started_ms = 0 then excluded.started_ms
        when excluded.started_ms = 0 or excluded.started_ms > task_counts.started_ms then task_counts.started_ms
        else excluded.started_ms
    end,
    ended_ms = case
        when excluded.ended_ms > task_counts.ended_ms then excluded.ended_ms else task_counts.ended_ms
    end

-- The ended ones by their counts, the others by the index `tasks_by_state`. Of its states only `failed` is a
-- final one; written as an inequality, because with `<>` SQLite reads all tasks of the run instead.
-- name: counts
select node, kind, state, instances, attempts, started_ms, ended_ms
from task_counts where run = :run
union all
select node, kind, state, count(*), sum(attempt), coalesce(min(nullif(started_ms, 0)), 0), max(ended_ms)
from tasks
where run = :run and state in ('waiting', 'running', 'retrying', 'failed') and state > 'failed'
group by node, kind, state
order by 1, 2, 3

-- name: attempts
select run, node, idx, attempt, state, started_ms, ended_ms, executor, worker, log, failure
from attempts where run = :run and node = :node and idx = :idx
order by attempt

-- name: attempts_of_run
select run, node, idx, attempt, state, started_ms, ended_ms, executor, worker, log, failure
from attempts where run = :run and (node, idx, attempt) > (:node, :idx, :attempt)
order by node, idx, attempt limit :count

-- What each step call took, of those taken over too: their times are those of the run that did the work.
-- name: took
select node, count(*), sum(ended_ms - started_ms), max(ended_ms - started_ms)
from tasks
where run = :run and kind = 'call' and state in ('succeeded', 'reused') and started_ms > 0
group by node
order by node

-- What an audit compares: the rows counted anew, and the counts that were kept.
-- name: recount
select node, kind, state, count(*), sum(attempt), coalesce(min(nullif(started_ms, 0)), 0), max(ended_ms)
from tasks where run = :run
group by node, kind, state order by 1, 2, 3

-- name: ended_counts
select node, kind, state, instances, attempts, started_ms, ended_ms
from task_counts where run = :run order by 1, 2, 3

-- name: count_attempts
select count(*) from attempts where run = :run

-- name: sources
select distinct source from tasks where run = :run and source is not null order by source
