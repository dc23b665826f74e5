// The official JavaScript SDK, unmodified, against a whole Ostinato.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";

const client = new Client({ apiUrl: process.env.OSTINATO_URL, callerOptions: { maxRetries: 0 } });
const AGENT = "fe096781-5601-53d2-b2f6-0d3403f7e9ca";
const INPUT = { messages: [{ role: "user", content: "What time is it?" }] };
const refused = (status) => (error) => {
  assert.equal(error.status, status);
  return true;
};

test("a stateless cron is created, found, changed, counted and deleted", async () => {
  const cron = await client.crons.create("agent", {
    schedule: "27 15 * * *",
    input: INPUT,
    metadata: { suite: "js" },
  });
  assert.equal(cron.assistant_id, AGENT);
  assert.equal(cron.thread_id, null);
  assert.equal(cron.on_run_completed, "delete");
  assert.deepEqual(cron.payload.input, INPUT);

  const found = await client.crons.search({ assistantId: AGENT, limit: 10, offset: 0 });
  assert.ok(found.some((one) => one.cron_id === cron.cron_id));

  const changed = await client.crons.update(cron.cron_id, {
    schedule: "0 9 * * *",
    endTime: "2100-01-01T00:00:00Z",
    enabled: false,
  });
  assert.equal(changed.schedule, "0 9 * * *");
  assert.equal(changed.enabled, false);
  assert.equal(changed.end_time, "2100-01-01T00:00:00+00:00");
  assert.equal((await client.crons.update(cron.cron_id, { endTime: null })).end_time, null);

  const before = await client.crons.count({ assistantId: AGENT });
  await client.crons.delete(cron.cron_id);
  assert.equal(await client.crons.count({ assistantId: AGENT }), before - 1);
  await assert.rejects(client.crons.delete(cron.cron_id), refused(404));
});

test("a thread cron belongs to its thread and goes with it", async () => {
  const thread = await client.threads.create();
  const cron = await client.crons.createForThread(thread.thread_id, "agent", { schedule: "27 15 * * *", input: INPUT });
  assert.equal(cron.thread_id, thread.thread_id);
  assert.equal(cron.on_run_completed, null);

  await client.threads.delete(thread.thread_id);
  await assert.rejects(client.crons.delete(cron.cron_id), refused(404));
});

test("what cannot be a cron is refused", async () => {
  await assert.rejects(client.crons.create("agent", { schedule: "bogus", input: INPUT }), refused(422));
  await assert.rejects(client.crons.create("nobody", { schedule: "* * * * *", input: INPUT }), refused(404));
  await assert.rejects(client.crons.create("agent", { input: INPUT }), refused(422));
});

test("a run waits, joins and leaves its state", async () => {
  const thread = await client.threads.create({ metadata: { suite: "js" } });
  const values = await client.runs.wait(thread.thread_id, "agent", { input: INPUT });
  assert.match(values.messages.at(-1).content, /it is/i);

  const run = await client.runs.create(thread.thread_id, "agent", { input: INPUT });
  assert.equal(run.status, "pending");
  const joined = await client.runs.join(thread.thread_id, run.run_id);
  assert.ok(joined.messages.length > values.messages.length);
  assert.equal((await client.runs.get(thread.thread_id, run.run_id)).status, "success");
  assert.equal((await client.runs.list(thread.thread_id, { limit: 10 })).length, 2);

  const state = await client.threads.getState(thread.thread_id);
  assert.equal(state.values.messages.length, joined.messages.length);
  assert.ok((await client.threads.getHistory(thread.thread_id, { limit: 10 })).length > 1);
  const [found] = await client.threads.search({ metadata: { suite: "js" }, limit: 1 });
  assert.equal(found.status, "idle");
  await client.threads.delete(thread.thread_id);
  await assert.rejects(client.threads.get(thread.thread_id), refused(404));
});

test("a stateless run answers and leaves no thread", async () => {
  const before = await client.threads.count();
  const values = await client.runs.wait(null, "agent", { input: INPUT });
  assert.match(values.messages.at(-1).content, /it is/i);
  assert.equal(await client.threads.count(), before);
});

test("assistants are made, searched, versioned and deleted", async () => {
  const assistant = await client.assistants.create({ graphId: "agent", name: "From JS", metadata: { suite: "js" } });
  const [found] = await client.assistants.search({ metadata: { suite: "js" } });
  assert.equal(found.assistant_id, assistant.assistant_id);
  assert.equal((await client.assistants.update(assistant.assistant_id, { name: "Again" })).version, 2);
  await client.assistants.delete(assistant.assistant_id);
  await assert.rejects(client.assistants.get(assistant.assistant_id), refused(404));
});
