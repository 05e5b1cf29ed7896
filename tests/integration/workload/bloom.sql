-- Generic WAL records, by the contrib module bloom.
INSERT INTO bloom_wide SELECT g, g % 100, g % 7 FROM generate_series(1, :rows / 4) g;
DELETE FROM bloom_wide WHERE b < 30;
VACUUM (INDEX_CLEANUP on) bloom_wide;
