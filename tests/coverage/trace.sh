# shellcheck shell=bash
# Sourced by every bash that a test starts (through BASH_ENV): appends each command that it runs, with its
# file and line, to a file of that process in $INFRA_COVERAGE_DIR, which tests/coverage/shell.py reads.
# The hashes say which version of a file a line belongs to; the clone that it ran in may be gone by then.
[[ -n ${INFRA_COVERAGE_DIR-} && -w $INFRA_COVERAGE_DIR ]] || return 0
(
    script=$(realpath --no-symlinks -- "$0")
    folder=${script%/*}
    [[ $folder == */scripts || $folder == */hooks ]] || folder=$PWD/scripts
    printf 'cwd %s\n' "$PWD"
    sha256sum -- "$script" "$folder"/* 2>/dev/null || :
) >>"$INFRA_COVERAGE_DIR/shell-$$.trace"
exec {BASH_XTRACEFD}>>"$INFRA_COVERAGE_DIR/shell-$$.trace"
PS4=$'+\x1f${BASH_SOURCE[0]-}\x1f$LINENO\x1f'
set -x
