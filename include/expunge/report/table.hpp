// A table of text cells, printed aligned and valid as Markdown.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "expunge/core/characters.hpp"
#include "expunge/core/error.hpp"

namespace expunge::report {

/// `value` with `digits` decimals.
inline std::string fixed(double value, int digits) {
  char text[400];  // the largest double has 309 digits before the point
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

class table {
 public:
  explicit table(std::vector<std::string> header) : columns_(header.size()) { add(std::move(header)); }

  /// Control characters become spaces, and bars are escaped, in the header too. Throws expunge::error for another number of cells than that has.
  void add(std::vector<std::string> row) {
    require(row.size() == columns_, "table: a row of ", row.size(), " cells under ", columns_, " columns");
    for (std::string& cell : row)
      for (std::size_t i = 0; i < cell.size(); ++i)
        if (is_control(cell[i])) cell[i] = ' ';  // a file's names must not steer a terminal
        else if (cell[i] == '|') cell.insert(i++, 1, '\\');
    rows_.push_back(std::move(row));
  }

  /// The first column left-aligned, the others right-aligned.
  friend std::ostream& operator<<(std::ostream& out, const table& t) {
    std::vector<std::size_t> width(t.columns_, 3);
    for (const auto& row : t.rows_)
      for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
    const auto line = [&](const std::vector<std::string>& row) {
      for (std::size_t c = 0; c < row.size(); ++c) {
        const std::string pad(width[c] - row[c].size(), ' ');
        out << "| " << (c == 0 ? row[c] + pad : pad + row[c]) << ' ';
      }
      out << "|\n";
    };
    line(t.rows_.front());
    for (std::size_t c = 0; c < width.size(); ++c) out << '|' << std::string(width[c] + 1, '-') << (c == 0 ? "-" : ":");
    out << "|\n";
    for (std::size_t r = 1; r < t.rows_.size(); ++r) line(t.rows_[r]);
    return out;
  }

 private:
  std::size_t columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace expunge::report
