-- The tables that exist before the base backup, one group for each script of this directory.
-- :rows is the number of rows a script works on in a round.
SELECT setseed(0.15);
CREATE EXTENSION bloom;

-- heap.sql
CREATE TABLE heap_hot (id int PRIMARY KEY, counter int, note text) WITH (fillfactor = 70);
CREATE TABLE heap_copy (id int, name text, payload text);
CREATE TABLE heap_frozen (id int, name text);
CREATE TABLE heap_lock (id int PRIMARY KEY, value int);
CREATE TABLE heap_upsert (key int PRIMARY KEY, hits int DEFAULT 1);
CREATE TABLE heap_toast (id int PRIMARY KEY, document text);
CREATE TABLE heap_toast_external (id int PRIMARY KEY, document text);
ALTER TABLE heap_toast_external ALTER document SET STORAGE EXTERNAL;
INSERT INTO heap_hot SELECT g, 0, 'row ' || g FROM generate_series(1, :rows / 5) g;
INSERT INTO heap_lock SELECT g, 0 FROM generate_series(1, :rows / 10) g;

-- btree.sql
CREATE TABLE btree_unique (id bigint PRIMARY KEY, filler text);
CREATE TABLE btree_random (key float8, word text);
CREATE INDEX ON btree_random (key);
CREATE INDEX ON btree_random (word DESC) INCLUDE (key);
CREATE TABLE btree_duplicate (id int, key int, version int);
CREATE INDEX btree_duplicate_key ON btree_duplicate (key);
CREATE INDEX btree_duplicate_version ON btree_duplicate (version);
CREATE INDEX btree_duplicate_plain ON btree_duplicate (key) WITH (deduplicate_items = off);
CREATE TABLE btree_tall (id int, key text COLLATE "C");
ALTER TABLE btree_tall ALTER key SET STORAGE PLAIN;
CREATE INDEX btree_tall_key ON btree_tall (key);
INSERT INTO btree_unique SELECT g, md5(g::text) FROM generate_series(1, :rows) g;
INSERT INTO btree_duplicate SELECT g, g % 97, 0 FROM generate_series(1, :rows) g;

-- hash.sql
CREATE TABLE hash_int (id int, key int);
CREATE INDEX ON hash_int USING hash (id);
CREATE INDEX hash_int_key ON hash_int USING hash (key) WITH (fillfactor = 90);
CREATE TABLE hash_text (key text);
CREATE INDEX ON hash_text USING hash (key);
INSERT INTO hash_int SELECT g, g % 40 FROM generate_series(1, :rows / 4) g;

-- gin.sql
CREATE TABLE gin_array (id int, tags int[]);
CREATE INDEX gin_array_pending ON gin_array USING gin (tags) WITH (gin_pending_list_limit = 64);
CREATE INDEX gin_array_direct ON gin_array USING gin (tags) WITH (fastupdate = off);
CREATE TABLE gin_text (id int, body tsvector, attributes jsonb);
CREATE INDEX ON gin_text USING gin (body);
CREATE INDEX ON gin_text USING gin (attributes jsonb_path_ops) WITH (fastupdate = off);
INSERT INTO gin_array SELECT g, ARRAY[1, g % 10, g] FROM generate_series(1, :rows / 4) g;

-- gist.sql
CREATE TABLE gist_point (id int, place point, area box);
CREATE INDEX ON gist_point USING gist (place);
CREATE INDEX ON gist_point USING gist (area) WITH (fillfactor = 50);
CREATE TABLE gist_range (id int, during int4range, EXCLUDE USING gist (during WITH &&));
INSERT INTO gist_point
    SELECT g, point(random(), random()), box(point(g, g), point(g + 9, g + 9))
    FROM generate_series(1, :rows / 4) g;

-- spgist.sql
CREATE TABLE spgist_text (id int, path text);
CREATE INDEX ON spgist_text USING spgist (path);
CREATE TABLE spgist_point (id int, place point);
CREATE INDEX ON spgist_point USING spgist (place);
CREATE INDEX ON spgist_point USING spgist (place kd_point_ops);
CREATE TABLE spgist_range (id int, during int4range, address inet);
CREATE INDEX ON spgist_range USING spgist (during);
CREATE INDEX ON spgist_range USING spgist (address);
CREATE TABLE spgist_small (path text);
CREATE INDEX ON spgist_small USING spgist (path);
INSERT INTO spgist_point SELECT g, point(random(), random()) FROM generate_series(1, :rows / 4) g;

-- brin.sql
CREATE TABLE brin_log (id int, at timestamp, source inet, word text, filler text)
    WITH (autovacuum_enabled = off);
CREATE INDEX brin_log_narrow ON brin_log USING brin (id, at, word) WITH (pages_per_range = 1);
CREATE INDEX brin_log_wide ON brin_log
    USING brin (source inet_inclusion_ops, id int4_minmax_multi_ops, word text_bloom_ops)
    WITH (pages_per_range = 4);
INSERT INTO brin_log
    SELECT g, 'epoch'::timestamp + g * interval '1 min', '10.0.0.0'::inet + g, md5(g::text),
           repeat('x', 400)
    FROM generate_series(1, :rows / 4) g;

-- bloom.sql
CREATE TABLE bloom_wide (a int, b int, c int);
CREATE INDEX ON bloom_wide USING bloom (a, b, c);

-- relation.sql
CREATE TABLE relation_parted (id int, region int, note text) PARTITION BY LIST (region);
CREATE TABLE relation_parted_1 PARTITION OF relation_parted FOR VALUES IN (1);
CREATE TABLE relation_parted_2 PARTITION OF relation_parted FOR VALUES IN (2);
CREATE INDEX ON relation_parted (id);
CREATE UNLOGGED TABLE relation_unlogged (id int PRIMARY KEY, tags int[], note text);
CREATE INDEX ON relation_unlogged USING gin (tags);
CREATE SEQUENCE relation_sequence CACHE 5;
CREATE TABLE relation_mapped (id int PRIMARY KEY, note text) WITH (user_catalog_table = true);
CREATE TABLE relation_spaced (id int PRIMARY KEY, note text) TABLESPACE workload_space;
INSERT INTO relation_spaced SELECT g, md5(g::text) FROM generate_series(1, :rows / 10) g;

-- transaction.sql
CREATE TABLE transaction_ledger (id serial PRIMARY KEY, account int, amount int);
CREATE INDEX ON transaction_ledger (account);
