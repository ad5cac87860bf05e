// NameMap turns the names that all nodes of a job agree on into those that one node has for the
// same tables and columns, and back.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "model/table.h"

namespace tidemark {

class NameMap {
 public:
  bool empty() const { return tables_.empty() && columns_.empty(); }
  /// False when `own` stands for another table already.
  bool add_table(const std::string& agreed, const std::string& own);
  /// The table is given by its agreed name. False when `own` stands for another column of it.
  bool add_column(const std::string& agreed_table, const std::string& agreed,
                  const std::string& own);

  /// `spec` as it is called by all, when the node calls it so.
  TableSpec agreed(const TableSpec& spec) const;
  /// The other way round.
  TableSpec own(const TableSpec& spec) const;

 private:
  std::string agreed_table(const std::string& own) const;
  std::string own_table(const std::string& agreed) const;
  std::string agreed_column(const std::string& table, const std::string& own) const;
  std::string own_column(const std::string& table, const std::string& agreed) const;

  std::map<std::string, std::string> tables_;  // agreed -> own
  std::map<std::pair<std::string, std::string>, std::string>
      columns_;  // (agreed table, agreed) -> own
};

}  // namespace tidemark
