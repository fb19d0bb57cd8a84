# Shared ground of the shell scripts; source it first:  . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck shell=bash
# The header comment of a script is its --help.
set -euo pipefail

dry_run=${DRY_RUN:-}
dry_run=${dry_run#0}

log() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# die MESSAGE REMEDY: one clear line that says what to do, and a status that is not zero.
die() {
    printf 'error: %s; %s\n' "$1" "$2" >&2
    exit 1
}

# again STAGE...: the command that does the same, with what this one was told and may be shown; never a key or a password.
again() {
    local name command="make $*"
    for name in ENV T VERSION PREVIOUS ROWS ADVISORIES PYTHON REQUIRE; do
        case $name=${!name:-} in
            "$name=" | ENV=dev | PYTHON=python3) ;;
            *) command+=" $name=$(printf %q "${!name}")" ;;
        esac
    done
    printf '%s' "$command"
}

# number NAME FROM TO: refuse what NAME says in the environment unless it is nothing or a whole number in this range.
number() {
    local said=${!1:-}
    [[ -z $said ]] || { [[ $said =~ ^[0-9]{1,6}$ ]] && ((10#$said >= $2 && 10#$said <= $3)); } ||
        die "$1=$said cannot be followed" "give a whole number from $2 to $3"
}

# check_told: refuse what the environment tells a rollout wrongly, before anything is done. Called in the checkout.
check_told() {
    local name inventories
    [[ -f infra/inventories/${ENV:-dev}/hosts.yml ]] ||
        die "there is no environment $ENV here" "choose one: ENV=$(basename -a infra/inventories/* | paste -sd ,)"
    IFS=, read -ra inventories <<<"${INVENTORY:-}"
    for name in "${inventories[@]}"; do
        [[ -e $name ]] || die "there is no inventory $name" "INVENTORY names files, with commas between"
    done
    # The processes read their paths in KEY=value lines, which no quoting may stand in.
    [[ ${ROLLOUT_ROOT:-$PWD} != *[\"\'\$\`\\[:cntrl:]]* ]] ||
        die "the folder ${ROLLOUT_ROOT:-$PWD} has a quote, \$ or \\ in its name" "give another one: ROLLOUT_ROOT=..."
    [[ ${SINCE:-10m} =~ ^[0-9]{1,6}[smhd]$ ]] ||
        die "SINCE=$SINCE cannot be followed" "say how long ago, as 90s, 10m, 2h or 1d"
    number PORT 1 65535
    number KEEP 0 1000
    for name in DRY_RUN PURGE; do number "$name" 0 1; done
    for name in LEASE READY; do number "ROLLOUT_${name}_SECONDS" 1 86400; done
    for name in WAIT WATCH; do number "ROLLOUT_${name}_SECONDS" 0 86400; done
}

# Whether the environment's inventory names an engine.
engine_is() {
    local inventories
    IFS=, read -ra inventories <<<"${INVENTORY:-infra/inventories/${ENV:-dev}/hosts.yml}"
    grep -qsx " *rollout_engine: $1" "${inventories[@]}"
}

# common_option ARG: takes what every script knows and refuses unknown options; false when ARG is not an option.
common_option() {
    case $1 in
        --help)
            awk 'NR > 1 { if (!sub(/^# ?/, "")) exit; print }' "$0"
            exit 0
            ;;
        --dry-run) dry_run=1 ;;
        -*) die "unknown option $1" "see scripts/${0##*/} --help" ;;
        *) return 1 ;;
    esac
}

# run COMMAND...: what changes something goes through here, so that a dry run only names it.
run() {
    if [[ -n $dry_run ]]; then
        log "would run: $*"
    else
        "$@"
    fi
}

# lock DIR HOLDER: hold DIR's lock on descriptor 9 until the process ends; while another has it, say who.
# Children inherit the descriptor and with it the lock: give those that leave daemons behind a 9>&-.
lock() {
    mkdir -p "$1"
    exec 9<"$1"
    if ! flock --nonblock 9; then
        # Who got it this very moment has not said yet who that is.
        log "waiting: $(cat "$1/holder" 2>/dev/null || echo somebody) holds $1"
        flock 9
    fi
    echo "$2" >"$1/holder.new"
    mv "$1/holder.new" "$1/holder"
}

# stop GROUP: end a process group and then this script.
stop() {
    set +e
    kill -- "-$1"
    wait "$1"
    exit 143
}

# follow INDENT LOG COMMAND...: run COMMAND with its output in LOG, show LOG as it grows, return COMMAND's
# status. A file and not a pipe, so that a daemon left behind cannot keep the reader waiting; a process group
# of its own, so that ending this script ends all of COMMAND.
follow() {
    local indent=$1 log=$2 command viewer status=0
    : >"$log"
    trap 'stop "$command"' HUP INT TERM
    set -m
    "${@:3}" >>"$log" 2>&1 </dev/null &
    set +m
    command=$!
    tail --lines=+1 --follow --sleep-interval=0.05 --pid="$command" "$log" | sed --unbuffered "s/^/$indent/" &
    viewer=$!
    wait "$command" || status=$?
    wait "$viewer" || status=$?
    trap - HUP INT TERM
    return "$status"
}
