-- Guards that stop a cron by themselves. The lock order is that of 0001_functions.sql.

-- A definition as the API shows it (CronOut), for the cron's history.
CREATE FUNCTION ostinato_cron_snapshot(c cron) RETURNS jsonb LANGUAGE sql STABLE SET timezone = 'UTC' AS $$
    SELECT to_jsonb(c) - '{name,policy,revision,consecutive_failures,run_count,paused_by,note,fault}'::text[]
$$;

-- Disable a cron for good, and say why. A fire time that had come but was not dispatched gets its row, with this reason.
-- Its own statements take the cron's lock: call it before those that lock thread, run or firing, or with it held.
CREATE FUNCTION ostinato_pause(p_cron_id uuid, p_by text, p_reason text, p_note text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c cron;
BEGIN
    UPDATE cron SET enabled = false, paused_by = p_by, note = p_note, revision = revision + 1,
        payload = payload || '{"enabled": false}'
    WHERE cron_id = p_cron_id AND enabled RETURNING * INTO c;
    IF NOT FOUND THEN RETURN; END IF;
    INSERT INTO firing (firing_id, cron_id, fire_time, outcome, reason, trigger, cron_revision, user_id,
                        assistant_id, name, thread_id, ended_at, missed_until)
    SELECT gen_random_uuid(), c.cron_id, c.next_run_date, 'skipped', p_reason, 'schedule', c.revision - 1, c.user_id,
           c.assistant_id, c.name, c.thread_id, clock_timestamp(),
           CASE WHEN c.next_run_date < clock_timestamp() - interval '1 second' THEN clock_timestamp() END
    WHERE c.next_run_date <= clock_timestamp()
    ON CONFLICT DO NOTHING;
    INSERT INTO outbox (cron_id) VALUES (c.cron_id);
    INSERT INTO cron_event (cron_id, kind, revision, user_id, note, snapshot)
    VALUES (c.cron_id, 'paused', c.revision, '', p_note, ostinato_cron_snapshot(c));
END $$;

-- What is left of a run's time limit, from its first start on, whoever has run it since; null without a limit.
CREATE FUNCTION ostinato_seconds_left(r run) RETURNS float8 LANGUAGE sql AS $$
    SELECT extract(epoch FROM r.started_at + make_interval(secs => r.timeout_seconds) - clock_timestamp())::float8
$$;

-- A claim under max_runs, the cron locked: count the run that it starts, if it does, and stop the cron at the last one.
CREATE FUNCTION ostinato_use_run(p_cron_id uuid, p_starts boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c cron;
BEGIN
    UPDATE cron SET run_count = run_count + p_starts::int WHERE cron_id = p_cron_id RETURNING * INTO c;
    IF c.run_count >= (c.policy ->> 'max_runs')::int THEN
        PERFORM ostinato_pause(p_cron_id, 'max_runs', 'max_runs', format(
            'paused after the last of its %s runs (max_runs)', c.policy ->> 'max_runs'));
    END IF;
END $$;

-- An error as the ledger keeps it: with the first line of its message.
CREATE FUNCTION ostinato_first_line(error jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT error || jsonb_build_object(
        'message', rtrim(split_part(ltrim(error ->> 'message', E' \t\r\n'), E'\n', 1), E' \t\r'))
$$;

-- What a run's end means for its cron: failures in a row, and the pause after so many of them.
CREATE FUNCTION ostinato_count_failure(p_cron_id uuid, p_failed boolean, p_error jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    c cron;
    last jsonb := ostinato_first_line(p_error);
BEGIN
    UPDATE cron SET consecutive_failures = CASE WHEN p_failed THEN consecutive_failures + 1 ELSE 0 END
    WHERE cron_id = p_cron_id AND (p_failed OR consecutive_failures > 0) RETURNING * INTO c;
    IF p_failed AND c.consecutive_failures >= (c.policy ->> 'pause_after_failures')::int THEN
        PERFORM ostinato_pause(p_cron_id, 'pause_after_failures', 'disabled', format(
            'paused after %s in a row; last: %s',
            CASE c.consecutive_failures WHEN 1 THEN '1 failure' ELSE c.consecutive_failures || ' failures' END,
            left(concat_ws(': ', last ->> 'error', nullif(last ->> 'message', '')), 300)));
    END IF;
END $$;
