// An application's side of one SQLite file for the tests of this engine: any SQL through a
// connection of its own, results as text. The file goes away with the object.
#pragma once

#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "engines/registry.h"

namespace tidemark::testing {

class SqliteApplication {
 public:
  explicit SqliteApplication(const std::string& schema = "") {
    std::string pattern = std::filesystem::temp_directory_path() / "tidemark-unit-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
    if (sqlite3_open(file().c_str(), &handle_) != SQLITE_OK)
      throw std::runtime_error("cannot open");
    run("PRAGMA synchronous = OFF");
    run(schema);
  }
  ~SqliteApplication() {
    sqlite3_close(handle_);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  SqliteApplication(const SqliteApplication&) = delete;
  SqliteApplication& operator=(const SqliteApplication&) = delete;

  std::filesystem::path folder() const { return folder_; }
  std::filesystem::path file() const { return folder_ / "app.db"; }
  std::unique_ptr<Node> open(bool read_only = false) const {
    return open_node({.node_name = "site",
                      .url = "sqlite:app.db",
                      .directory = folder_,
                      .lock_timeout = std::chrono::milliseconds(50),
                      .read_only = read_only});
  }

  void run(const std::string& sql) {
    char* message = nullptr;
    if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, &message) == SQLITE_OK) return;
    const std::string words = message ? message : "";
    sqlite3_free(message);
    throw std::runtime_error(words + ": " + sql);
  }
  /// Values of all rows, joined with commas and semicolons; NULL is empty.
  std::string ask(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      throw std::runtime_error(sqlite3_errmsg(handle_));
    }
    std::string text;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      if (!text.empty()) text += ";";
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        if (i > 0) text += ",";
        const auto* value = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
        if (value != nullptr) text += value;
      }
    }
    sqlite3_finalize(statement);
    return text;
  }

  /// Activates every table that can take part, and returns the node.
  std::unique_ptr<Node> activate() const {
    auto node = open();
    node->begin_write();
    if (!node->identity()) {
      node->create_control_tables({.node_id = uuid(1), .incarnation = 1, .origin = uuid(2)});
    }
    for (const TableSpec& table : node->catalog()) {
      if (table.refusal.empty()) node->install_capture(table, uuid(3));
    }
    node->commit();
    return node;
  }
  static Uuid uuid(std::uint8_t number) {
    Uuid result;
    result.bytes.fill(number);
    return result;
  }

 private:
  std::filesystem::path folder_;
  sqlite3* handle_ = nullptr;
};

}  // namespace tidemark::testing
