-- The dump and the figures of one moment: both see the same snapshot.
begin isolation level repeatable read read only;
select pg_export_snapshot() as snapshot \gset
\setenv SNAPSHOT :snapshot
\! pg_dump --format=custom --snapshot="$SNAPSHOT" --file=dump.partial && mv dump.partial dump
\o figures
\ir figures.sql
\o
commit;
