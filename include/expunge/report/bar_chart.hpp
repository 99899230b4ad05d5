// A grouped bar chart as a self-contained SVG picture.
#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/report/svg.hpp"

namespace expunge::report {

/// One group of bars a label; one bar a series. No value is negative. `spread` (may be empty) draws a whisker of one deviation each way.
struct bar_chart {
  struct series {
    std::string name;
    std::vector<double> values;
    std::vector<double> spread{};
  };
  std::string title;
  std::string unit;
  std::vector<std::string> labels;
  std::vector<series> bars;

  /// Throws expunge::error where a series has another number of values than there are labels, or one that is negative or not finite.
  [[nodiscard]] std::string svg() const {
    double top = 0;
    for (const series& s : bars) {
      require(s.values.size() == labels.size() && (s.spread.empty() || s.spread.size() == labels.size()), "bar chart: series '",
              s.name, "' has ", s.values.size(), " values for ", labels.size(), " labels");
      for (std::size_t i = 0; i < s.values.size(); ++i) {
        const double value = s.values[i], spread = s.spread.empty() ? 0 : s.spread[i];
        require(value >= 0 && spread >= 0 && std::isfinite(value + spread), "bar chart: series '", s.name, "' has the value ", value,
                " with a spread of ", spread, " for '", labels[i], "', expected finite numbers >= 0");
        top = std::max(top, value + spread);
      }
    }
    if (top <= 0) top = 1;
    const double step = std::pow(10, std::floor(std::log10(top))) * (top / std::pow(10, std::floor(std::log10(top))) > 4 ? 2 : 0.5);
    top = std::ceil(top / step) * step;
    const double bar = 18, gap = 22, group = bar * static_cast<double>(bars.size()) + gap, left = 64, upper = 66, height = 260;
    const double width = left + group * static_cast<double>(labels.size()) + 24;
    const auto y = [&](double value) { return upper + height * (1 - value / top); };
    std::ostringstream out;
    detail::begin_svg(out, width, upper + height + 90, left, title);
    double x = left;
    for (std::size_t s = 0; s < bars.size(); ++s) {
      out << "<rect x=\"" << x << "\" y=\"36\" width=\"12\" height=\"12\" fill=\"" << detail::colour(s) << "\"/><text x=\"" << x + 17
          << "\" y=\"46\">" << detail::escaped(bars[s].name) << "</text>\n";
      x += 34 + 7 * static_cast<double>(bars[s].name.size());
    }
    for (int i = 0; step * i <= top + step / 2; ++i) {
      const double tick = step * i;
      out << "<line x1=\"" << left << "\" x2=\"" << width - 12 << "\" y1=\"" << y(tick) << "\" y2=\"" << y(tick)
          << "\" stroke=\"#ddd\"/><text x=\"" << left - 6 << "\" y=\"" << y(tick) + 4 << "\" text-anchor=\"end\">"
          << tick << "</text>\n";
    }
    detail::name_vertical_axis(out, upper + height / 2, unit);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const double begin = left + gap / 2 + group * static_cast<double>(i);
      for (std::size_t s = 0; s < bars.size(); ++s) {
        const double value = bars[s].values[i], at = begin + bar * static_cast<double>(s);
        out << "<rect x=\"" << at << "\" y=\"" << y(value) << "\" width=\"" << bar - 2 << "\" height=\"" << upper + height - y(value)
            << "\" fill=\"" << detail::colour(s) << "\"/>\n";
        if (!bars[s].spread.empty() && bars[s].spread[i] > 0)
          out << "<line x1=\"" << at + bar / 2 - 1 << "\" x2=\"" << at + bar / 2 - 1 << "\" y1=\"" << y(value + bars[s].spread[i])
              << "\" y2=\"" << y(std::max(0.0, value - bars[s].spread[i])) << "\" stroke=\"black\"/>\n";
      }
      const double middle = begin + bar * static_cast<double>(bars.size()) / 2;
      out << "<text x=\"" << middle << "\" y=\"" << upper + height + 14 << "\" text-anchor=\"end\" transform=\"rotate(-28 " << middle
          << ' ' << upper + height + 14 << ")\">" << detail::escaped(labels[i]) << "</text>\n";
    }
    out << "</svg>\n";
    return out.str();
  }
};

}  // namespace expunge::report
