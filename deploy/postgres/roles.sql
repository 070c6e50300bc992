-- Two roles, so that a worker cannot change the schema. As a superuser, connected to any database:
--   psql -v migrate_password=… -v run_password=… -f deploy/postgres/roles.sql
\set ON_ERROR_STOP on

CREATE ROLE rosterd_migrate LOGIN PASSWORD :'migrate_password';
CREATE ROLE rosterd_run LOGIN PASSWORD :'run_password';
CREATE DATABASE rosterd;
\connect rosterd

REVOKE ALL ON DATABASE rosterd FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE rosterd TO rosterd_migrate, rosterd_run;

CREATE SCHEMA rosterd AUTHORIZATION rosterd_migrate;
ALTER ROLE rosterd_migrate IN DATABASE rosterd SET search_path = rosterd;
ALTER ROLE rosterd_run IN DATABASE rosterd SET search_path = rosterd;
GRANT USAGE ON SCHEMA rosterd TO rosterd_run;
ALTER DEFAULT PRIVILEGES FOR ROLE rosterd_migrate IN SCHEMA rosterd
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO rosterd_run;

-- Workers send these when they connect. PgBouncer in transaction mode drops what they send, so the role has them, too.
-- A frozen worker frees its rows after the first; the others keep every wait bounded.
ALTER ROLE rosterd_run IN DATABASE rosterd SET idle_in_transaction_session_timeout = '3s';
ALTER ROLE rosterd_run IN DATABASE rosterd SET statement_timeout = '10s';
ALTER ROLE rosterd_run IN DATABASE rosterd SET lock_timeout = '2s';
ALTER ROLE rosterd_run IN DATABASE rosterd SET plan_cache_mode = 'force_custom_plan';
