-- The heap: HOT chains and pruning, COPY (multi-insert), freezing, row locks, TOAST, upserts.
-- Variables of all scripts: :round (1, 2, ...), :rows, :directory (writable by the server).
SELECT setseed(:round / 100.0);

-- HOT updates until pages are pruned; then updates that change the indexed column (not HOT).
UPDATE heap_hot SET counter = counter + 1;
UPDATE heap_hot SET counter = counter + 1, note = note || '.' WHERE id % 3 = 0;
UPDATE heap_hot SET counter = counter + 1 WHERE id % 2 = 0;
UPDATE heap_hot SET id = -id WHERE id % 10 = 0;
SELECT count(*) FROM heap_hot WHERE counter > 0;

-- COPY writes many rows a record; a table filled in the transaction that creates it is frozen.
\set file :directory/heap.:round
COPY (SELECT g, 'name ' || g, repeat(md5(g::text), 1 + g % 4) FROM generate_series(1, :rows) g)
    TO :'file';
COPY heap_copy FROM :'file';
BEGIN;
CREATE TABLE heap_copy_new (LIKE heap_copy);
COPY heap_copy_new FROM :'file' WITH (FREEZE);
COMMIT;
DELETE FROM heap_copy WHERE id % 3 = :round % 3;
DROP TABLE heap_copy_new;

-- Vacuum in all its forms: dead line pointers, all-visible bits, freezing, truncation of the end.
INSERT INTO heap_frozen SELECT g, md5(g::text) FROM generate_series(1, :rows) g;
DELETE FROM heap_frozen WHERE id % 7 = 0;
VACUUM heap_frozen;
VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) heap_frozen;
UPDATE heap_frozen SET name = 'touched' WHERE id % 50 = 0;
DELETE FROM heap_frozen WHERE id > :rows / 2;
VACUUM (TRUNCATE) heap_frozen;
VACUUM (INDEX_CLEANUP off) heap_copy;
VACUUM (PARALLEL 2) heap_hot;

-- Row locks: a subtransaction's lock beside its parent's makes a multixact.
BEGIN;
SELECT count(*) FROM (SELECT 1 FROM heap_lock WHERE id % 2 = 0 FOR KEY SHARE) locked;
SAVEPOINT inner_lock;
SELECT count(*) FROM (SELECT 1 FROM heap_lock WHERE id % 4 = 0 FOR NO KEY UPDATE) locked;
UPDATE heap_lock SET value = value + 1 WHERE id % 8 = 0;
SAVEPOINT innermost;
SELECT count(*) FROM (SELECT 1 FROM heap_lock WHERE id % 3 = 0 FOR UPDATE) locked;
ROLLBACK TO innermost;
COMMIT;
VACUUM (FREEZE) heap_lock;

-- Speculative insertion.
INSERT INTO heap_upsert SELECT (random() * :rows / 4)::int FROM generate_series(1, :rows / 4)
    ON CONFLICT DO NOTHING;
INSERT INTO heap_upsert SELECT g FROM generate_series(1, :rows / 8) g
    ON CONFLICT (key) DO UPDATE SET hits = heap_upsert.hits + 1;

-- TOAST: compressed in line, compressed out of line, plain out of line; rewritten and deleted.
INSERT INTO heap_toast
    SELECT :round * 1000000 + g, (SELECT string_agg(md5((g * 1000 + i)::text), '')
                                  FROM generate_series(1, 20 + g % 200) i)
    FROM generate_series(1, :rows / 50) g;
ALTER TABLE heap_toast ALTER document SET COMPRESSION lz4;
INSERT INTO heap_toast
    SELECT :round * 1000000 + 500000 + g, repeat('lz4 ' || g, 3000) FROM generate_series(1, :rows / 100) g;
INSERT INTO heap_toast_external
    SELECT :round * 1000000 + g, repeat(md5(g::text), 300) FROM generate_series(1, :rows / 100) g;
UPDATE heap_toast SET document = document || 'tail' WHERE id % 5 = 0;
DELETE FROM heap_toast_external WHERE id % 2 = 0;
VACUUM heap_toast, heap_toast_external;
