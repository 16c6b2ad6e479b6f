-- Counts of the tasks that have ended, kept by each commit, so that a run of a million tasks is shown without
-- reading a million rows. A final state never changes, so a count only grows.

create table task_counts (
    run text not null,
    node bigint not null,
    kind text not null,
    state text not null,
    instances bigint not null,
    attempts bigint not null,
    started_ms bigint not null,
    ended_ms bigint not null,
    primary key (run, node, kind, state)
) without rowid;

-- No release has written a database without this table, so this reads the rows of first trials only.
insert into task_counts (run, node, kind, state, instances, attempts, started_ms, ended_ms)
select
    run, node, kind, state, count(*), sum(attempt), coalesce(min(nullif(started_ms, 0)), 0), max(ended_ms)
from tasks
where state in ('succeeded', 'reused', 'failed', 'skipped', 'not_run', 'cancelled')
group by run, node, kind, state;

-- What people ask for among many. A query uses it only if it repeats the condition word for word.
create index tasks_by_state on tasks (run, state, node, idx)
where state in ('waiting', 'running', 'retrying', 'failed');
