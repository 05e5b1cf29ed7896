-- GIN: the pending list and its flush, entry splits, posting trees that grow, are emptied in the
-- middle and lose pages.
INSERT INTO gin_array
    SELECT :round * 1000000 + g, ARRAY[1, g % 10, g % 1000, :round * 1000000 + g]
    FROM generate_series(1, :rows) g;
SELECT gin_clean_pending_list('gin_array_pending');
INSERT INTO gin_text
    SELECT g, to_tsvector('simple', 'common word' || g % 100 || ' n' || g || ' ' || md5(g::text)),
           jsonb_build_object('kind', g % 5, 'name', md5(g::text))
    FROM generate_series(1, :rows / 4) g;
DELETE FROM gin_array WHERE id BETWEEN :round * 1000000 + :rows / 10 AND :round * 1000000 + :rows * 9 / 10;
VACUUM (INDEX_CLEANUP on) gin_array;
DELETE FROM gin_text WHERE id % 2 = 0;
VACUUM (INDEX_CLEANUP on) gin_text;
INSERT INTO gin_array SELECT :round * 1000000 - g, ARRAY[1, 2, g % 3] FROM generate_series(1, :rows / 4) g;
CREATE INDEX gin_built ON gin_array USING gin (tags);
DROP INDEX gin_built;

-- A posting tree of several leaves, once: its middle leaves are emptied and deleted.
SELECT :round = 1 AS first \gset
\if :first
    \set file :directory/gin
    COPY (SELECT g, '{1}' FROM generate_series(1, 30000) g) TO :'file';
    CREATE TABLE gin_posting (id int, tags int[]);
    COPY gin_posting FROM :'file';
    CREATE INDEX ON gin_posting USING gin (tags);
    DELETE FROM gin_posting WHERE id BETWEEN 1000 AND 28000;
    VACUUM (INDEX_CLEANUP on) gin_posting;
\endif
