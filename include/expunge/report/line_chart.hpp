// Curves on doubly logarithmic axes as a self-contained SVG picture: a power law is a straight line.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/report/svg.hpp"

namespace expunge::report {

/// All values are positive.
struct line_chart {
  struct series {
    std::string name;
    std::vector<std::pair<double, double>> points;
  };
  std::string title, x_name, y_name;
  std::vector<series> lines;

  /// Throws expunge::error for a value that is not positive and finite, or where there is no point.
  [[nodiscard]] std::string svg() const {
    constexpr double far = std::numeric_limits<double>::infinity();
    std::array<double, 2> least{far, far}, most{-far, -far};
    for (const series& s : lines)
      for (const auto& [x, y] : s.points) {
        require(x > 0 && y > 0 && std::isfinite(x) && std::isfinite(y), "line chart: series '", s.name, "' has the point ", x, ", ", y);
        for (const auto& [axis, value] : {std::pair{0U, x}, {1U, y}}) {
          least[axis] = std::min(least[axis], std::floor(std::log2(value)));
          most[axis] = std::max(most[axis], std::ceil(std::log2(value)));
        }
      }
    require(most[0] >= least[0], "line chart: no points");
    for (const unsigned axis : {0U, 1U}) most[axis] = std::max(most[axis], least[axis] + 1);
    constexpr double left = 70, upper = 40, width = 420, height = 260;
    const auto x_at = [&](double x) { return left + width * (std::log2(x) - least[0]) / (most[0] - least[0]); };
    const auto y_at = [&](double y) { return upper + height * (1 - (std::log2(y) - least[1]) / (most[1] - least[1])); };
    std::ostringstream out;
    detail::begin_svg(out, left + width + 170, upper + height + 50, left, title);
    const auto line = [&](double x1, double y1, double x2, double y2, const char* colour, int thick) {
      out << "<line x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2 << "\" stroke=\"" << colour << "\" stroke-width=\"" << thick << "\"/>\n";
    };
    for (double e = least[0]; e <= most[0]; ++e) {
      line(x_at(std::exp2(e)), upper, x_at(std::exp2(e)), upper + height, "#ddd", 1);
      out << "<text x=\"" << x_at(std::exp2(e)) << "\" y=\"" << upper + height + 16 << "\" text-anchor=\"middle\">" << std::exp2(e) << "</text>\n";
    }
    for (double e = least[1]; e <= most[1]; ++e) {
      line(left, y_at(std::exp2(e)), left + width, y_at(std::exp2(e)), "#ddd", 1);
      out << "<text x=\"" << left - 6 << "\" y=\"" << y_at(std::exp2(e)) + 4 << "\" text-anchor=\"end\">" << std::exp2(e) << "</text>\n";
    }
    out << "<text x=\"" << left + width / 2 << "\" y=\"" << upper + height + 38 << "\" text-anchor=\"middle\">" << detail::escaped(x_name) << "</text>\n";
    detail::name_vertical_axis(out, upper + height / 2, y_name);
    for (std::size_t s = 0; s < lines.size(); ++s) {
      const auto& points = lines[s].points;
      for (std::size_t i = 0; i < points.size(); ++i) {
        const auto& [x, y] = points[i];
        if (i > 0) line(x_at(points[i - 1].first), y_at(points[i - 1].second), x_at(x), y_at(y), detail::colour(s), 2);
        out << "<circle cx=\"" << x_at(x) << "\" cy=\"" << y_at(y) << "\" r=\"3\" fill=\"" << detail::colour(s) << "\"/>\n";
      }
      out << "<text x=\"" << left + width + 12 << "\" y=\"" << upper + 14 + 18 * static_cast<double>(s) << "\" fill=\"" << detail::colour(s) << "\">"
          << detail::escaped(lines[s].name) << "</text>\n";
    }
    out << "</svg>\n";
    return out.str();
  }
};

}  // namespace expunge::report
