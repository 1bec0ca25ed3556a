#!/usr/bin/env bash
# The walk of market_analyst.py with nothing but curl: an assistant, a thread, a question, a run,
# and the conversation read back.
#
#   examples/market_analyst.sh [--base-url http://127.0.0.1:8000/v1] [QUESTION]
#
# A run is carried out in the background; "Prefer: wait=60" makes its request wait for the end.
# With NOVA_API_KEYS set on the server, set NOVA_API_KEY here to one of them.
set -euo pipefail

base_url=http://127.0.0.1:8000/v1
if [ "${1:-}" = --base-url ]; then
  base_url=$2
  shift 2
fi
question=${1:-Which sectors gain when rates fall?}

# post PATH JSON [CURL OPTIONS]: the answer's JSON; a refusal is an error of this script, too.
post() {
  curl --silent --show-error --fail-with-body "$base_url/$1" --data "$2" "${@:3}" \
    --header 'Content-Type: application/json' \
    ${NOVA_API_KEY:+--header "Authorization: Bearer $NOVA_API_KEY"}
}

# The "id" of an object always stands first in it.
id_of() { sed -E 's/^\{"id":"([^"]+)".*/\1/'; }

# A backslash or a quotation mark would end the JSON string: each gets a backslash before it.
escaped=$(printf '%s' "$question" | sed 's/[\\"]/\\&/g')

assistant=$(post assistants '{
  "name": "Market analyst",
  "model": "nova-tiny",
  "instructions": "You are a market analyst. Answer in a few plain sentences.",
  "temperature": 0
}' | id_of)

thread=$(post threads '{"metadata": {"topic": "markets"}}' | id_of)

post "threads/$thread/messages" "{\"role\": \"user\", \"content\": \"$escaped\"}" > /dev/null

post "threads/$thread/runs" "{\"assistant_id\": \"$assistant\", \"max_completion_tokens\": 200}" \
  --header 'Prefer: wait=60'
echo

curl --silent --show-error --fail-with-body "$base_url/threads/$thread/messages?order=asc" \
  ${NOVA_API_KEY:+--header "Authorization: Bearer $NOVA_API_KEY"}
echo
