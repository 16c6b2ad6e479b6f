-- The first schema. Times are milliseconds since 1970; blobs are msgpack.
-- A later change is a new file with the next number, and only adds.

create table migrations (
    number bigint not null primary key,
    name text not null,
    applied_ms bigint not null
);

create table programs (
    digest text not null primary key,
    body blob not null
);

create table runs (
    id text not null primary key,
    workflow text not null,
    program text not null references programs (digest),
    module text not null,
    file text not null,
    state text not null check (
        state in ('queued', 'running', 'failing', 'cancelling', 'succeeded', 'failed', 'cancelled')
    ),
    params text not null,
    tags text not null,
    profile text not null,
    code text not null,
    resumed_from text,
    parent_run text,
    parent_task text,
    notes text not null,
    created_ms bigint not null,
    started_ms bigint not null,
    ended_ms bigint not null,
    owner text,
    fence bigint not null,
    lease_until_ms bigint not null,
    cancel_requested_ms bigint not null,
    cancel_cause text not null,
    journal_head text not null,
    journal_count bigint not null
);

create index runs_by_workflow on runs (workflow, id);
create index runs_by_state on runs (state, id);
create index runs_by_parent on runs (parent_run) where parent_run is not null;
create index runs_by_origin on runs (resumed_from) where resumed_from is not null;
create index runs_by_program on runs (program);

-- Apart from `runs`, whose row every commit of a driver writes anew and which must stay small.
create table run_values (
    run text not null primary key,
    inputs blob not null,
    result blob,
    failure blob
);

-- `state` without a check, which would cost a third of the insert; the statements hold the conditions.
create table tasks (
    run text not null,
    node bigint not null,
    idx blob not null,
    path text not null,
    kind text not null,
    state text not null,
    attempt bigint not null,
    key text,
    started_ms bigint not null,
    ended_ms bigint not null,
    cpu_ms bigint not null,
    memory_bytes bigint not null,
    executor text not null,
    worker text not null,
    source text,
    reason text not null,
    inputs blob not null,
    outcome blob not null,
    primary key (run, node, idx)
) without rowid;

-- Only what may be reused: an index over every row would double the cost of a loop's tasks. A query uses it
-- only if it repeats the condition word for word.
create index tasks_by_key on tasks (key, state, ended_ms)
where key is not null and state in ('succeeded', 'reused');

create table attempts (
    run text not null,
    node bigint not null,
    idx blob not null,
    attempt bigint not null,
    state text not null,
    started_ms bigint not null,
    ended_ms bigint not null,
    executor text not null,
    worker text not null,
    log text not null,
    failure blob not null,
    primary key (run, node, idx, attempt)
) without rowid;

create table journal (
    run text not null,
    seq bigint not null,
    at_ms bigint not null,
    kind text not null,
    subject text not null,
    cause text not null,
    body blob not null,
    hash text not null,
    primary key (run, seq)
) without rowid;

create table blobs (
    digest text not null,
    run text not null,
    codec text not null,
    size_bytes bigint not null,
    primary key (digest, run)
) without rowid;

create index blobs_by_run on blobs (run);
