-- Runs. Every write of a driver repeats the fence and the states from which the move is allowed;
-- a test compares these conditions with the table in model/states.py.

-- name: insert_program
insert into programs (digest, body) values (:digest, :body) on conflict (digest) do nothing

-- name: get_program
select body from programs where digest = :digest

-- name: insert
insert into runs (
    id, workflow, program, module, file, state, params, tags, profile, code, resumed_from, parent_run,
    parent_task, notes, created_ms, started_ms, ended_ms, owner, fence, lease_until_ms, cancel_requested_ms,
    cancel_cause, journal_head, journal_count
)
values (
    :id, :workflow, :program, :module, :file, 'queued', :params, :tags, :profile, :code, :resumed_from, :parent_run,
    :parent_task, :notes, :created_ms, 0, 0, null, 0, 0, 0,
    '', :journal_head, :journal_count
)
on conflict (id) do nothing

-- name: insert_values
insert into run_values (run, inputs) values (:id, :inputs)

-- The first entry's body is a digest of the run as it was accepted.
-- name: begins_with
select 1 from runs r join journal j on j.run = r.id
where r.id = :run and r.params = :params and j.seq = 1 and j.hash = :hash

-- name: claim
update runs set
    owner = :owner,
    fence = fence + 1,
    lease_until_ms = :until_ms,
    state = case when state = 'queued' then 'running' else state end,
    started_ms = case when started_ms = 0 then :now_ms else started_ms end
where id = :run
    and state in ('queued', 'running', 'failing', 'cancelling')
    and (owner is null or lease_until_ms <= :now_ms or owner = :dead)
returning fence, state, journal_head, journal_count

-- A run that has ended, or was given back, has no owner.
-- name: heartbeat
update runs set lease_until_ms = :until_ms
where id = :run and fence = :fence and owner is not null
returning cancel_requested_ms

-- name: release
update runs set owner = null, lease_until_ms = 0
where id = :run and fence = :fence

-- The path of every commit: SQLite builds a table for a list of three, and compares with one of two.
-- name: advance
update runs set journal_head = :head, journal_count = :count
where id = :run and fence = :fence and owner is not null
    and journal_head = :head_before and journal_count = :count_before
    and (state = 'running' or state in ('failing', 'cancelling'))

-- Only inside the transaction that claimed the run, or ended it while nobody had it.
-- name: append
update runs set journal_head = :head, journal_count = :count where id = :run

-- name: move
update runs set state = :state
where id = :run and fence = :fence and (
    (state = 'running' and :state in ('failing', 'cancelling'))
    or (state = 'failing' and :state = 'cancelling')
)

-- name: end
update runs set state = :state, ended_ms = :at_ms, owner = null, lease_until_ms = 0
where id = :run and fence = :fence and (
    (state = 'running' and :state in ('succeeded', 'failed'))
    or (state = 'failing' and :state in ('failed', 'succeeded'))
    or (state = 'cancelling' and :state in ('cancelled', 'failed', 'succeeded'))
)

-- name: end_values
update run_values set result = :result, failure = :failure where run = :run

-- name: cancel_queued
update runs set state = 'cancelled', ended_ms = :now_ms, cancel_requested_ms = :now_ms, cancel_cause = :cause
where id = :run and state = 'queued'

-- name: request_cancel
update runs set cancel_requested_ms = :now_ms, cancel_cause = :cause
where id = :run and cancel_requested_ms = 0 and state in ('running', 'failing', 'cancelling')

-- name: cancel_requested
select cancel_requested_ms from runs where id = :run

-- Only in a copy of the database, whose runs nobody drives.
-- name: disown_all
update runs set owner = null, lease_until_ms = 0 where owner is not null

-- name: count
select count(*) from runs

-- name: standing
select state, owner, fence, lease_until_ms, journal_head, journal_count from runs where id = :run

-- name: get
select
    r.id, r.workflow, r.program, r.module, r.file, r.state, r.params, v.inputs, r.tags, r.profile, r.code,
    r.resumed_from, r.parent_run, r.parent_task, r.notes, r.created_ms, r.started_ms, r.ended_ms, r.owner,
    r.fence, r.lease_until_ms, r.cancel_requested_ms, r.cancel_cause, v.result, v.failure, r.journal_head,
    r.journal_count
from runs r join run_values v on v.run = r.id
where r.id = :run

-- name: latest
select id from runs where parent_run is null order by id desc limit 1

-- name: candidates
select id, workflow, state from runs where id >= :low and id < :high order by id desc limit :count

-- name: list
select id from runs where id < :before order by id desc limit :count

-- name: list_by_workflow
select id from runs where workflow = :workflow and id < :before order by id desc limit :count

-- name: list_by_state
select id from runs where state = :state and id < :before order by id desc limit :count

-- name: list_by_workflow_state
select id from runs where workflow = :workflow and state = :state and id < :before order by id desc limit :count

-- name: list_children
select id from runs where parent_run = :parent order by id

-- name: list_resumed
select id from runs where resumed_from = :origin order by id

-- name: close_for_delete
update runs set fence = fence + 1, owner = null, lease_until_ms = 0
where id = :run and (
    state in ('queued', 'succeeded', 'failed', 'cancelled') or owner is null or lease_until_ms <= :now_ms
)
returning program

-- name: delete_tasks
delete from tasks where run = :run

-- name: delete_counts
delete from task_counts where run = :run

-- name: delete_attempts
delete from attempts where run = :run

-- name: delete_journal
delete from journal where run = :run

-- name: delete_blobs
delete from blobs where run = :run

-- name: delete_values
delete from run_values where run = :run

-- name: delete
delete from runs where id = :run

-- name: delete_program
delete from programs where digest = :program and not exists (select 1 from runs where program = :program)
