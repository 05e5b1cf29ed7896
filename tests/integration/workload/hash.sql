-- Hash indexes: bucket splits, overflow pages for repeated keys, squeezing by vacuum.
INSERT INTO hash_int SELECT :round * 1000000 + g, g % 40 FROM generate_series(1, :rows / 2) g;
INSERT INTO hash_text SELECT md5(g::text || :round) FROM generate_series(1, :rows / 2) g;
DELETE FROM hash_int WHERE key % 3 = :round % 3;
DELETE FROM hash_text WHERE key < '8';
VACUUM (INDEX_CLEANUP on) hash_int;
VACUUM (INDEX_CLEANUP on) hash_text;
INSERT INTO hash_int SELECT :round * 1000000 + 700000 + g, 7 FROM generate_series(1, :rows / 4) g;
DELETE FROM hash_int WHERE key = 7 AND id % 10 <> 0;
VACUUM (INDEX_CLEANUP on) hash_int;
CREATE INDEX hash_built ON hash_text USING hash (key);
DROP INDEX hash_built;
