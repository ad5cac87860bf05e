// Small helpers for text that goes to a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/colour.h"
#include "model/value.h"

namespace tidemark::cli {

/// What may be printed as it is: control characters and broken UTF-8 become escapes, so that
/// neither a name nor a row can play tricks with the terminal.
std::string printable(std::string_view text);

/// "node x: what", or `what` where it begins so already.
std::string of_node(const std::string& node, const std::string& what);

/// Columns that `text` takes on a terminal; every code point counts as one.
std::size_t width_of(std::string_view text);

/// Cut to `width` columns, with an ellipsis when something is missing.
std::string shortened(std::string_view text, std::size_t width);

/// One column of a row for people: NULL, 42, text as it is, x'00ff'.
std::string value_text(const ValueView& value);

/// Colours of cells: a count that somebody should look at when it is not 0, and the state of a node
/// or job.
Colour colour_of_count(std::string_view cell);
Colour colour_of_state(std::string_view cell);

/// "1 row", "2 rows"; thousands are set apart: "12 345 rows".
std::string counted(std::int64_t count, std::string_view noun);
std::string grouped(std::int64_t number);

/// Broken into lines of at most `width` columns, each begun with `indent` spaces.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width);

/// Right-aligned numbers, left-aligned words, two spaces between columns; coloured where stdout has
/// colours.
class TextTable {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
    Colour (*colour_of)(std::string_view cell) = nullptr;  // on a terminal
  };

  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// `cells` has one text for each column; it is made printable here.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// With a title line; every line ends with a newline.
  std::string render(std::size_t indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// As much of an id as tells it from all others in `sorted`, eight digits at least.
std::string short_id(const std::vector<std::string>& sorted, const std::string& id);

}  // namespace tidemark::cli
