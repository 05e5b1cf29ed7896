-- GiST: splits, exclusion constraints, deleted and reused pages, sorted and buffering builds.
SELECT setseed(:round / 100.0);
INSERT INTO gist_point
    SELECT :round * 1000000 + g, point(random(), random()), box(point(g, g), point(g + 9, g + 9))
    FROM generate_series(1, :rows / 2) g;
INSERT INTO gist_range
    SELECT g, int4range(:round * 10000000 + g * 10, :round * 10000000 + g * 10 + 10)
    FROM generate_series(1, :rows / 4) g;
UPDATE gist_point SET place = point(random(), random()) WHERE id % 10 = 0;

-- A region is emptied: its pages are deleted, and reused by the insertions after the next vacuum.
DELETE FROM gist_point WHERE place[0] < 0.6 OR id % 100 = 1;
VACUUM (INDEX_CLEANUP on) gist_point;
VACUUM (INDEX_CLEANUP on) gist_point;
INSERT INTO gist_point
    SELECT :round * 1000000 + 500000 + g, point(random() * 0.6, random()), box(point(0, g), point(1, g))
    FROM generate_series(1, :rows / 2) g;
SET enable_seqscan = off;
DELETE FROM gist_range WHERE id % 3 <> 0;
SELECT count(*) FROM gist_range WHERE during && int4range(:round * 10000000, :round * 10000000 + 100000);
VACUUM (INDEX_CLEANUP on) gist_range;

CREATE INDEX gist_sorted ON gist_point USING gist (place);
CREATE INDEX gist_buffered ON gist_point USING gist (area) WITH (buffering = on);
DROP INDEX gist_sorted, gist_buffered;
