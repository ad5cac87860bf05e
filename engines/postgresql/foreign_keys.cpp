// Foreign keys of a session that writes with triggers switched off. The server checks none of them
// then, so the session does, for the keys that it touched, before it commits.
#include "engines/postgresql/identifiers.h"
#include "engines/postgresql/postgresql_node.h"

namespace tidemark::postgresql {
namespace {

/// `a."x" = b."y" AND ...`
std::string columns_equal(const std::string& a, const std::vector<std::string>& x,
                          const std::string& b, const std::vector<std::string>& y) {
  std::string text;
  for (std::size_t i = 0; i < x.size(); ++i) {
    text += (i > 0 ? " AND " : "") + a + quoted_name(x[i]) + " = " + b + quoted_name(y[i]);
  }
  return text;
}

}  // namespace

void PostgresqlNode::note_written(const ActiveTable& table, bool whole) {
  if (!may_silence_.value_or(false)) return;
  std::string& news = written_[table.spec.name];
  // What the node knew before: it learns at the end of the transaction.
  news = whole ? "" : origins_.news(load_knowledge("tidemark.knowledge", table.id), "v.");
}

void PostgresqlNode::check_foreign_keys() {
  for (const auto& [child_name, child] : catalog_) {
    if (written_.empty()) return;
    for (const ForeignKeySpec& foreign_key : child.spec.foreign_keys) {
      const auto parent = catalog_.find(foreign_key.parent_table);
      const bool child_written = written_.contains(child_name);
      if (parent == catalog_.end() || (!child_written && !written_.contains(parent->first))) {
        continue;
      }
      std::string refers;
      for (const std::string& column : foreign_key.columns) {
        refers += " AND c." + quoted_name(column) + " IS NOT NULL";
      }
      const std::string orphan =
          "NOT EXISTS (SELECT FROM " + parent->second.quoted + " AS p WHERE " +
          columns_equal("p.", foreign_key.parent_columns, "c.", foreign_key.columns) + ")" + refers;
      const auto touched_key = [&](const std::string& table) -> const TableSql* {
        for (const auto& entry : tables_) {
          if (entry.second->spec().name == table) return entry.second.get();
        }
        return nullptr;
      };
      std::string query;
      const TableSql* sql = touched_key(child_name);
      if (child_written && sql != nullptr) {
        const std::string& news = written_[child_name];
        query = "SELECT " + sql->key_output("c.") + " FROM " + child.quoted + " AS c WHERE " +
                (news.empty() ? ""
                              : "EXISTS (SELECT FROM " + sql->version() + " AS v WHERE " +
                                    sql->key_is_control("c.", "v.") + " AND " + news + ") AND ") +
                orphan + " LIMIT 1";
        refuse_orphan(query, child, foreign_key);
      }
      // Parents that went: by their key where that is what the children name, else all children.
      if (!written_.contains(parent->first)) continue;
      const TableSql* parent_sql = touched_key(parent->first);
      std::vector<std::string> key;
      for (const std::size_t position : parent->second.spec.key) {
        key.push_back(parent->second.spec.columns[position].name);
      }
      const std::string& news = written_[parent->first];
      std::string condition = orphan;
      if (!news.empty() && parent_sql != nullptr && key == foreign_key.parent_columns) {
        std::string is_child;
        for (std::size_t i = 0; i < key.size(); ++i) {
          is_child += (i > 0 ? " AND v.k" : "v.k") + std::to_string(i + 1) + " = c." +
                      quoted_name(foreign_key.columns[i]);
        }
        condition = "EXISTS (SELECT FROM " + parent_sql->version() + " AS v WHERE " + is_child +
                    " AND v.flags & 1 = 1 AND " + news + ") AND " + orphan;
      }
      std::string output;
      for (const std::size_t position : child.spec.key) {
        const ColumnSpec& column = child.spec.columns[position];
        output += (output.empty() ? "" : ", ") +
                  output_term(child.columns.at(column.name), "c." + quoted_name(column.name));
      }
      refuse_orphan(
          "SELECT " + output + " FROM " + child.quoted + " AS c WHERE " + condition + " LIMIT 1",
          child, foreign_key);
    }
  }
  written_.clear();
}

void PostgresqlNode::refuse_orphan(const std::string& query, const CatalogTable& child,
                                   const ForeignKeySpec& foreign_key) {
  const Rows rows = connection_.query(query);
  if (rows.empty()) return;
  const TableSql sql(child.spec, child, 0);
  Row key;
  for (std::size_t i = 0; i < child.spec.key.size(); ++i) {
    key.emplace_back(sql.decode_key_part(i, rows.bytes(0, static_cast<int>(i))));
  }
  const auto views = to_views(key);
  throw Error(ExitCode::failed,
              "node " + name() + ": table " + child.spec.name + ": the row with key " +
                  to_string(views) + " would refer to a row of table " + foreign_key.parent_table +
                  " that is not there",
              "nothing was written; bring the missing row back on the other node, or delete the "
              "row that refers to it");
}

}  // namespace tidemark::postgresql
