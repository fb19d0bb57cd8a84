#!/bin/sh
# Backups of a cluster's own database in /backups, a folder each, named by its moment in UTC: the dump, and the rows and
# the checksum of every table as they were then.
#
# usage: backup.sh made DAYS   make one, read it again, and prune what is older; the newest stays
#        backup.sh listed      the moments, oldest first
#        backup.sh whole MOMENT       is it what was written?
#        backup.sh drilled MOMENT     restore it beside the database, and compare
#        backup.sh restored MOMENT    restore it, compare, and put it in the database's place, which is kept
set -eu
here=$(dirname "$0")
cd /backups

# ask DATABASE OPTIONS...
ask() {
    database=$1
    shift
    psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname="$database" "$@"
}

# A pod's network rules come a moment after it.
reached() {
    tries=0
    until pg_isready --quiet; do
        tries=$((tries + 1))
        test "$tries" -lt 60 || die "$PGHOST:5432 does not answer"
        sleep 0.5
    done
}

die() {
    echo "$1" >&2
    exit 1
}

whole() {
    test -f "$1/sums" || die "there is no backup $1"
    (cd "$1" && sha256sum --check --quiet --strict sums >/tmp/damaged 2>&1) || die "the backup $1 is damaged: $(head -n 1 /tmp/damaged)"
    pg_restore --list "$1/dump" >/dev/null
}

made() {
    rm -rf ./*.partial # of one that was killed
    moment=$(date -u +%Y%m%dT%H%M%SZ)
    mkdir "$moment.partial"
    (cd "$moment.partial" && ask "$PGDATABASE" --file="$here/dump.sql" && sha256sum dump figures >sums)
    mv "$moment.partial" "$moment"
    whole "$moment"
    find . -mindepth 1 -maxdepth 1 -name '*Z' ! -name "$moment" -mtime "+$1" -exec rm -rf {} +
    echo "$moment"
}

listed() {
    find . -mindepth 1 -maxdepth 1 -name '*Z' -printf '%P\n' | sort
}

# filled DATABASE MOMENT: a new database with what the backup holds, compared.
filled() {
    whole "$2"
    dropdb --if-exists --force "$1"
    createdb "$1"
    pg_restore --exit-on-error --no-owner --dbname="$1" "$2/dump"
    ask "$1" --file="$here/figures.sql" >/tmp/figures
    diff "$2/figures" /tmp/figures >/tmp/different || die "what was restored of $2 differs: $(sed -n 2p /tmp/different)"
}

drilled() {
    filled drill "$1"
    dropdb --force drill
    awk -F '|' '{ rows += $2 } END { print NR, rows + 0 }' "$1/figures"
}

restored() {
    filled restored "$1"
    kept="${PGDATABASE}_before_$(date -u +%Y%m%d%H%M%S)"
    ask postgres --single-transaction --command="alter database \"$PGDATABASE\" rename to \"$kept\"" \
        --command="alter database restored rename to \"$PGDATABASE\""
    echo "$kept"
}

reached
"$@"
