-- Name, rows and checksum of every table; the order of rows does not matter, nor do settings.
set timezone to 'UTC';
set datestyle to 'ISO';
set intervalstyle to 'iso_8601';
set bytea_output to 'hex';
select format(
    'select %L, count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from %I.%I t',
    nspname || '.' || relname, nspname, relname
)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind = 'r' and relpersistence = 'p' and nspname not in ('pg_catalog', 'information_schema')
order by nspname, relname \gexec
