// What the charts' SVG pictures share: colours, texts, the beginning.
#pragma once

#include <cstddef>
#include <ostream>
#include <string>

namespace expunge::report::detail {

/// Of the series with this number.
inline const char* colour(std::size_t number) {
  static constexpr const char* colours[] = {"#2b6cb0", "#dd6b20", "#2f855a", "#805ad5", "#718096"};
  return colours[number % 5];
}

/// A text in which nothing is markup.
inline std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  return out;
}

/// A white picture whose title begins at `left`.
inline void begin_svg(std::ostream& out, double width, double height, double left, const std::string& title) {
  out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
      << "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"" << left
      << "\" y=\"22\" font-size=\"15\">" << escaped(title) << "</text>\n";
}

/// What the vertical axis shows; the axis' middle is at y.
inline void name_vertical_axis(std::ostream& out, double y, const std::string& name) {
  out << "<text x=\"14\" y=\"" << y << "\" transform=\"rotate(-90 14 " << y << ")\" text-anchor=\"middle\">" << escaped(name) << "</text>\n";
}

}  // namespace expunge::report::detail
