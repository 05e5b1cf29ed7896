-- Commit, abort, subtransactions, two phases, logical messages.
INSERT INTO transaction_ledger (account, amount) SELECT g % 100, g FROM generate_series(1, :rows / 10) g;

BEGIN;
UPDATE transaction_ledger SET amount = -amount WHERE account < 20;
INSERT INTO transaction_ledger (account, amount) SELECT g % 100, 0 FROM generate_series(1, :rows / 10) g;
ROLLBACK;

BEGIN;
INSERT INTO transaction_ledger (account, amount) VALUES (1, 1);
SAVEPOINT a;
INSERT INTO transaction_ledger (account, amount) VALUES (2, 2);
SAVEPOINT b;
DELETE FROM transaction_ledger WHERE account = 3;
ROLLBACK TO b;
RELEASE a;
COMMIT;

-- More than 64 subtransactions: their assignment to the top transaction is logged.
DO $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        BEGIN
            INSERT INTO transaction_ledger (account, amount) VALUES (i, i);
            IF i % 3 = 0 THEN
                RAISE EXCEPTION 'undo this one';
            END IF;
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
    END LOOP;
END $$;

BEGIN;
UPDATE transaction_ledger SET amount = amount + 1 WHERE account < 30;
CREATE TABLE transaction_two_phase (id int);
SAVEPOINT s;
DELETE FROM transaction_ledger WHERE account = 99;
PREPARE TRANSACTION 'kept';
COMMIT PREPARED 'kept';
BEGIN;
UPDATE transaction_ledger SET amount = amount + 1 WHERE account > 30;
DROP TABLE transaction_two_phase;
PREPARE TRANSACTION 'undone';
ROLLBACK PREPARED 'undone';
DROP TABLE transaction_two_phase;

SELECT pg_logical_emit_message(true, 'workload', 'within a transaction ' || :round) IS NOT NULL;
SELECT pg_logical_emit_message(false, 'workload', repeat('outside ', 2000)) IS NOT NULL;
SELECT pg_create_restore_point('round ' || :round) IS NOT NULL;
SELECT txid_current() > 0 FROM generate_series(1, 10);
VACUUM transaction_ledger;
