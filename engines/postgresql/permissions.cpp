// Roles: what sessions may do, what they are given, and what the operator should know of both.
#include "engines/postgresql/embedded_sql.h"
#include "engines/postgresql/identifiers.h"
#include "engines/postgresql/postgresql_node.h"

namespace tidemark::postgresql {
namespace {

constexpr const char* kPrivileges[] = {"SELECT", "INSERT", "UPDATE", "DELETE"};

/// What a role (an expression) lacks, where it was taken from PUBLIC, beside privileges on tables
/// and sequences: the database itself, types of columns with what their checks call, functions of
/// checks, indexes and generated columns, schemas of what statements of ours name. Each with
/// whether we may grant it.
std::string lacked_beside_tables(const std::string& role) {
  return "WITH captured AS (SELECT DISTINCT tgrelid AS oid FROM pg_trigger WHERE tgname ~ "
         "'^tidemark_[0-9]+_'), "
         "part(class, oid) AS (SELECT 'pg_class'::regclass, oid FROM captured UNION ALL SELECT "
         "'pg_class'::regclass, indexrelid FROM pg_index WHERE indrelid IN (TABLE captured) UNION "
         "ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid IN (TABLE "
         "captured) UNION ALL SELECT 'pg_attrdef'::regclass, f.oid FROM pg_attrdef f JOIN "
         "pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE f.adrelid IN "
         "(TABLE captured) AND a.attgenerated <> ''), "
         "leant AS (SELECT DISTINCT d.refclassid AS class, d.refobjid AS oid FROM part JOIN "
         "pg_depend d ON d.classid = part.class AND d.objid = part.oid), "
         "type AS (SELECT DISTINCT t.oid, t.typname, t.typnamespace, t.typowner FROM leant JOIN "
         "pg_type s ON s.oid = leant.oid JOIN pg_type t ON t.oid = CASE WHEN s.typsubscript = "
         "'array_subscript_handler'::regproc THEN s.typelem ELSE s.oid END WHERE leant.class = "
         "'pg_type'::regclass), "
         "called AS (SELECT oid FROM leant WHERE class = 'pg_proc'::regclass UNION SELECT "
         "d.refobjid FROM pg_constraint k JOIN pg_depend d ON d.classid = "
         "'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass "
         "WHERE k.contypid IN (SELECT oid FROM type)), "
         "named AS (SELECT typnamespace AS oid FROM type UNION SELECT c.collnamespace FROM leant "
         "JOIN pg_collation c ON c.oid = leant.oid WHERE leant.class = 'pg_collation'::regclass "
         "UNION SELECT o.opcnamespace FROM leant JOIN pg_opclass o ON o.oid = leant.oid WHERE "
         "leant.class = 'pg_opclass'::regclass UNION SELECT c.relnamespace FROM captured JOIN "
         "pg_class c ON c.oid = captured.oid) "
         "SELECT format('%s ON DATABASE %I', p.name, d.datname), 0, pg_has_role(d.datdba, 'USAGE') "
         "FROM pg_database d, (VALUES ('CONNECT'), ('TEMPORARY')) AS p(name) WHERE d.datname = "
         "current_database() AND NOT has_database_privilege(" +
         role +
         ", d.oid, p.name) UNION ALL SELECT format('USAGE ON SCHEMA %I', n.nspname), 1, "
         "pg_has_role(n.nspowner, 'USAGE') FROM named JOIN pg_namespace n ON n.oid = named.oid "
         "WHERE NOT has_schema_privilege(" +
         role +
         ", n.oid, 'USAGE') UNION ALL SELECT format('USAGE ON TYPE %I.%I', n.nspname, "
         "t.typname), 2, pg_has_role(t.typowner, 'USAGE') FROM type t JOIN pg_namespace n ON n.oid "
         "= t.typnamespace WHERE NOT has_type_privilege(" +
         role +
         ", t.oid, 'USAGE') UNION ALL SELECT format('EXECUTE ON FUNCTION %s', "
         "p.oid::regprocedure), 3, pg_has_role(p.proowner, 'USAGE') FROM called JOIN pg_proc p ON "
         "p.oid = called.oid WHERE NOT has_function_privilege(" +
         role + ", p.oid, 'EXECUTE') ORDER BY 2, 1";
}

}  // namespace

void PostgresqlNode::grant(const std::string& privilege) {
  if (!connection_.query("SELECT to_regclass('tidemark.granted') IS NOT NULL").boolean(0, 0)) {
    define(render("granted", {}));
  }
  define("GRANT " + privilege + " TO " + quoted_name(session_role_));
  connection_.query("INSERT INTO tidemark.granted(privilege, grantee) VALUES ($1, $2)",
                    {privilege, session_role_});
}

// The last first. What was dropped meanwhile, or belongs to somebody else by now, is passed over.
void PostgresqlNode::take_back_grants() {
  if (!connection_.query("SELECT to_regclass('tidemark.granted') IS NOT NULL").boolean(0, 0)) {
    return;
  }
  const Rows rows = connection_.query(
      "SELECT privilege, grantee FROM tidemark.granted WHERE privilege !~ ' ON (SCHEMA |"
      "FUNCTION )?tidemark(\\.|$)' ORDER BY grant_order DESC");
  for (int i = 0; i < rows.size(); ++i) {
    connection_.execute("SAVEPOINT tidemark_grant");
    try {
      define("REVOKE " + rows.text(i, 0) + " FROM " + quoted_name(rows.bytes(i, 1)));
    } catch (const Error&) {
      if (connection_.is_broken()) throw;
      connection_.execute("ROLLBACK TO SAVEPOINT tidemark_grant");
    }
    connection_.execute("RELEASE SAVEPOINT tidemark_grant");
  }
}

// Only what is missing, so that an activation with nothing to do says nothing.
void PostgresqlNode::grant_access() {
  if (session_role_.empty()) return;
  const std::string role = quoted_text(session_role_);
  const std::string to = " TO " + quoted_name(session_role_);
  // Only what is missing, so that no more is taken back one day.
  const auto missing = [&role](const char* function, const char* oid, const char* privileges) {
    return std::string(
               "(SELECT string_agg(p.name, ', ' ORDER BY p.number) FROM "
               "unnest(string_to_array('") +
           privileges + "', ' ')) WITH ORDINALITY AS p(name, number) WHERE NOT " + function + "(" +
           role + ", " + oid + ", p.name))";
  };
  const std::string on_table =
      missing("has_table_privilege", "c.oid", "SELECT INSERT UPDATE DELETE");
  const std::string on_sequence = missing("has_sequence_privilege", "s.oid", "SELECT USAGE UPDATE");
  const Rows wanted = connection_.query(
      "SELECT DISTINCT format('USAGE ON SCHEMA %I', n.nspname), 1 FROM pg_class c JOIN "
      "pg_namespace n ON n.oid = c.relnamespace WHERE (n.nspname = 'tidemark' OR c.oid IN "
      "(SELECT unnest(ARRAY[t.tgrelid, f.sequence, k.confrelid]) FROM pg_trigger t LEFT JOIN (" +
      std::string(kFills) +
      ") f ON f.relation = t.tgrelid LEFT JOIN pg_constraint k ON k.conrelid = t.tgrelid AND "
      "k.contype = 'f' WHERE t.tgname ~ '^tidemark_[0-9]+_')) AND NOT has_schema_privilege(" +
      role + ", n.oid, 'USAGE') AND pg_has_role(n.nspowner, 'USAGE') UNION ALL SELECT " + on_table +
      " || format(' ON %I.%I', n.nspname, c.relname), 2 FROM pg_class c JOIN pg_namespace n ON "
      "n.oid = c.relnamespace "
      "WHERE "
      "c.relkind IN ('r', 'p') AND (n.nspname = 'tidemark' OR (NOT c.relispartition AND c.oid IN "
      "(SELECT t.tgrelid FROM pg_trigger t WHERE t.tgname ~ '^tidemark_[0-9]+_'))) AND c.oid <> "
      "coalesce(to_regclass('tidemark.granted')::oid, 0) AND " +
      on_table + " IS NOT NULL UNION ALL " +
      // What captured tables refer to, be it in a job or not, is looked at.
      "SELECT DISTINCT format('SELECT ON %I.%I', n.nspname, c.relname), 3 FROM pg_trigger t "
      "JOIN pg_constraint f ON f.conrelid = t.tgrelid AND f.contype = 'f' JOIN pg_class c ON c.oid "
      "= f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname ~ "
      "'^tidemark_[0-9]+_' AND c.oid NOT IN (SELECT t.tgrelid FROM pg_trigger t WHERE t.tgname ~ "
      "'^tidemark_[0-9]+_') AND pg_has_role(c.relowner, 'USAGE') AND NOT has_table_privilege(" +
      role + ", c.oid, 'SELECT') UNION ALL SELECT DISTINCT " + on_sequence +
      " || format(' ON SEQUENCE %s', s.oid::regclass), 4 FROM pg_trigger t JOIN (" + kFills +
      ") f ON f.relation = t.tgrelid JOIN pg_class s ON s.oid = f.sequence AND s.relkind = 'S' "
      "WHERE t.tgname ~ '^tidemark_[0-9]+_' AND pg_has_role(s.relowner, 'USAGE') AND NOT " +
      may_move_sequence(role) +
      " UNION ALL SELECT 'EXECUTE ON FUNCTION ' || format('%I.%I()', n.nspname, p.proname), 5 FROM "
      "pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'tidemark' AND "
      "p.proname ~ '^capture_[0-9]+_watch_moves$' AND NOT has_function_privilege(" +
      role + ", p.oid, 'EXECUTE') ORDER BY 2, 1");
  for (int i = 0; i < wanted.size(); ++i) {
    // A sequence that lacked nothing but its schema.
    if (!wanted.is_null(i, 0)) grant(wanted.text(i, 0));
  }
  const Rows beside = connection_.query(lacked_beside_tables(role));
  std::string of_others;
  for (int i = 0; i < beside.size(); ++i) {
    if (beside.boolean(i, 2)) {
      grant(beside.text(i, 0));
    } else {
      of_others += "\n-- GRANT " + beside.text(i, 0) + to;
    }
  }
  if (script_ == nullptr || script_->empty()) return;
  if (!of_others.empty()) {
    script_->push_back("-- by somebody who may grant it, or sessions fail:" + of_others);
  }
  if (wanted.empty()) return;
  script_->push_back(
      "-- optional, by a superuser, so that the application's own triggers do not fire on rows "
      "that "
      "sessions write:\n-- GRANT SET ON PARAMETER session_replication_role" +
      to);
}

std::vector<Concern> PostgresqlNode::concerns() {
  std::vector<Concern> concerns;
  const Rows settings = connection_.query(
      "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on', "
      "has_database_privilege(current_database(), 'TEMPORARY'), current_user::text, "
      "has_parameter_privilege('session_replication_role', 'SET'), current_database()::text");
  const std::string role = settings.text(0, 3);
  if (settings.boolean(0, 0)) {
    concerns.push_back({.obstacle = true,
                        .message = "is a standby: it can be read only",
                        .hint = "name the primary server in the url"});
  }
  if (settings.boolean(0, 1)) {
    concerns.push_back(
        {.obstacle = true,
         .message = "default_transaction_read_only is on for role " + role,
         .hint = "ALTER ROLE " + quoted_name(role) + " SET default_transaction_read_only = off"});
  }
  if (!settings.boolean(0, 2)) {
    concerns.push_back({.obstacle = true,
                        .message = "role " + role + " may not make temporary tables",
                        .hint = "GRANT TEMPORARY ON DATABASE " + quoted_name(settings.bytes(0, 5)) +
                                " TO " + quoted_name(role)});
  }
  const Rows lacked = connection_.query(lacked_beside_tables("current_user"));
  for (int i = 0; i < lacked.size(); ++i) {
    if (lacked.integer(i, 1) == 0) continue;  // without the database we would not be here
    concerns.push_back({.obstacle = true,
                        .message = "role " + role + " lacks " + lacked.text(i, 0),
                        .hint = "run 'tidemark activate' with owner set for this node, or GRANT " +
                                lacked.text(i, 0) + " TO " + quoted_name(role)});
  }
  const Rows control = connection_.query(
      "SELECT format('%I.%I', n.nspname, c.relname), string_agg(p.name, ', ' ORDER BY p.number) "
      "FROM "
      "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, (VALUES (1, 'SELECT'), (2, "
      "'INSERT'), (3, 'UPDATE'), (4, 'DELETE')) AS p(number, name) WHERE n.nspname = 'tidemark' "
      "AND "
      "c.relkind = 'r' AND c.relname <> 'granted' AND NOT has_table_privilege(c.oid, p.name) GROUP "
      "BY "
      "1 ORDER BY 1");
  for (int i = 0; i < control.size(); ++i) {
    concerns.push_back(
        {.obstacle = true,
         .message = "role " + role + " lacks " + control.text(i, 1) + " ON " + control.text(i, 0),
         .hint = "run 'tidemark activate' with owner set for this node"});
  }
  if (!connection_.is_local() && connection_.ssl_mode() != "verify-full") {
    concerns.push_back(
        {.message = "the connection to " + connection_.host() +
                    " does not make sure who answers (sslmode is " + connection_.ssl_mode() + ")",
         .hint = "add sslmode=verify-full to the url, and the server's certificate authority to "
                 "~/.postgresql/root.crt"});
  }
  const Rows silent = connection_.query(
      "SELECT DISTINCT CASE WHEN s.setrole = 0 THEN 'all roles' ELSE 'role ' || "
      "pg_get_userbyid(s.setrole) END FROM pg_db_role_setting s, unnest(s.setconfig) AS c(item) "
      "WHERE "
      "s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) AND "
      "lower(c.item) = 'session_replication_role=replica' ORDER BY 1");
  for (int i = 0; i < silent.size(); ++i) {
    concerns.push_back({.message = "session_replication_role is replica for " + silent.text(i, 0) +
                                   ": what is written so fires no triggers and is not captured",
                        .hint = "RESET it for whoever writes data, and run 'tidemark verify'"});
  }
  for (const CatalogTable& table : read_catalog(connection_)) {
    if (!table.spec.refusal.empty()) continue;
    const Rows look = connection_.query(
        "SELECT has_schema_privilege(c.relnamespace, 'USAGE'), row_security_active(c.oid), "
        "has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'), "
        "has_table_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE'), (SELECT "
        "string_agg(t.tgname, ', ' ORDER BY t.tgname) FROM pg_trigger t WHERE t.tgrelid = c.oid "
        "AND "
        "NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND (SELECT p.pronamespace FROM pg_proc "
        "p WHERE p.oid = t.tgfoid) IS DISTINCT FROM to_regnamespace('tidemark')), "
        "EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname ~ "
        "'^tidemark_[0-9]+_'), EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid "
        "OR "
        "s.srrelid IN (SELECT relid FROM pg_partition_tree(c.oid))) FROM pg_class c WHERE c.oid = "
        "$1::oid",
        {table.oid});
    if (!look.boolean(0, 7)) continue;  // not under capture
    if (table.hides_from_owner) {
      concerns.push_back({.obstacle = true,
                          .table = table.spec.name,
                          .message = kHidesFromOwner,
                          .hint = kHidesFromOwnerHint});
    }
    if (look.boolean(0, 8)) {
      concerns.push_back(
          {.table = table.spec.name,
           .message = "a subscription of logical replication writes to it: that fires no triggers "
                      "of ours and is not captured",
           .hint = "take the table out of the subscription or out of the jobs"});
    }
    std::string missing;
    for (int i = 0; i < 4; ++i) {
      if (look.boolean(0, 2 + i)) continue;
      missing += (missing.empty() ? "" : ", ") + std::string(kPrivileges[i]);
    }
    if (!missing.empty()) {
      concerns.push_back(
          {.obstacle = true,
           .table = table.spec.name,
           .message = "role " + role + " lacks " + missing,
           .hint = "run 'tidemark activate' with owner set for this node, or GRANT " + missing +
                   " ON " + table.quoted + " TO " + quoted_name(role)});
    }
    if (look.boolean(0, 1)) {
      concerns.push_back(
          {.obstacle = true,
           .table = table.spec.name,
           .message = "row-level security hides rows from role " + role,
           .hint = "rows that are hidden must not be taken for deleted: let the owner of the table "
                   "or a role with BYPASSRLS run the sessions"});
    }
    const Rows closed = connection_.query(
        "SELECT format('%I.%I', n.nspname, s.relname) FROM (" + std::string(kFills) +
            ") f JOIN pg_class s ON s.oid = f.sequence AND s.relkind = 'S' JOIN pg_namespace n ON "
            "n.oid = s.relnamespace WHERE f.relation = $1::oid AND NOT " +
            may_move_sequence("current_user") + " ORDER BY 1",
        {table.oid});
    for (int i = 0; i < closed.size(); ++i) {
      concerns.push_back({.table = table.spec.name,
                          .message = "role " + role + " may not move sequence " +
                                     closed.text(i, 0) +
                                     " on: it may count into keys that came from another node",
                          .hint = "GRANT SELECT, USAGE, UPDATE ON SEQUENCE " + closed.text(i, 0) +
                                  " TO " + quoted_name(role)});
    }
    for (std::size_t i = 0; i < table.spec.columns.size(); ++i) {
      const std::string& column = table.spec.columns[i].name;
      if (!table.columns.at(column).always_identity || table.spec.is_in_key(i)) continue;
      concerns.push_back(
          {.table = table.spec.name,
           .message = "column " + column +
                      " is GENERATED ALWAYS AS IDENTITY: a row whose number differs on two nodes "
                      "waits in quarantine, for sessions cannot change the number",
           .hint = "ALTER TABLE " + table.quoted + " ALTER COLUMN " + quoted_name(column) +
                   " SET GENERATED BY DEFAULT"});
    }
    const bool looks_late = !table.deferrable_uniques.empty();
    if (!look.is_null(0, 6) && (looks_late || !settings.boolean(0, 4))) {
      concerns.push_back(
          {.table = table.spec.name,
           .message = "triggers fire on rows that sessions write: " + look.text(0, 6),
           .hint = looks_late
                       ? "the server looks at a deferrable unique constraint by a trigger, so "
                         "none of the table's is kept still; make the constraint NOT DEFERRABLE"
                       : "a superuser can keep them still: GRANT SET ON PARAMETER "
                         "session_replication_role TO " +
                             quoted_name(role)});
    }
  }
  return concerns;
}

}  // namespace tidemark::postgresql
