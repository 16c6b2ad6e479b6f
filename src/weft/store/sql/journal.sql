-- The journal: only ever added to.

-- name: add
insert into journal (run, seq, at_ms, kind, subject, cause, body, hash)
values (:run, :seq, :at_ms, :kind, :subject, :cause, :body, :hash)

-- name: page
select seq, at_ms, kind, subject, cause, body, hash
from journal where run = :run and seq > :after order by seq limit :count

-- name: head
select journal_head, journal_count from runs where id = :run
