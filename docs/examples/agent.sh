#!/usr/bin/env bash
# An agent of your own, by REST, with curl and jq.
#
#     TETHER_AGENT_TOKEN=... ./agent.sh
#
# It makes a session, tells what it does, asks before it deploys, waits for the answer, hears what the person says,
# and ends its turn. Everything that it sends carries a key, so that sending it again changes nothing: that is how it
# gets over a connection that breaks, or a daemon that is restarted.
set -euo pipefail

url=${TETHER_API_URL:-http://127.0.0.1:8787}
url=${url%/}
seen=0

# The token goes in by a file of settings, so that nobody sees it in the list of processes.
api() { curl -sS --fail-with-body --retry 20 --retry-delay 1 --retry-connrefused --retry-all-errors --max-time 60 \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "${TETHER_AGENT_TOKEN:-}") "$@"; }

post() { api "$url$1" -H 'Content-Type: application/json' -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)" -d "$2"; }

# tell TYPE DATA [TYPE DATA ...]: several events at once.
tell() {
    local events='[]'
    while [ $# -gt 0 ]; do
        events=$(jq -c --arg type "$1" --argjson data "$2" '. + [{type: $type, data: $data}]' <<<"$events")
        shift 2
    done
    post "/api/sessions/$id/events/batch" "{\"events\":$events}" >/dev/null
}

text() { jq -nc --arg text "$1" --argjson final "${2:-false}" '{text: $text, is_final: $final}'; }

# The next thing that the person said or answered, in $event; waits for it.
hear() {
    local answer
    while :; do
        answer=$(api "$url/api/sessions/$id/events/poll?since_seq=$seen&types=user_input,permission_resolved&wait_s=30") || exit 1
        event=$(jq -c '.events[0] // empty' <<<"$answer")
        [ -n "$event" ] && break
    done
    seen=$(jq .seq <<<"$event")
}

id=$(post /api/sessions '{"agent_name":"example.sh","agent_type":"script","session_name":"Deploy (Bash)"}' | jq -r .id)
echo "$id"
tell output "$(text 'The build is done.')" output "$(text 'It wants to be deployed.')"

request=deploy-$$-$RANDOM
tell permission_request "{\"request_id\":\"$request\",\"tool_name\":\"deploy\",\"tool_input\":{\"to\":\"production\"}}"
until hear && jq -e --arg id "$request" '.type == "permission_resolved" and .data.request_id == $id' <<<"$event" >/dev/null; do :; done
# Nothing but an answer that says so is a yes.
if [ "$(jq '.data.allowed == true' <<<"$event")" = true ]; then
    verdict="Deployed."
else
    verdict="Not deployed: $(jq -r '.data.message // "no reason given"' <<<"$event")"
fi
tell output "$(text "$verdict" true)" status '{"status":"done"}'

until hear && [ "$(jq -r .type <<<"$event")" = user_input ]; do :; done
tell output "$(text "You said: $(jq -r .data.text <<<"$event")" true)" status '{"status":"done"}'
