-- Each function decides after its locks, on a fresh snapshot, in one round trip.
-- The one lock order: cron, thread, run, firing.
-- enable_seqscan = off: plans are kept (0.7 ms less a run), and one made while a table was empty must use its indexes.

CREATE FUNCTION ostinato_object(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(value) = 'object' THEN value ELSE '{}' END
$$;

-- What a run is given: the payload's own fields, and the assistant's config and context overlaid by the payload's.
-- The server's ids come last, so that no client's value replaces them.
CREATE FUNCTION ostinato_run_kwargs(payload jsonb, assistant_config jsonb, assistant_context jsonb, ids jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT (payload - '{assistant_id,schedule,timezone,end_time,enabled,metadata,on_run_completed,on_completion,multitask_strategy,if_not_exists,thread_id,cron_id}'::text[])
        || jsonb_build_object(
            'config', assistant_config || ostinato_object(payload -> 'config') || jsonb_build_object(
                'configurable', ostinato_object(assistant_config -> 'configurable') || context
                    || ostinato_object(payload #> '{config,configurable}') || ids),
            'context', context)
    FROM (SELECT assistant_context || ostinato_object(payload -> 'context') AS context) AS merged
$$;

-- The config that a run leaves on its thread: the assistant's, and the run's tags and limit but not its configurable.
CREATE FUNCTION ostinato_thread_config(payload jsonb, assistant_config jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT assistant_config || (ostinato_object(payload -> 'config') - 'configurable')
$$;

-- Claim a due firing: `due` -> `started` with a run, or `skipped` with the reason. No row: another worker was first.
-- `due` comes back with the seconds to wait when this server's clock has not reached the fire time.
-- The run comes back whole (the caller's own snapshot would not show it): `pending` when its thread is busy.
CREATE FUNCTION ostinato_claim(p_firing_id uuid, p_run_id uuid, p_thread_id uuid, p_owner uuid)
RETURNS TABLE (outcome text, reason text, wait_seconds float8, claimed run)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    f firing; c cron; a assistant; t thread; r run;
    busy boolean := false;
    strategy text := 'enqueue';
    scheduled boolean; counted boolean; used_up boolean; unended boolean;
    why text;
    ids jsonb;
BEGIN
    SELECT * INTO f FROM firing WHERE firing_id = p_firing_id AND outcome = 'due';
    IF NOT FOUND THEN RETURN; END IF;
    IF f.fire_time > clock_timestamp() THEN
        RETURN QUERY SELECT 'due', 'early', extract(epoch FROM f.fire_time - clock_timestamp())::float8, NULL::run;
        RETURN;
    END IF;
    SELECT * INTO c FROM cron WHERE cron_id = f.cron_id;
    IF c.policy ?| '{overlap,max_runs}' THEN  -- one claim at a time decides; crons without these guards take no lock
        SELECT * INTO c FROM cron WHERE cron_id = f.cron_id FOR NO KEY UPDATE;
    END IF;
    SELECT * INTO a FROM assistant WHERE assistant_id = c.assistant_id;
    IF c.thread_id IS NOT NULL THEN
        SELECT * INTO t FROM thread WHERE thread_id = c.thread_id AND deleted_at IS NULL FOR UPDATE;
        busy := EXISTS (SELECT FROM run WHERE thread_id = c.thread_id AND status IN ('pending', 'running'));
        strategy := coalesce(c.payload ->> 'multitask_strategy', 'enqueue');
    END IF;
    scheduled := f.trigger IN ('schedule', 'catchup');
    counted := scheduled AND coalesce(c.policy ? 'max_runs', false);
    used_up := counted AND c.run_count >= (c.policy ->> 'max_runs')::int;
    unended := coalesce(c.policy ->> 'overlap' = 'skip', false)
        AND EXISTS (SELECT FROM run WHERE cron_id = c.cron_id AND status IN ('pending', 'running'));
    why := CASE
        WHEN c.cron_id IS NULL THEN 'deleted'
        WHEN used_up THEN 'max_runs'
        WHEN scheduled AND NOT c.enabled THEN 'disabled'
        WHEN c.end_time < f.fire_time AND f.trigger <> 'manual' THEN 'ended'
        WHEN a.assistant_id IS NULL THEN 'assistant_gone'
        WHEN c.thread_id IS NOT NULL AND t.thread_id IS NULL THEN 'thread_gone'
        WHEN unended THEN 'overlap'
        WHEN busy AND strategy = 'reject' THEN 'thread_busy'
    END;
    UPDATE firing SET
        outcome = CASE WHEN why IS NULL THEN 'started' ELSE 'skipped' END,
        reason = coalesce(why, firing.reason),
        run_id = CASE WHEN why IS NULL THEN p_run_id END,
        thread_id = CASE WHEN why IS NULL THEN coalesce(c.thread_id, p_thread_id) ELSE c.thread_id END,
        started_at = CASE WHEN why IS NULL THEN clock_timestamp() END,
        ended_at = CASE WHEN why IS NOT NULL THEN clock_timestamp() END,
        input = NULL,
        lag_ms = least(extract(epoch FROM clock_timestamp() - f.fire_time) * 1000, 2147483647)::int
    WHERE firing_id = p_firing_id AND outcome = 'due';
    IF NOT FOUND THEN RETURN; END IF;
    IF used_up OR (counted AND why IS NULL) THEN PERFORM ostinato_use_run(c.cron_id, NOT used_up); END IF;
    IF why IS NOT NULL THEN
        RETURN QUERY SELECT 'skipped', why, 0::float8, NULL::run;
        RETURN;
    END IF;
    IF busy THEN
        IF strategy IN ('interrupt', 'rollback') THEN PERFORM ostinato_displace(c.thread_id, strategy); END IF;
        busy := ostinato_blocked(c.thread_id);
    END IF;
    IF c.thread_id IS NULL THEN
        INSERT INTO thread (thread_id, status, active_run_id, user_id, config, metadata)
        VALUES (p_thread_id, 'busy', p_run_id, c.user_id, ostinato_thread_config(c.payload, a.config),
                c.metadata || jsonb_build_object(  -- the true ones last: by them the thread's state is read
                    'graph_id', a.graph_id, 'assistant_id', a.assistant_id, 'cron_id', c.cron_id));
    ELSE
        UPDATE thread SET
            status = 'busy',
            active_run_id = CASE WHEN busy THEN active_run_id ELSE p_run_id END,
            config = ostinato_thread_config(c.payload, a.config),
            metadata = thread.metadata || jsonb_build_object('graph_id', a.graph_id, 'assistant_id', a.assistant_id),
            updated_at = clock_timestamp()
        WHERE thread_id = c.thread_id;
    END IF;
    ids := jsonb_build_object(
        'cron_id', c.cron_id, 'run_id', p_run_id, 'thread_id', coalesce(c.thread_id, p_thread_id),
        'assistant_id', a.assistant_id, 'graph_id', a.graph_id, 'user_id', c.user_id);
    INSERT INTO run (run_id, thread_id, assistant_id, graph_id, status, metadata, kwargs, multitask_strategy,
                     on_completion, cron_id, firing_id, fire_time, owner, attempt, user_id, started_at, timeout_seconds)
    VALUES (p_run_id, coalesce(c.thread_id, p_thread_id), a.assistant_id, a.graph_id,
            CASE WHEN busy THEN 'pending' ELSE 'running' END,
            jsonb_build_object('created_by', 'system', 'assistant_id', a.assistant_id)
            || ostinato_object(t.metadata) || c.metadata || jsonb_build_object('cron_id', c.cron_id),
            ostinato_run_kwargs(
                CASE WHEN f.input IS NULL THEN c.payload ELSE c.payload || jsonb_build_object('input', f.input) END,
                a.config, a.context, ids),
            strategy,
            CASE WHEN c.thread_id IS NULL THEN coalesce(c.on_run_completed, 'delete') ELSE 'keep' END,
            c.cron_id, f.firing_id, f.fire_time,
            CASE WHEN NOT busy THEN p_owner END, CASE WHEN busy THEN 0 ELSE 1 END, c.user_id,
            CASE WHEN NOT busy THEN clock_timestamp() END, (c.policy ->> 'timeout_seconds')::float8)
    RETURNING * INTO r;
    RETURN QUERY SELECT 'started', CASE WHEN busy THEN 'queued' END, 0::float8, r;
END $$;

-- Put a run on a thread. `made` comes with whether it is the thread's turn at once (send it) or after others (finish does).
-- One with a delay (seconds) waits beside the queue, and gets its place there when its time has come.
CREATE FUNCTION ostinato_enqueue(
    p_run_id uuid, p_thread_id uuid, p_assistant_id uuid, p_payload jsonb, p_strategy text, p_on_completion text, p_user_id text,
    p_delay float8 DEFAULT 0)
RETURNS TABLE (verdict text, ready boolean)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    a assistant; t thread;
    busy boolean;
    ids jsonb;
    v_start timestamptz;
BEGIN
    SELECT * INTO t FROM thread WHERE thread.thread_id = p_thread_id AND deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN RETURN QUERY SELECT 'thread_gone', false; RETURN; END IF;
    SELECT * INTO a FROM assistant WHERE assistant.assistant_id = p_assistant_id;
    IF NOT FOUND THEN RETURN QUERY SELECT 'assistant_gone', false; RETURN; END IF;
    busy := EXISTS (SELECT FROM run WHERE run.thread_id = p_thread_id AND status IN ('pending', 'running'));
    IF busy AND p_strategy = 'reject' THEN RETURN QUERY SELECT 'thread_busy', false; RETURN; END IF;
    IF busy THEN
        IF p_strategy IN ('interrupt', 'rollback') THEN PERFORM ostinato_displace(p_thread_id, p_strategy); END IF;
        busy := ostinato_blocked(p_thread_id);
    END IF;
    v_start := clock_timestamp() + make_interval(secs => p_delay);
    ids := jsonb_build_object(
        'run_id', p_run_id, 'thread_id', p_thread_id, 'assistant_id', a.assistant_id, 'graph_id', a.graph_id,
        'user_id', p_user_id);
    INSERT INTO run (run_id, thread_id, assistant_id, graph_id, status, metadata, kwargs, multitask_strategy,
                     on_completion, user_id, created_at, waits_until)
    VALUES (p_run_id, p_thread_id, a.assistant_id, a.graph_id, 'pending',
            jsonb_build_object('created_by', 'system', 'assistant_id', a.assistant_id)
            || t.metadata || ostinato_object(p_payload -> 'metadata'),
            ostinato_run_kwargs(p_payload, a.config, a.context, ids),
            p_strategy, p_on_completion, p_user_id, v_start, CASE WHEN p_delay > 0 THEN v_start END);
    UPDATE thread SET
        status = 'busy',
        config = ostinato_thread_config(p_payload, a.config),
        metadata = metadata || jsonb_build_object('graph_id', a.graph_id, 'assistant_id', a.assistant_id),
        updated_at = clock_timestamp()
    WHERE thread.thread_id = p_thread_id;
    RETURN QUERY SELECT 'made', NOT busy AND p_delay <= 0;
END $$;

-- Start the oldest pending run of the given run's thread. No row: nothing is pending there, or a run is under way.
CREATE FUNCTION ostinato_start(p_run_id uuid, p_owner uuid) RETURNS SETOF run
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_thread uuid;
    v_run uuid;
BEGIN
    SELECT thread_id INTO v_thread FROM run WHERE run_id = p_run_id AND status = 'pending';
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM FROM thread WHERE thread_id = v_thread AND deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM run WHERE thread_id = v_thread AND status = 'running') THEN RETURN; END IF;
    SELECT run_id INTO v_run FROM run
    WHERE thread_id = v_thread AND status = 'pending' AND waits_until IS NULL ORDER BY seq LIMIT 1;
    IF NOT FOUND THEN RETURN; END IF;
    UPDATE thread SET active_run_id = v_run, status = 'busy' WHERE thread_id = v_thread;
    RETURN QUERY UPDATE run SET
        status = 'running', owner = p_owner, attempt = attempt + 1,
        started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
    WHERE run_id = v_run RETURNING *;
END $$;

-- Note the webhook that a run, given as it ended, owes; nothing for a run without one. The body is all that the call
-- needs: thread and run may be deleted before it is made. Call it in the transaction that ends the run.
CREATE FUNCTION ostinato_owe_webhook(r run, p_status text, p_values jsonb, p_error jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO webhook_delivery (run_id, url, body)
    SELECT r.run_id, r.kwargs ->> 'webhook', jsonb_build_object(
            'run_id', r.run_id, 'thread_id', r.thread_id, 'assistant_id', r.assistant_id, 'status', p_status,
            'metadata', r.metadata, 'kwargs', '{"input": null}' || r.kwargs,
            'multitask_strategy', r.multitask_strategy, 'created_at', r.created_at, 'updated_at', r.updated_at,
            'values', p_values, 'run_started_at', r.started_at, 'run_ended_at', coalesce(r.ended_at, clock_timestamp()))
        || CASE WHEN p_error IS NULL THEN '{}' ELSE jsonb_build_object('error', p_error) END
    WHERE r.kwargs ->> 'webhook' IS NOT NULL
    ON CONFLICT DO NOTHING
$$;

-- End a running run: run, firing, thread and webhook in one transaction, if it still is whose it was when `r` was read.
-- A rollback that was asked for is carried out however the run ended. Its thread's next pending run, or null.
CREATE FUNCTION ostinato_end_run(
    r run, p_status text, p_rest_status text, p_values jsonb, p_interrupts jsonb, p_error jsonb, p_output text)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    v_next uuid;
    live boolean;
BEGIN
    IF r.cron_id IS NOT NULL AND p_status <> 'interrupted' THEN
        PERFORM ostinato_count_failure(r.cron_id, p_status IN ('error', 'timeout'), p_error);
    END IF;
    PERFORM FROM thread WHERE thread_id = r.thread_id FOR UPDATE;
    UPDATE run SET status = p_status, error = p_error, ended_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE run_id = r.run_id AND owner = r.owner AND attempt = r.attempt AND status = 'running'
    RETURNING * INTO r;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the run was taken over meanwhile' USING ERRCODE = 'OS001';  -- undoes the failure count
    END IF;
    IF r.cancel_requested = 'rollback' THEN
        PERFORM ostinato_end(r, 'rollback', r.cancel_reason);
        RETURN ostinato_settle(r.thread_id, NULL, r.on_completion = 'delete');
    END IF;
    SELECT run_id INTO v_next FROM run
    WHERE thread_id = r.thread_id AND status = 'pending' AND waits_until IS NULL ORDER BY seq LIMIT 1;
    live := v_next IS NOT NULL OR EXISTS (SELECT FROM run WHERE thread_id = r.thread_id AND status = 'pending');
    UPDATE thread SET
        active_run_id = NULL,
        status = CASE WHEN live THEN 'busy' ELSE p_rest_status END,
        rest_status = p_rest_status,
        values = coalesce(p_values, values),
        interrupts = p_interrupts,
        error = p_error,
        updated_at = clock_timestamp(),
        state_updated_at = clock_timestamp(),
        state_stale_at = CASE WHEN p_values IS NULL THEN clock_timestamp() END,
        deleted_at = CASE WHEN r.on_completion = 'delete' AND NOT live THEN clock_timestamp() ELSE deleted_at END
    WHERE thread_id = r.thread_id;
    UPDATE firing SET outcome = p_status, ended_at = clock_timestamp(), output = p_output,
        error = ostinato_first_line(p_error),
        reason = CASE WHEN p_status = 'interrupted' THEN r.cancel_reason ELSE reason END
    WHERE firing_id = r.firing_id AND outcome = 'started';
    IF r.kwargs ? 'webhook' THEN
        PERFORM ostinato_owe_webhook(
            run, p_status, thread.values,
            coalesce(p_error, CASE WHEN p_status = 'interrupted' THEN ostinato_cut_short(r.cancel_reason) END))
        FROM run JOIN thread USING (thread_id) WHERE run.run_id = r.run_id;
    END IF;
    RETURN v_next;
END $$;

-- The end that a worker gives to a run of its own. No row: the lease was lost, nothing is changed.
CREATE FUNCTION ostinato_finish(
    p_run_id uuid, p_owner uuid, p_attempt int, p_status text, p_rest_status text,
    p_values jsonb, p_interrupts jsonb, p_error jsonb, p_output text)
RETURNS TABLE (next_run_id uuid)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    r run;
BEGIN
    SELECT * INTO r FROM run WHERE run_id = p_run_id AND owner = p_owner AND attempt = p_attempt AND status = 'running';
    IF NOT FOUND THEN RETURN; END IF;
    RETURN QUERY SELECT ostinato_end_run(r, p_status, p_rest_status, p_values, p_interrupts, p_error, p_output);
END $$;

-- Take a run from a worker whose lease is over. No row: it is not orphaned. `pending`: send it again. `ended`: this was
-- its last crash; tell its waiters, and send its thread's next pending run, if any.
-- A crash is charged unless the worker released its lease in order, or another run was known to block it.
CREATE FUNCTION ostinato_take_over(p_run_id uuid, p_crashes int) RETURNS TABLE (verdict text, next_run_id uuid)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    r run; w worker;
    charged boolean;
    lost jsonb;
    v_next uuid;
BEGIN
    SELECT * INTO r FROM run WHERE run_id = p_run_id AND status = 'running';
    IF NOT FOUND THEN RETURN; END IF;
    SELECT * INTO w FROM worker WHERE worker_id = r.owner;
    IF w.expires_at > clock_timestamp() THEN RETURN; END IF;
    charged := w.released_at IS NULL AND coalesce(w.blocked_by, r.run_id) = r.run_id;
    IF charged AND r.crash_count + 1 >= p_crashes THEN
        lost := jsonb_build_object('error', 'WorkerLostError', 'message', format(
            'worker_lost: the worker process that ran it died, or lost its lease, %s times.', p_crashes));
        v_next := ostinato_end_run(r, 'error', 'error', NULL, '{}', lost, NULL);
        UPDATE run SET owner = NULL, crash_count = crash_count + 1 WHERE run_id = p_run_id;
        UPDATE firing SET reason = 'worker_lost' WHERE firing_id = r.firing_id AND run_id = p_run_id AND outcome = 'error';
        RETURN QUERY SELECT 'ended', v_next;
        RETURN;
    END IF;
    PERFORM FROM thread WHERE thread_id = r.thread_id FOR UPDATE;
    UPDATE run SET
        status = 'pending', owner = NULL, crash_count = crash_count + charged::int, updated_at = clock_timestamp()
    WHERE run_id = p_run_id AND owner = r.owner AND attempt = r.attempt AND status = 'running';
    IF FOUND THEN RETURN QUERY SELECT 'pending', p_run_id; END IF;
END $$;

-- Remove crons, by a user (null: each one's own), and tell why in their events; the ids of those that there were.
-- A fire time that had come but was not dispatched gets its row: nothing is lost in silence, not even by a deletion.
CREATE FUNCTION ostinato_remove_crons(p_cron_ids uuid[], p_user_id text, p_reason text) RETURNS SETOF uuid LANGUAGE sql AS $$
    WITH doomed AS (SELECT cron_id FROM cron WHERE cron_id = ANY(p_cron_ids) ORDER BY cron_id FOR UPDATE),
    gone AS (DELETE FROM cron USING doomed WHERE cron.cron_id = doomed.cron_id RETURNING cron.*),
    settled AS (
        INSERT INTO firing (firing_id, cron_id, fire_time, outcome, reason, trigger, cron_revision, user_id,
                            assistant_id, name, thread_id, ended_at, missed_until)
        SELECT gen_random_uuid(), cron_id, next_run_date, 'skipped', 'deleted', 'schedule', revision, user_id,
               assistant_id, name, thread_id, clock_timestamp(),
               CASE WHEN next_run_date < clock_timestamp() - interval '1 second' THEN clock_timestamp() END
        FROM gone WHERE enabled AND next_run_date <= clock_timestamp()
        ON CONFLICT DO NOTHING),
    told AS (INSERT INTO outbox (cron_id) SELECT cron_id FROM gone)
    INSERT INTO cron_event (cron_id, kind, revision, user_id, snapshot)
    SELECT cron_id, 'deleted', revision, coalesce(p_user_id, user_id), jsonb_build_object('reason', p_reason) FROM gone
    RETURNING cron_id
$$;

-- Remove a thread with its crons, runs and checkpoints. `p_hidden`: the sweep purges what is hidden already. False: no such thread.
CREATE FUNCTION ostinato_delete_thread(p_thread_id uuid, p_hidden boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ostinato_remove_crons(
        ARRAY(SELECT cron_id FROM cron WHERE thread_id = p_thread_id), NULL, 'thread_deleted');
    PERFORM FROM thread WHERE thread_id = p_thread_id AND (deleted_at IS NOT NULL) = p_hidden FOR UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    -- Those that were put on it while the lock was waited for: new ones, whose rows nobody holds.
    PERFORM ostinato_remove_crons(
        ARRAY(SELECT cron_id FROM cron WHERE thread_id = p_thread_id), NULL, 'thread_deleted');
    WITH gone AS (DELETE FROM run WHERE thread_id = p_thread_id RETURNING firing_id)
    UPDATE firing SET outcome = 'interrupted', reason = 'thread_deleted', ended_at = clock_timestamp()
    FROM gone WHERE firing.firing_id = gone.firing_id AND firing.outcome = 'started';
    DELETE FROM checkpoint_writes WHERE thread_id = p_thread_id::text;
    DELETE FROM checkpoint_blobs WHERE thread_id = p_thread_id::text;
    DELETE FROM checkpoints WHERE thread_id = p_thread_id::text;
    DELETE FROM thread WHERE thread_id = p_thread_id;
    RETURN true;
END $$;

-- Remove one run; its worker loses the fence. No row: unknown. Else the thread's next pending run, which may be null.
CREATE FUNCTION ostinato_delete_run(p_thread_id uuid, p_run_id uuid) RETURNS TABLE (next_run_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    r run;
BEGIN
    PERFORM FROM thread WHERE thread_id = p_thread_id AND deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    DELETE FROM run WHERE run_id = p_run_id AND thread_id = p_thread_id RETURNING * INTO r;
    IF NOT FOUND THEN RETURN; END IF;
    IF r.status IN ('pending', 'running') AND r.attempt > 0 THEN  -- what it checkpointed stays
        UPDATE thread SET state_stale_at = clock_timestamp() WHERE thread_id = p_thread_id;
    END IF;
    UPDATE firing SET outcome = 'interrupted', reason = 'run_deleted', ended_at = clock_timestamp()
    WHERE firing_id = r.firing_id AND outcome = 'started';
    RETURN QUERY SELECT ostinato_settle(p_thread_id, NULL, false);
END $$;
