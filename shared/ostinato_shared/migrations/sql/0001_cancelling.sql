-- Runs that end before their graph does: cancelled, displaced, or left by a silent worker.
-- The lock order is that of 0001_functions.sql.

-- Take away what a run checkpointed: its checkpoints, their writes, and the blobs that none of its parents has.
CREATE FUNCTION ostinato_remove_checkpoints_of(p_thread_id uuid, p_run_id uuid) RETURNS void LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM checkpoints WHERE thread_id = p_thread_id::text AND metadata ->> 'run_id' = p_run_id::text
        RETURNING thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint),
    stale AS (
        SELECT gone.checkpoint_ns, v.key, v.value FROM gone, jsonb_each_text(gone.checkpoint -> 'channel_versions') AS v
        EXCEPT
        SELECT parent.checkpoint_ns, v.key, v.value
        FROM gone JOIN checkpoints AS parent ON parent.thread_id = gone.thread_id
            AND parent.checkpoint_ns = gone.checkpoint_ns AND parent.checkpoint_id = gone.parent_checkpoint_id,
            jsonb_each_text(parent.checkpoint -> 'channel_versions') AS v
        WHERE parent.metadata ->> 'run_id' IS DISTINCT FROM p_run_id::text),
    writes AS (
        DELETE FROM checkpoint_writes AS w USING gone
        WHERE w.thread_id = gone.thread_id AND w.checkpoint_ns = gone.checkpoint_ns
            AND w.checkpoint_id = gone.checkpoint_id)
    DELETE FROM checkpoint_blobs AS b USING stale
    WHERE b.thread_id = p_thread_id::text AND b.checkpoint_ns = stale.checkpoint_ns
        AND b.channel = stale.key AND b.version = stale.value
$$;

-- Take back what a run that went on from a stop wrote to the checkpoint where it stopped (null: the latest): answers, and
-- what unfinished tasks made of them. Tasks that had finished beside one that asked or failed keep theirs.
CREATE FUNCTION ostinato_take_back_writes(p_thread_id uuid, p_checkpoint_id text) RETURNS void LANGUAGE sql AS $$
    WITH heads AS (
        SELECT DISTINCT ON (checkpoint_ns) checkpoint_ns,
            CASE WHEN checkpoint_ns = '' THEN coalesce(p_checkpoint_id, checkpoint_id) ELSE checkpoint_id END AS checkpoint_id
        FROM checkpoints WHERE thread_id = p_thread_id::text ORDER BY checkpoint_ns, checkpoints.checkpoint_id DESC),
    written AS (
        SELECT w.*, bool_or(channel IN ('__interrupt__', '__error__')) OVER (PARTITION BY checkpoint_ns, task_id) AS unfinished,
            bool_or(channel IN ('__interrupt__', '__error__')) OVER (PARTITION BY checkpoint_ns) AS stopped_within
        FROM checkpoint_writes AS w JOIN heads USING (checkpoint_ns, checkpoint_id)
        WHERE w.thread_id = p_thread_id::text
            AND checkpoint_id >= (SELECT checkpoint_id FROM heads WHERE checkpoint_ns = ''))
    DELETE FROM checkpoint_writes AS w USING written AS x
    WHERE w.thread_id = x.thread_id AND w.checkpoint_ns = x.checkpoint_ns AND w.checkpoint_id = x.checkpoint_id
        AND w.task_id = x.task_id AND w.idx = x.idx AND x.channel NOT IN ('__interrupt__', '__error__')
        AND (x.unfinished OR NOT x.stopped_within OR x.task_id = '00000000-0000-0000-0000-000000000000')
$$;

-- What a webhook is told of a run that did not come to its end.
CREATE FUNCTION ostinato_cut_short(p_reason text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('error', 'RunCancelledError', 'message', 'The run was ' || coalesce(p_reason, 'cancelled') || '.')
$$;

-- End a run in its owner's place; its thread and its row are locked. Its row goes first: the fence closes.
CREATE FUNCTION ostinato_end(r run, p_action text, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF r.attempt > 0 AND r.kwargs ? 'webhook' THEN  -- one that never started tells nobody
        PERFORM ostinato_owe_webhook(
            r, CASE p_action WHEN 'rollback' THEN 'rollback' ELSE 'interrupted' END, NULL, ostinato_cut_short(p_reason));
    END IF;
    IF p_action = 'rollback' THEN
        DELETE FROM run WHERE run_id = r.run_id;
        IF r.attempt > 0 THEN
            PERFORM ostinato_remove_checkpoints_of(r.thread_id, r.run_id);
            IF coalesce(r.kwargs -> 'input', 'null') = 'null' OR coalesce(r.kwargs -> 'command', 'null') <> 'null' THEN
                PERFORM ostinato_take_back_writes(
                    r.thread_id, coalesce(r.kwargs ->> 'checkpoint_id', r.kwargs #>> '{checkpoint,checkpoint_id}'));
            END IF;
        END IF;
    ELSE
        UPDATE run SET status = 'interrupted', ended_at = clock_timestamp(), updated_at = clock_timestamp()
        WHERE run_id = r.run_id;
        IF r.attempt > 0 THEN
            UPDATE thread SET state_stale_at = clock_timestamp() WHERE thread_id = r.thread_id;
        END IF;
    END IF;
    UPDATE firing SET outcome = 'interrupted', reason = p_reason, ended_at = clock_timestamp()
    WHERE firing_id = r.firing_id AND outcome = 'started';
END $$;

-- A pending run ends at once (true); a running one is asked to end, which is for its owner to do. Locks as above.
-- Who asked for a rollback gets it: a later interrupt takes nothing back.
CREATE FUNCTION ostinato_ask(r run, p_action text, p_reason text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF r.status = 'pending' THEN
        PERFORM ostinato_end(r, p_action, p_reason);
        RETURN true;
    END IF;
    UPDATE run SET
        cancel_requested = CASE WHEN cancel_requested = 'rollback' THEN 'rollback' ELSE p_action END,
        cancel_reason = coalesce(cancel_reason, p_reason),
        cancel_asked_at = coalesce(cancel_asked_at, clock_timestamp())
    WHERE run_id = r.run_id;
    RETURN false;
END $$;

-- Make room on a locked thread for a new run: what waits ends, what runs is asked to.
CREATE FUNCTION ostinato_displace(p_thread_id uuid, p_action text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r run;
BEGIN
    FOR r IN SELECT * FROM run WHERE thread_id = p_thread_id AND status IN ('pending', 'running') ORDER BY run_id FOR UPDATE
    LOOP
        PERFORM ostinato_ask(r, p_action, 'displaced');
    END LOOP;
END $$;

-- Whether a new run must wait its turn on the thread. Runs that lie in the future are in nobody's way.
CREATE FUNCTION ostinato_blocked(p_thread_id uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM run WHERE thread_id = p_thread_id AND status IN ('pending', 'running') AND waits_until IS NULL)
$$;

-- Bring a locked thread up to date after one of its runs ended; its next run, if it is time for that.
-- `p_rest_status` null: the run that ended has left no trace.
CREATE FUNCTION ostinato_settle(p_thread_id uuid, p_rest_status text, p_hide boolean) RETURNS uuid
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_next uuid;
    running boolean := EXISTS (SELECT FROM run WHERE thread_id = p_thread_id AND status = 'running');
    live boolean := running OR EXISTS (SELECT FROM run WHERE thread_id = p_thread_id AND status = 'pending');
BEGIN
    SELECT run_id INTO v_next FROM run
    WHERE thread_id = p_thread_id AND status = 'pending' AND waits_until IS NULL AND NOT running ORDER BY seq LIMIT 1;
    UPDATE thread SET
        active_run_id = CASE WHEN running THEN active_run_id END,
        rest_status = coalesce(p_rest_status, rest_status),
        status = CASE WHEN live THEN 'busy' ELSE coalesce(p_rest_status, rest_status) END,
        updated_at = clock_timestamp(),
        deleted_at = CASE WHEN p_hide AND NOT live THEN clock_timestamp() ELSE deleted_at END
    WHERE thread_id = p_thread_id;
    RETURN v_next;
END $$;

-- Cancel a run, for the reason that its firing shall show. `ended`: it had not started, with the thread's next run;
-- `asked`: its owner ends it. No row: there is no such run, or it is over.
CREATE FUNCTION ostinato_cancel(p_thread_id uuid, p_run_id uuid, p_action text, p_reason text)
RETURNS TABLE (verdict text, next_run_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    r run;
BEGIN
    PERFORM FROM thread WHERE thread_id = p_thread_id AND deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT * INTO r FROM run
    WHERE run_id = p_run_id AND thread_id = p_thread_id AND status IN ('pending', 'running') FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    IF NOT ostinato_ask(r, p_action, p_reason) THEN
        RETURN QUERY SELECT 'asked', NULL::uuid;
        RETURN;
    END IF;
    RETURN QUERY SELECT 'ended', ostinato_settle(
        p_thread_id, CASE WHEN p_action = 'interrupt' AND r.attempt > 0 THEN 'interrupted' END, r.on_completion = 'delete');
END $$;

-- End a run whose owner has not answered a cancel for so long. No row: it has, meanwhile. Else the thread's next run.
CREATE FUNCTION ostinato_end_unanswered(p_run_id uuid, p_patience interval) RETURNS TABLE (next_run_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    r run;
BEGIN
    PERFORM FROM thread WHERE thread_id = (SELECT thread_id FROM run WHERE run_id = p_run_id) FOR UPDATE;
    SELECT * INTO r FROM run
    WHERE run_id = p_run_id AND status IN ('pending', 'running') AND cancel_asked_at < clock_timestamp() - p_patience
    FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM ostinato_end(r, r.cancel_requested, r.cancel_reason);
    RETURN QUERY SELECT ostinato_settle(
        r.thread_id, CASE WHEN r.cancel_requested = 'interrupt' THEN 'interrupted' END, r.on_completion = 'delete');
END $$;
