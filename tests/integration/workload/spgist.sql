-- SP-GiST: radix tree, quad tree, k-d tree, ranges and addresses; vacuum with its redirects.
SELECT setseed(:round / 100.0);
INSERT INTO spgist_text
    SELECT g, 'http://host' || g % 20 || '/' || repeat(chr(97 + g % 26), 1 + g % 30) || '/' || md5(g::text)
    FROM generate_series(1, :rows / 2) g;
INSERT INTO spgist_text SELECT g, repeat('long prefix ', 20) || g || :round FROM generate_series(1, :rows / 20) g;
INSERT INTO spgist_text SELECT g, chr(33 + (random() * 90)::int) || g FROM generate_series(1, :rows / 20) g;
INSERT INTO spgist_point SELECT g, point(random(), random()) FROM generate_series(1, :rows / 2) g;
INSERT INTO spgist_range
    SELECT g, int4range((random() * 1000000)::int, 1000000 + (random() * 1000000)::int),
           '10.0.0.0'::inet + (random() * 16000000)::int
    FROM generate_series(1, :rows / 4) g;
INSERT INTO spgist_small SELECT md5(g::text) FROM generate_series(1, 40) g;

DELETE FROM spgist_text WHERE id % 3 = :round % 3;
DELETE FROM spgist_point WHERE place[1] < 0.3;
DELETE FROM spgist_range WHERE id % 2 = 0;
DELETE FROM spgist_small;
VACUUM (INDEX_CLEANUP on) spgist_text;
VACUUM (INDEX_CLEANUP on) spgist_point;
VACUUM (INDEX_CLEANUP on) spgist_range;
VACUUM (INDEX_CLEANUP on) spgist_small;
INSERT INTO spgist_point SELECT g, point(random(), random() * 0.3) FROM generate_series(1, :rows / 4) g;
VACUUM (INDEX_CLEANUP on) spgist_point;
CREATE INDEX spgist_built ON spgist_text USING spgist (path);
DROP INDEX spgist_built;
