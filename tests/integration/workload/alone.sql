-- What locks system catalogs or the whole cluster, and so runs while nothing else does.
-- Mapped catalogs get new files (relation map updates). While a logical slot exists, rewriting a
-- catalog logs where its rows went.
SELECT pg_create_logical_replication_slot('workload', 'test_decoding') IS NOT NULL;
BEGIN;
INSERT INTO relation_mapped SELECT g, 'round ' || :round FROM generate_series(:round * 1000, :round * 1000 + 200) g;
COMMIT;
UPDATE relation_mapped SET note = note || '!' WHERE id % 2 = 0;
VACUUM FULL relation_mapped;
VACUUM FULL pg_class;
REINDEX TABLE pg_type;
SELECT pg_drop_replication_slot('workload');

-- Databases and tablespaces.
CREATE DATABASE workload_logged TEMPLATE template0 STRATEGY wal_log;
CREATE DATABASE workload_copied TEMPLATE template0 STRATEGY file_copy;
\set home :directory/space.:round
\setenv SPACE :home
\! mkdir "$SPACE"
CREATE TABLESPACE workload_short LOCATION :'home';
CREATE TABLE alone_spaced TABLESPACE workload_short AS SELECT g FROM generate_series(1, 1000) g;
CREATE INDEX ON alone_spaced (g) TABLESPACE workload_short;
ALTER DATABASE workload_logged SET TABLESPACE workload_short;
\c workload_logged
CREATE TABLE alone_there AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 2000) g;
CREATE INDEX ON alone_there (id);
\c postgres
DROP TABLE alone_spaced;
DROP DATABASE workload_copied;
DROP DATABASE workload_logged;
DROP TABLESPACE workload_short;

-- Replication origins, a segment that ends early, everything frozen.
SELECT pg_replication_origin_create('workload') IS NOT NULL;
SELECT pg_replication_origin_session_setup('workload');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/1', now());
INSERT INTO transaction_ledger (account, amount) VALUES (0, 0);
COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_advance('workload', '0/2');
SELECT pg_replication_origin_drop('workload');
SELECT pg_switch_wal() IS NOT NULL;
VACUUM (FREEZE);

-- Scans mark what is dead to everybody, surely so only now; insertions into those full pages
-- remove it. Likewise only now it is sure that deleted pages may be reused.
VACUUM (INDEX_CLEANUP on) gist_point;
VACUUM (INDEX_CLEANUP on) btree_unique;
INSERT INTO btree_unique SELECT -g - :round * 10000000 - 8000000, 'reuse' FROM generate_series(1, :rows) g;
DELETE FROM hash_int WHERE key % 4 = :round % 4;
DELETE FROM gist_point WHERE id % 2 = 0;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
DO $$
BEGIN
    FOR k IN 0 .. 39 LOOP
        PERFORM id FROM hash_int WHERE key = k;
    END LOOP;
    PERFORM id FROM gist_point WHERE place <@ box '((0,0),(1,1))';
END $$;
INSERT INTO hash_int SELECT :round * 1000000 + 800000 + g, g % 40 FROM generate_series(1, :rows / 10) g;
INSERT INTO gist_point
    SELECT :round * 1000000 + 800000 + g, point(random(), random()), box(point(g, g), point(g, g))
    FROM generate_series(1, :rows / 2) g;
DELETE FROM gist_point WHERE id % 50 <> 0;
VACUUM (INDEX_CLEANUP on) gist_point;
VACUUM (INDEX_CLEANUP on) gist_point;
INSERT INTO gist_point
    SELECT :round * 1000000 + 700000 + g, point(random(), random()), box(point(g, g), point(g + 9, g + 9))
    FROM generate_series(1, :rows / 2) g;
