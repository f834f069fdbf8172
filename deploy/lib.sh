# shellcheck shell=bash
# What the scripts here share. They source it at the top of the repository, and get the function's name and region and a
# folder for requests, which hold secrets. The function is clbwatch or, if the script's first argument is slack,
# clbwatch-slack; that argument is then gone.

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# no_arguments ARGUMENT...: ends the script if there are any, because a misspelt slack would act on the other function.
no_arguments() { (($# == 0)) || die "usage: deploy/${0##*/} [slack]"; }

# input KEY, trigger KEY: a value from the inputs of the function's serverless.yml, or from its trigger's parameters.
input() { scalar 2 "$1"; }
trigger() { scalar 10 "$1"; }

# scalar INDENT KEY
scalar() {
	local value
	value=$(sed -nE "s/^ {$1}$2: *'?([^'#]*[^'# ])'? *(#.*)?$/\1/p" "$yaml")
	[[ -n $value && $value != *$'\n'* ]] || die "$yaml does not have exactly one $2"
	printf '%s' "$value"
}

# setting NAME: its value from the environment or else from .env, as scf takes it; nothing if it is not set.
setting() {
	local value=${!1-}
	if [[ -z $value && -f .env ]]; then
		value=$(sed -nE "s/^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*(.*[^[:space:]])?[[:space:]]*$/\2/p" .env | tail -n 1)
		if [[ $value == \"*\" || $value == \'*\' ]]; then
			value=${value#?} value=${value%?}
		fi
	fi
	printf '%s' "$value"
}

# need_settings: without these the function cannot work; scf would deploy without a word. SLACK_SIGNING_SECRET is not
# among them: Slack makes it with the app, which needs the URL, which the first deployment makes.
need_settings() {
	local missing=()
	[[ $slack || -n $(setting CLB_IDS)$(setting CLB_DISCOVER) ]] || missing+=("CLB_IDS or CLB_DISCOVER")
	[[ -n $(setting STATE_URL) ]] || missing+=(STATE_URL)
	if [[ $slack || -n $(setting SLACK_BOT_TOKEN) ]]; then
		[[ -n $(setting SLACK_CHANNEL) ]] || missing+=(SLACK_CHANNEL)
	elif [[ -z $(setting SLACK_WEBHOOK_URL) ]]; then
		missing+=("SLACK_BOT_TOKEN or SLACK_WEBHOOK_URL")
	fi
	((${#missing[@]} == 0)) || die "not set, neither in .env nor in the environment: ${missing[*]}; see docs/settings.md"
}

need_tccli() {
	tools/need jq jq
	command -v tccli >/dev/null || die "no tccli here: pip install tccli, then tccli configure (or TENCENTCLOUD_SECRET_ID" \
		"and TENCENTCLOUD_SECRET_KEY), then deploy/${0##*/} again"
}

# call SERVICE ACTION: one API call. The request is read from stdin, the answer printed. A request goes by a file: it is
# too long for a command line (the zip), or nobody's business there (the webhook). Whether it worked is told by the
# answer, because older versions of tccli exit with 0 after an error.
call() {
	local answer
	cat >"$work/request.json"
	answer=$(tccli "$1" "$2" --region "$region" --timeout 300 --cli-input-json "file://$work/request.json" 2>"$work/error") || true
	if jq -en 'input | type == "object"' <<<"$answer" >/dev/null 2>&1; then
		jq '.Response // .' <<<"$answer"
		return
	fi
	printf '%s\n' "$answer" >>"$work/error"
	return 1
}

# failed TEXT...: call failed, and that ends the script.
failed() { die "$*: $(tr -s '\n' ' ' <"$work/error")"; }

# await: the function can be changed again. It is Creating or Updating for some seconds after each change.
await() {
	local status
	for _ in {1..60}; do
		status=$(call scf GetFunction <<<"{\"FunctionName\": \"$name\"}" | jq -r .Status) || failed "ask for the function $name"
		case $status in
		Active) return ;;
		*Failed) die "the function $name is in the status $status: see the console" ;;
		esac
		sleep 2
	done
	die "the function $name is still in the status $status after two minutes"
}

slack= # not empty if it is clbwatch-slack
yaml=serverless.yml
if [[ ${1-} == slack ]]; then
	slack=yes
	yaml=deploy/slack/serverless.yml
	shift
fi
name=$(input name)
region=$(input region)
work=$(mktemp -d) # only its owner may read it
trap 'rm -rf "$work"' EXIT
