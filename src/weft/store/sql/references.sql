-- Which run needs which blob.

-- name: add
insert into blobs (digest, run, codec, size_bytes) values (:digest, :run, :codec, :size_bytes)
on conflict (digest, run) do nothing

-- name: page
select distinct digest from blobs where digest > :after order by digest limit :count

-- name: of_run
select digest, codec, size_bytes from blobs where run = :run and digest > :after order by digest limit :count

-- name: runs_of
select run from blobs where digest = :digest order by run limit :count
