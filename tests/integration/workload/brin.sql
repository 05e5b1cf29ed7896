-- BRIN: ranges summarised by insertions, by vacuum and by hand, forgotten, and widened until a
-- summary has to move to another page.
SELECT setseed(:round / 100.0);
INSERT INTO brin_log
    SELECT :round * 1000000 + g, now()::timestamp + g * interval '1 s', '10.0.0.0'::inet + g, md5(g::text),
           repeat('x', 400)
    FROM generate_series(1, :rows) g;
SELECT brin_summarize_new_values('brin_log_narrow');
VACUUM brin_log;
UPDATE brin_log SET word = repeat(md5(random()::text), 6), source = '192.168.0.0'::inet + id
    WHERE id % 20 = 0;
SELECT count(brin_desummarize_range('brin_log_narrow', g * 3)) FROM generate_series(0, 50) g;
SELECT count(brin_desummarize_range('brin_log_wide', g * 8)) FROM generate_series(0, 20) g;
SELECT sum(brin_summarize_range('brin_log_narrow', g * 3)) FROM generate_series(0, 25) g;
DELETE FROM brin_log WHERE id % 2 = 0;
VACUUM brin_log;
INSERT INTO brin_log
    SELECT g, now()::timestamp, '172.16.0.0'::inet + g, repeat('w', g % 200), 'short'
    FROM generate_series(1, :rows / 2) g;
CREATE INDEX brin_built ON brin_log USING brin (word);
DROP INDEX brin_built;
