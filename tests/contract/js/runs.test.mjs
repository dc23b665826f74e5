// Runs that are stopped, answered, displaced and refused, through the official JavaScript SDK.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "@langchain/langgraph-sdk";

const client = new Client({ apiUrl: process.env.OSTINATO_URL, callerOptions: { maxRetries: 0 } });
const { runs, threads } = client;
const refused = (status, pattern = /./) => (error) => {
  assert.equal(error.status, status);
  assert.match(error.message, pattern);
  return true;
};

async function newThread() {
  return (await threads.create()).thread_id;
}

async function until(what, holds) {
  for (const end = Date.now() + 60_000; Date.now() < end; await pause(50)) {
    if (await holds()) return;
  }
  assert.fail(`did not come: ${what}`);
}

const statuses = async (thread) => (await runs.list(thread, { limit: 10 })).map((run) => run.status).reverse();
const status = async (thread) => (await threads.get(thread)).status;
const told = (input) => ({ input: { parts: [input] } });

// A thread with a run whose first node is over, and which would doze for a minute.
async function dozing() {
  const thread = await newThread();
  const run = await runs.create(thread, "dozing", told("in"));
  await until("the first node", async () => (await threads.getState(thread)).values.parts?.at(-1) === "first");
  return { thread, run: run.run_id };
}

test("a cancel that is waited for leaves what the run did", async () => {
  const { thread, run } = await dozing();
  await runs.cancel(thread, run, true);

  assert.deepEqual(await statuses(thread), ["interrupted"]);
  assert.equal(await status(thread), "interrupted");
  assert.deepEqual(await runs.join(thread, run), { parts: ["in", "first"] });
  assert.deepEqual((await threads.getState(thread)).next, ["doze"]);
  await assert.rejects(runs.cancel(thread, run), refused(404));
});

test("a cancel that is not waited for is answered at once, and a join tells the end", async () => {
  const { thread, run } = await dozing();
  const joined = runs.join(thread, run);
  await runs.cancel(thread, run);

  assert.deepEqual(await joined, { parts: ["in", "first"] });
  assert.deepEqual(await statuses(thread), ["interrupted"]);
});

for (const wait of [true, false]) {
  test(`a rollback leaves no run and no state, wait=${wait}`, async () => {
    const { thread, run } = await dozing();
    await runs.cancel(thread, run, wait, "rollback");

    await until("the end of the run", async () => (await statuses(thread)).length === 0);
    await assert.rejects(runs.get(thread, run), refused(404));
    assert.deepEqual(await threads.getHistory(thread), []);
    assert.equal(await status(thread), "idle");
  });
}

test("a pending run is cancelled before it starts", async () => {
  const thread = await newThread();
  const run = await runs.create(thread, "steps", { ...told("late"), afterSeconds: 3600 });
  assert.equal(await status(thread), "busy");
  await runs.cancel(thread, run.run_id, true);

  assert.deepEqual(await statuses(thread), ["interrupted"]);
  assert.equal(await status(thread), "idle");
});

test("an interrupt is answered with a plain value", async () => {
  const thread = await newThread();
  const asked = await runs.wait(thread, "asker", { input: { parts: [] } });
  const [question] = asked.__interrupt__;
  assert.deepEqual(question.value, { question: "go on?" });
  assert.equal(await status(thread), "interrupted");
  assert.deepEqual(Object.values((await threads.get(thread)).interrupts), [[question]]);

  const values = await runs.wait(thread, "asker", { command: { resume: "yes" } });
  assert.deepEqual(values, { parts: ["first"], answer: "yes" });
  assert.equal(await status(thread), "idle");
});

test("interrupts are answered by their ids", async () => {
  const thread = await newThread();
  const { __interrupt__: asked } = await runs.wait(thread, "askers", { input: { parts: [] } });
  assert.deepEqual(asked.map((one) => one.value).sort(), ["left?", "right?"]);

  const resume = Object.fromEntries(asked.map((one) => [one.id, `${one.value} yes`]));
  const values = await runs.wait(thread, "askers", { command: { resume } });
  assert.deepEqual(values.parts, ["left? yes", "right? yes"]);
  assert.equal(await status(thread), "idle");
});

test("reject: a busy thread takes no other run", async () => {
  const { thread, run } = await dozing();
  const rejected = runs.create(thread, "steps", { ...told("new"), multitaskStrategy: "reject" });
  await assert.rejects(rejected, refused(409, /already running a task/));

  assert.deepEqual(await statuses(thread), ["running"]);
  await runs.cancel(thread, run, true);
});

test("enqueue: the new run waits for its turn", async () => {
  const { thread, run } = await dozing();
  const next = await runs.create(thread, "steps", { ...told("new"), multitaskStrategy: "enqueue" });
  assert.deepEqual(await statuses(thread), ["running", "pending"]);
  await runs.cancel(thread, run);

  const values = await runs.join(thread, next.run_id);
  assert.deepEqual(values.parts, ["in", "first", "new", "first", "second"]);
  assert.deepEqual(await statuses(thread), ["interrupted", "success"]);
});

for (const [multitaskStrategy, kept, left] of [
  ["interrupt", ["in", "first"], ["interrupted", "success"]],
  ["rollback", [], ["success"]],
]) {
  test(`${multitaskStrategy}: the new run displaces the one under way`, async () => {
    const { thread } = await dozing();
    const values = await runs.wait(thread, "steps", { ...told("new"), multitaskStrategy });

    assert.deepEqual(values.parts, [...kept, "new", "first", "second"]);
    assert.deepEqual(await statuses(thread), left);
    assert.equal(await status(thread), "idle");
  });
}

for (const host of ["10.0.0.8", "192.168.7.7", "127.0.0.1", "169.254.169.254", "[::1]"]) {
  test(`a webhook to ${host} is refused`, async () => {
    const webhook = `https://${host}/hook`;
    await assert.rejects(runs.create(null, "steps", { ...told("x"), webhook }), refused(422, /webhook/));
    await assert.rejects(runs.wait(null, "steps", { ...told("x"), webhook }), refused(422, /webhook/));
  });
}
