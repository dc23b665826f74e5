#!/usr/bin/env bash
# A tour of cron jobs with curl and jq: `./tour.sh [URL]`, against `ostinato dev`.
#
# The calls are those of the official page "Use cron jobs". What differs: the URL, the schedule (six fields, the last is
# seconds: it fires every five seconds, so that you see it happen), and `on_run_completed: "keep"` for the stateless
# cron, whose threads would otherwise be deleted before you can read the answer. The page's bodies leave `schedule` and
# `input` out; what the server says to that is part of the tour.
set -euo pipefail

url=${1:-${OSTINATO_URL:-http://127.0.0.1:2024}}
patience=30 # seconds
crons=""

# call METHOD PATH [BODY]: the answer; an error status ends the tour with the server's own words.
call() {
  local body=()
  [ $# -lt 3 ] || body=(--header 'Content-Type: application/json' --data "$3")
  curl --silent --show-error --fail-with-body --request "$1" --url "$url$2" ${body[@]+"${body[@]}"}
}

delete_crons() {
  local status=$? id
  for id in $crons; do
    call DELETE "/runs/crons/$id" && echo "Deleted cron $id." || status=1
  done
  crons=""
  exit "$status"
}
trap delete_crons EXIT
trap 'exit 130' INT TERM

# answer_on THREAD: the assistant's last words there; nothing before it has spoken.
answer_on() {
  call GET "/threads/$1/state" | jq -r '
    .values.messages // [] | last
    | select(.type == "ai" and ((.tool_calls // []) | length) == 0)
    | .content | if type == "string" then . else tojson end'
}

# answer_of CRON: the same on the first thread that this stateless cron made.
answer_of() {
  local thread
  thread=$(call POST /threads/search "{\"metadata\": {\"cron_id\": \"$1\"}}" | jq -r 'last | .thread_id // empty')
  [ -z "$thread" ] || answer_on "$thread"
}

# patiently COMMAND...: its first words.
patiently() {
  local answer
  for _ in $(seq $((patience * 2))); do
    answer=$("$@")
    if [ -n "$answer" ]; then
      echo "Answer: $answer"
      return
    fi
    sleep 0.5
  done
  echo "No answer within $patience s: are beat and a worker running? \`ostinato dev\` starts both and shows why." >&2
  exit 1
}

if ! curl --silent --output /dev/null --url "$url/ok"; then
  echo "Nobody answers at $url: start the server by \`ostinato dev\`, or give its URL." >&2
  exit 1
fi

echo "The graph to run, by its assistant without a config of its own:"
assistant=$(call POST /assistants/search '{"limit": 10, "offset": 0}' |
  jq -c 'map(select(.config == null or .config == {})) | .[0].graph_id')
echo "$assistant"
if [ "$assistant" = null ]; then
  echo "The server has no such assistant: start it with a langgraph.json that names a graph." >&2
  exit 1
fi

thread=$(call POST /threads '{}' | jq -r .thread_id)
echo "Thread $thread"

echo
echo "A cron without a schedule is refused:"
refusal=$(curl --silent --request POST --url "$url/threads/$thread/runs/crons" --write-out '\n%{http_code}' \
  --header 'Content-Type: application/json' --data "{\"assistant_id\": $assistant}")
echo "$refusal"
if [ "${refusal##*$'\n'}" != 422 ]; then
  echo "This should have been refused by 422." >&2
  exit 1
fi

echo
input='{"messages": [{"role": "user", "content": "What time is it?"}]}'
body="{\"assistant_id\": $assistant, \"schedule\": \"* * * * * */5\", \"input\": $input"

cron=$(call POST "/threads/$thread/runs/crons" "$body}" | jq -r .cron_id)
crons="$cron"
echo "Cron $cron on thread $thread"
patiently answer_on "$thread"

cron=$(call POST /runs/crons "$body, \"on_run_completed\": \"keep\"}" | jq -r .cron_id)
crons="$crons $cron"
echo "Stateless cron $cron"
patiently answer_of "$cron"
