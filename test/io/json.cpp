// JSON from broken and hostile texts, and the strings that we write.
#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

#include <expunge/io/json.hpp>

#include "../message_of.hpp"

using namespace expunge;
using io::parse_json;

namespace {

std::string complaint(const std::string& text) {
  return testing::message_of([&] { static_cast<void>(parse_json(text, "some.json")); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(json)

BOOST_AUTO_TEST_CASE(values_come_out_by_type) {
  const io::json root = parse_json(R"({"b": true, "i": -9223372036854775808, "x": 1e-5, "s": "a\u0000é", "list": [1, "two"], "none": null})", "some.json");
  BOOST_TEST(root["b"].as<bool>());
  BOOST_TEST(root["i"].as<index_t>() == INT64_MIN);
  BOOST_TEST(root["x"].as<double>() == 1e-5);
  BOOST_TEST(root["s"].as<std::string>() == std::string("a\0é", 4));
  BOOST_TEST(root["list"].elements().at(0).as<double>() == 1);
  BOOST_TEST(root["list"].elements().at(1).as<std::string>() == "two");
  BOOST_TEST((root["none"].is_null() && root.contains("none") && root["missing"].is_null() && !root.contains("missing")));
  BOOST_TEST(root.members().size() == 6U);
  BOOST_TEST(root.members()[0].first == "b");
  BOOST_TEST(parse_json("\xEF\xBB\xBF[]", "some.json").is_array());  // with a byte order mark
}

BOOST_AUTO_TEST_CASE(wrong_types_are_errors) {
  const io::json root = parse_json(R"({"x": 1.5, "s": "1"})", "some.json");
  BOOST_CHECK_THROW(static_cast<void>(root["x"].as<index_t>()), error);
  BOOST_CHECK_THROW(static_cast<void>(root["x"].as<bool>()), error);
  BOOST_CHECK_THROW(static_cast<void>(root["s"].as<double>()), error);
  BOOST_CHECK_THROW(static_cast<void>(root["missing"].as<std::string>()), error);
  BOOST_CHECK_THROW(static_cast<void>(root["s"].members()), error);
  BOOST_CHECK_THROW(static_cast<void>(root["s"].elements()), error);
  BOOST_CHECK_THROW(static_cast<void>(root.at("missing")), error);
}

BOOST_AUTO_TEST_CASE(messages_show_what_was_found) {
  const io::json root = parse_json("{\"ids\": [7], \"x\": \"" + std::string(74, 'x') + "é\"}", "some.json");
  BOOST_TEST(testing::message_of([&] { static_cast<void>(root["ids"].as<std::string>()); }) == "expected a string, found the JSON array [7]");
  BOOST_TEST(testing::message_of([&] { static_cast<void>(root.at("id")); }).find("the key 'id' is missing in {\"ids\":[7],\"x\":\"xx") == 0U);
  BOOST_TEST(testing::message_of([&] { static_cast<void>(root["x"].as<bool>()); }).ends_with(" string \"" + std::string(74, 'x') + "é\""));
  const io::json longer = parse_json("[\"" + std::string(77, 'x') + "éé\"]", "some.json");  // cut before a character, not within
  BOOST_TEST(testing::message_of([&] { static_cast<void>(longer.members()); }).ends_with("[\"" + std::string(77, 'x') + "..."));
}

BOOST_AUTO_TEST_CASE(broken_text_is_refused_with_file_and_place) {
  const std::string misplaced = complaint("{\n  \"a\": 1,\n  \"b\": tru\n}");
  BOOST_TEST(misplaced.find("some.json") != std::string::npos, misplaced);
  BOOST_TEST(misplaced.find("line 3") != std::string::npos, misplaced);
  for (const std::string text : {"", " ", "{", "[1,]", "[1] 2", "nan", "[NaN]", "[01]", "'a'", "[\"\xFF\"]", "[\"\xC0\xAF\"]", "[\"\xED\xA0\x80\"]",
                                 "[\"\\ud800\"]", "{\"a\": 1, \"a\": 2}", "[1e400]", "[18446744073709551616]", "[\"a\nb\"]"})
    BOOST_TEST(!complaint(text).empty(), text);
  BOOST_TEST(!complaint(std::string("[1]\0", 4)).empty());
  for (const char* open : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += open;
    BOOST_TEST(complaint(deep).find("depth") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(strings_are_written_as_they_are_read) {
  const std::vector<std::string> texts{"", "plain", "\"quoted\\\"", std::string("\0\x01\n\x7F", 4), "naïve 東京 😀"};
  const auto back = parse_json(io::json_strings_of(texts), "some.json").elements();
  BOOST_TEST_REQUIRE(back.size() == texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) BOOST_TEST(back[i].as<std::string>() == texts[i]);
  BOOST_CHECK_THROW(static_cast<void>(io::json_string_of("\xFF")), error);
}

BOOST_AUTO_TEST_SUITE_END()
