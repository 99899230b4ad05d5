// Tables are valid Markdown, charts are well-formed pictures, and both refuse rows that do not fit.
#include <boost/test/unit_test.hpp>

#include <cmath>
#include <sstream>
#include <string>

#include <expunge/report/bar_chart.hpp>
#include <expunge/report/line_chart.hpp>
#include <expunge/report/table.hpp>

using namespace expunge;

namespace {

/// The labels of the vertical axis, and what else ends at its place; those with "middle" of a line chart's horizontal one, and the axes' names.
std::string ticks(const std::string& svg, const std::string& anchor = "end") {
  const std::string mark = "text-anchor=\"" + anchor + "\">";
  std::string out;
  for (std::size_t at = svg.find(mark); at != std::string::npos; at = svg.find(mark, at + 1))
    out += svg.substr(at + mark.size(), svg.find('<', at) - at - mark.size()) + ' ';
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reports)

BOOST_AUTO_TEST_CASE(tables) {
  report::table t({"method", "steps"});
  t.add({"GA", report::fixed(12.345, 1)});
  std::ostringstream out;
  out << t;
  BOOST_TEST(out.str() == "| method | steps |\n|--------|------:|\n| GA     |  12.3 |\n");
  BOOST_CHECK_THROW(t.add({"one cell"}), error);
  report::table texts({"a|b\x1Bkey"});
  texts.add({"<|end|>\nof text"});
  std::ostringstream escaped;
  escaped << texts;
  BOOST_TEST(escaped.str() == "| a\\|b key          |\n|-------------------|\n| <\\|end\\|> of text |\n");
  BOOST_TEST(report::fixed(1e70, 1).size() == 73U);
}

BOOST_AUTO_TEST_CASE(charts) {
  report::bar_chart chart{"A < B & C", "%", {"x", "y"}, {{"p", {1, 2}, {0.5, 0}}, {"q", {0, 4}}}};
  const std::string svg = chart.svg();
  BOOST_TEST(svg.starts_with("<svg xmlns"));
  BOOST_TEST(svg.ends_with("</svg>\n"));
  BOOST_TEST(svg.find("A &lt; B &amp; C") != std::string::npos);
  BOOST_TEST(svg.find("nan") == std::string::npos);
  chart.bars[0].values.pop_back();
  BOOST_CHECK_THROW(static_cast<void>(chart.svg()), error);
  BOOST_TEST(report::bar_chart({"empty", "", {}, {}}).svg().find("nan") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(bars_are_as_high_as_their_values) {
  // The axis ends at 4, the highest whisker's end: 260 high, from 326 up.
  const std::string svg = report::bar_chart{"\"A\" > B", "", {"x", "y"}, {{"p", {1, 2}, {1.5, 0}}, {"q", {0, 3}, {0, 1}}}}.svg();
  for (const char* part : {"<rect x=\"75\" y=\"261\" width=\"16\" height=\"65\"", "<rect x=\"151\" y=\"131\" width=\"16\" height=\"195\"",
                           "<line x1=\"83\" x2=\"83\" y1=\"163.5\" y2=\"326\" stroke=\"black\"", "&quot;A&quot; &gt; B"})
    BOOST_TEST(svg.find(part) != std::string::npos, part);
  const report::bar_chart short_of_one{"", "", {"x", "y"}, {{"p", {1, 2}, {1}}}};
  BOOST_CHECK_THROW(static_cast<void>(short_of_one.svg()), error);
}

BOOST_AUTO_TEST_CASE(ticks_say_their_values) {
  BOOST_TEST(ticks(report::bar_chart{"", "", {}, {{"p", {}}}}.svg()) == "0 0.5 1 ");
  const auto bars = [](double value) { return ticks(report::bar_chart{"", "", {"x"}, {{"p", {value}}}}.svg()); };
  BOOST_TEST(bars(40) == "0 5 10 15 20 25 30 35 40 ");
  BOOST_TEST(bars(0.03) == "0 0.005 0.01 0.015 0.02 0.025 0.03 ");
  BOOST_TEST(bars(0.002) == "0 0.0005 0.001 0.0015 0.002 ");
  BOOST_TEST(ticks(report::line_chart{"", "", "", {{"p", {{1, 0.04}, {2, 0.1}}}}}.svg()) == "0.03125 0.0625 0.125 ");
  BOOST_TEST(ticks(report::line_chart{"", "", "", {{"p", {{1, 2e-5}, {2, 5e-5}}}}}.svg()) == "1.52588e-05 3.05176e-05 6.10352e-05 ");
}

BOOST_AUTO_TEST_CASE(bars_that_cannot_be_drawn_are_refused) {
  for (const double bad : {-3.0, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    for (const auto& bar : {report::bar_chart::series{"GD", {1, bad}}, {"GD", {1, 1}, {0, bad}}})
      BOOST_CHECK_EXCEPTION(static_cast<void>(report::bar_chart({"", "", {"x", "y"}, {bar}}).svg()), error, [](const error& e) {
        const std::string text = e.what();
        return text.find("'GD'") != std::string::npos && text.find("'y'") != std::string::npos;
      });
}

BOOST_AUTO_TEST_CASE(curves) {
  const std::string texts = report::line_chart{"A < B", "C & D", "E > F", {{"\"G\"", {{1, 1}}}}}.svg();
  for (const char* part : {"A &lt; B", "C &amp; D", "E &gt; F", "&quot;G&quot;"}) BOOST_TEST(texts.find(part) != std::string::npos, part);
  report::line_chart chart{"step time", "tokens", "seconds", {{"GD", {{16, 0.25}, {64, 1}}}, {"SSIUU", {{16, 0.5}}}}};
  const std::string svg = chart.svg();
  BOOST_TEST(svg.starts_with("<svg xmlns"));
  BOOST_TEST(svg.ends_with("</svg>\n"));
  BOOST_TEST(svg.find("nan") == std::string::npos);
  // 16 and 64 tokens are the ends of the axis, 0.25 and 1 second too: the one line goes from corner to corner.
  BOOST_TEST(svg.find("<line x1=\"70\" y1=\"300\" x2=\"490\" y2=\"40\"") != std::string::npos);
  BOOST_TEST(ticks(svg, "middle") == "16 32 64 tokens seconds ");
  BOOST_TEST((svg.find(">GD<") != std::string::npos && svg.find(">SSIUU<") != std::string::npos));
  const report::line_chart point{"", "", "", {{"one", {{16, 0.25}}}}};
  BOOST_TEST(point.svg().find("nan") == std::string::npos);
  chart.lines[0].points[0].first = INFINITY;
  BOOST_CHECK_THROW(static_cast<void>(chart.svg()), error);
  chart.lines[0].points[0] = {16, 0};
  BOOST_CHECK_THROW(static_cast<void>(chart.svg()), error);
  BOOST_CHECK_THROW(static_cast<void>(report::line_chart{}.svg()), error);
}

BOOST_AUTO_TEST_SUITE_END()
