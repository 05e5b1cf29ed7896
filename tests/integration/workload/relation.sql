-- Relations that come, go, shrink, move and are rewritten.
INSERT INTO relation_parted SELECT g, 1 + g % 2, md5(g::text) FROM generate_series(1, :rows / 4) g;
UPDATE relation_parted SET region = 3 - region WHERE id % 20 = 0;
CREATE TABLE relation_parted_3 PARTITION OF relation_parted FOR VALUES IN (3);
INSERT INTO relation_parted SELECT g, 3, 'third' FROM generate_series(1, :rows / 20) g;
ALTER TABLE relation_parted DETACH PARTITION relation_parted_3;
DROP TABLE relation_parted_3;
TRUNCATE relation_parted_2;

CREATE MATERIALIZED VIEW relation_view AS SELECT region, count(*) FROM relation_parted GROUP BY region;
CREATE UNIQUE INDEX ON relation_view (region);
REFRESH MATERIALIZED VIEW relation_view;
REFRESH MATERIALIZED VIEW CONCURRENTLY relation_view;
DROP MATERIALIZED VIEW relation_view;

SELECT count(nextval('relation_sequence')) FROM generate_series(1, :rows / 10);
SELECT setval('relation_sequence', 1000 * :round);
ALTER SEQUENCE relation_sequence INCREMENT 3;

-- The init fork of an unlogged relation is logged, its rows are not; neither is a temporary table.
INSERT INTO relation_unlogged SELECT g, ARRAY[g, 1], md5(g::text) FROM generate_series(1, :rows / 20) g
    ON CONFLICT DO NOTHING;
CREATE UNLOGGED TABLE relation_unlogged_new (id int PRIMARY KEY, place point, word text, tags int[]);
CREATE INDEX ON relation_unlogged_new USING hash (id);
CREATE INDEX ON relation_unlogged_new USING gist (place);
CREATE INDEX ON relation_unlogged_new USING spgist (word);
CREATE INDEX ON relation_unlogged_new USING gin (tags);
CREATE INDEX ON relation_unlogged_new USING brin (id);
INSERT INTO relation_unlogged_new
    SELECT g, point(g, g), md5(g::text), ARRAY[g] FROM generate_series(1, :rows / 20) g;
ALTER TABLE relation_unlogged_new SET LOGGED;
DROP TABLE relation_unlogged_new;
CREATE TEMPORARY TABLE relation_temporary AS SELECT g FROM generate_series(1, :rows / 10) g;

-- Rewrites: into another file, another tablespace, and there again.
CREATE TABLE relation_rewritten AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, :rows / 4) g;
CREATE INDEX relation_rewritten_note ON relation_rewritten (note);
DELETE FROM relation_rewritten WHERE id % 2 = 0;
CLUSTER relation_rewritten USING relation_rewritten_note;
VACUUM FULL relation_rewritten;
ALTER TABLE relation_rewritten ALTER id TYPE bigint;
ALTER TABLE relation_rewritten SET TABLESPACE workload_space;
ALTER INDEX relation_rewritten_note SET TABLESPACE workload_space;
INSERT INTO relation_rewritten SELECT g, 'after' FROM generate_series(1, :rows / 20) g;
TRUNCATE relation_rewritten;
INSERT INTO relation_rewritten SELECT g, 'after truncate' FROM generate_series(1, :rows / 20) g;
BEGIN;
TRUNCATE relation_rewritten;
INSERT INTO relation_rewritten VALUES (1, 'rolled back');
ROLLBACK;
DROP TABLE relation_rewritten;
INSERT INTO relation_spaced SELECT -g - :round * 1000000, 'more' FROM generate_series(1, :rows / 10) g;
UPDATE relation_spaced SET note = 'changed' WHERE id % 3 = 0;
VACUUM relation_spaced;
