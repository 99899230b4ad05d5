// Tables are valid Markdown, charts are well-formed pictures, and both refuse rows that do not fit.
#include <boost/test/unit_test.hpp>

#include <sstream>

#include <expunge/report/bar_chart.hpp>
#include <expunge/report/line_chart.hpp>
#include <expunge/report/table.hpp>

using namespace expunge;

BOOST_AUTO_TEST_SUITE(reports)

BOOST_AUTO_TEST_CASE(tables) {
  report::table t({"method", "steps"});
  t.add({"GA", report::fixed(12.345, 1)});
  std::ostringstream out;
  out << t;
  BOOST_TEST(out.str() == "| method | steps |\n|--------|------:|\n| GA     |  12.3 |\n");
  BOOST_CHECK_THROW(t.add({"one cell"}), error);
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

BOOST_AUTO_TEST_CASE(curves) {
  report::line_chart chart{"step time", "tokens", "seconds", {{"GD", {{16, 0.25}, {64, 1}}}, {"SSIUU", {{16, 0.5}}}}};
  const std::string svg = chart.svg();
  BOOST_TEST(svg.starts_with("<svg xmlns"));
  BOOST_TEST(svg.ends_with("</svg>\n"));
  BOOST_TEST(svg.find("nan") == std::string::npos);
  // 16 and 64 tokens are the ends of the axis, 0.25 and 1 second too: the one line goes from corner to corner.
  BOOST_TEST(svg.find("<line x1=\"70\" y1=\"300\" x2=\"490\" y2=\"40\"") != std::string::npos);
  chart.lines[0].points[0].second = 0;
  BOOST_CHECK_THROW(static_cast<void>(chart.svg()), error);
  BOOST_CHECK_THROW(static_cast<void>(report::line_chart{}.svg()), error);
}

BOOST_AUTO_TEST_SUITE_END()
