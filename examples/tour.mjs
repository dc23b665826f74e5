// A tour of cron jobs with the official JavaScript SDK: `npm install && node tour.mjs [URL]`, against `ostinato dev`.
//
// The calls are those of the official page "Use cron jobs". Three things differ: the URL, the schedule (six fields, the
// last is seconds: it fires every five seconds, so that you see it happen), and `onRunCompleted: "keep"` for the
// stateless cron, whose threads would otherwise be deleted before you can read the answer.
// The page calls `create_for_thread`; the method of the JavaScript SDK is named `createForThread`.

import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@langchain/langgraph-sdk";

const url = process.argv[2] ?? process.env.OSTINATO_URL ?? "http://127.0.0.1:2024";
const client = new Client({ apiUrl: url });
const assistantId = "agent";
const everyFiveSeconds = "* * * * * */5";
const input = { messages: [{ role: "user", content: "What time is it?" }] };
const patience = 30; // seconds

// Ctrl-C ends the waiting, so that the crons are deleted on the way out.
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => interrupted.abort());

/** Each firing asks its question on the same thread. */
async function onAThread(threadId) {
  const cronJob = await client.crons.createForThread(threadId, assistantId, { schedule: everyFiveSeconds, input });
  try {
    console.log(`\nCron ${cronJob.cron_id} on thread ${threadId}: next at ${cronJob.next_run_date}`);
    console.log("Answer:", await patiently(() => answerOn(threadId)));
  } finally {
    await client.crons.delete(cronJob.cron_id);
    console.log("Deleted the cron.");
  }
}

/** Each firing asks its question on a thread of its own. */
async function stateless() {
  const cronJobStateless = await client.crons.create(assistantId, {
    schedule: everyFiveSeconds,
    input,
    onRunCompleted: "keep",
  });
  const cronId = cronJobStateless.cron_id;
  try {
    console.log(`\nStateless cron ${cronId}: next at ${cronJobStateless.next_run_date}`);
    const answer = async () => {
      const threads = await client.threads.search({ metadata: { cron_id: cronId } });
      return threads.length > 0 ? answerOn(threads.at(-1).thread_id) : undefined;
    };
    console.log("Answer:", await patiently(answer));
  } finally {
    await client.crons.delete(cronId);
    console.log("Deleted the cron.");
  }
}

/** The assistant's last words on this thread, undefined before it has spoken. */
async function answerOn(threadId) {
  const state = await client.threads.getState(threadId);
  const last = state.values?.messages?.at(-1);
  return last?.type === "ai" && !last.tool_calls?.length ? last.content : undefined;
}

async function patiently(look) {
  for (let tries = 0; tries < patience * 2; tries += 1) {
    const answer = await look();
    if (answer) return answer;
    await sleep(500, undefined, { signal: interrupted.signal });
  }
  throw new Error(
    `No answer within ${patience} s: are beat and a worker running? \`ostinato dev\` starts both and shows why.`,
  );
}

try {
  const thread = await client.threads.create();
  console.log(thread);
  await onAThread(thread.thread_id);
  await stateless();
} catch (error) {
  const unreachable = error.message.includes("fetch failed");
  console.error(unreachable ? `Nobody answers at ${url}: start the server by \`ostinato dev\`, or give its URL.` : error.message);
  process.exit(interrupted.signal.aborted ? 130 : 1);
}
