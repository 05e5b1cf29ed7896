-- B-trees: splits at both ends and in the middle, posting lists, bottom-up and simple deletion,
-- deletion and reuse of pages, a tree that grows tall and is thinned out to one page a level.
SELECT setseed(:round / 100.0);

INSERT INTO btree_random SELECT random(), md5(random()::text) FROM generate_series(1, :rows) g;
INSERT INTO btree_unique SELECT -g - :round * 10000000, 'left' FROM generate_series(1, :rows / 2) g;
INSERT INTO btree_unique SELECT g + :round * 10000000, 'right' FROM generate_series(1, :rows / 2) g;

-- Deleted and vacuumed, then the same keys at reused heap positions: posting lists get split.
DELETE FROM btree_duplicate WHERE id % 3 = :round % 3;
VACUUM (INDEX_CLEANUP on) btree_duplicate;
INSERT INTO btree_duplicate SELECT g, g % 97, 0 FROM generate_series(1, :rows / 2) g;
INSERT INTO btree_duplicate SELECT g, (random() * 96)::int, 0 FROM generate_series(1, :rows / 4) g;

-- Updates of one indexed column leave version churn in the other indexes: bottom-up deletion.
UPDATE btree_duplicate SET version = version + 1 WHERE id <= :rows / 10;
UPDATE btree_duplicate SET version = version + 1 WHERE id <= :rows / 10;
UPDATE btree_duplicate SET version = version + 1 WHERE id <= :rows / 10;

-- Scans mark dead items; the next insertions into those pages delete them.
DELETE FROM btree_unique WHERE id BETWEEN 1 AND :rows / 4;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(filler) FROM btree_unique WHERE id BETWEEN 1 AND :rows / 4;
RESET enable_seqscan;
RESET enable_bitmapscan;
INSERT INTO btree_unique SELECT g, 'again' FROM generate_series(1, :rows / 4) g ON CONFLICT DO NOTHING;

-- Whole ranges go: pages become half-dead, are unlinked, and reused after the next vacuum.
DELETE FROM btree_unique WHERE id < -:rows / 10;
VACUUM (INDEX_CLEANUP on) btree_unique;
VACUUM (INDEX_CLEANUP on) btree_unique;
INSERT INTO btree_unique SELECT -g - :round * 10000000 - 5000000, 'reuse' FROM generate_series(1, :rows / 4) g;

-- Keys of 1.2 kB make three levels out of a few hundred rows. Thinned out, the fast root moves
-- down; the next split of its level moves it up again.
INSERT INTO btree_tall SELECT g, lpad(g::text, 8, '0') || repeat('k', 1200) FROM generate_series(1, 400) g;
DELETE FROM btree_tall WHERE id > 2;
VACUUM (INDEX_CLEANUP on) btree_tall;
VACUUM (INDEX_CLEANUP on) btree_tall;
INSERT INTO btree_tall SELECT g, lpad(g::text, 8, '0') || repeat('k', 1200) FROM generate_series(1, 60) g;
DELETE FROM btree_tall;
VACUUM (INDEX_CLEANUP on) btree_tall;

REINDEX INDEX btree_duplicate_plain;
REINDEX TABLE CONCURRENTLY btree_random;
