#include "expunge/data/fact_file.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <string>

#include "expunge/core/error.hpp"

namespace {

using expunge::data::fact;

// A file that disappears with its scope.
class facts_file {
 public:
  explicit facts_file(const std::string& content) : facts_file() { std::ofstream(path, std::ios::binary) << content; }
  facts_file() : path(std::filesystem::temp_directory_path() / ("expunge_facts_" + std::to_string(::getpid()) + ".jsonl")) {}
  facts_file(const facts_file&) = delete;
  facts_file& operator=(const facts_file&) = delete;
  ~facts_file() { std::filesystem::remove(path); }

  const std::filesystem::path path;
};

const std::string paris = R"({"id": "capital.france", "question": "Capital of France?", "answer": "Paris"})";

// Loading `content` fails with a message that has the file's name and all of `parts`.
void check_refused(const std::string& content, const std::vector<std::string>& parts) {
  const facts_file file(content);
  BOOST_CHECK_EXCEPTION(expunge::data::load_facts(file.path), expunge::error, [&](const expunge::error& e) {
    const std::string message = e.what();
    BOOST_TEST(message.find(file.path.filename().string()) != std::string::npos, message);
    for (const std::string& part : parts) BOOST_TEST(message.find(part) != std::string::npos, message << " lacks " << part);
    return true;
  });
}

// The same for line 3, below a good line and a blank one.
void check_line_refused(const std::string& line, std::vector<std::string> parts) {
  parts.push_back("line 3");
  check_refused(paris + "\n\n" + line + "\n", parts);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fact_files)

BOOST_AUTO_TEST_CASE(every_key_is_read_and_others_are_skipped) {
  const facts_file file("\n" + paris + "\r\n   \n" +
                        R"({"id": "x", "question": "Q?", "answer": "Å", "false_answers": ["B", "C"], "paraphrases": ["P?"], "note": 1})");
  const auto facts = expunge::data::load_facts(file.path);
  BOOST_TEST((facts == std::vector<fact>{{"capital.france", "Capital of France?", "Paris", {}, {}},
                                         {"x", "Q?", "Å", {"B", "C"}, {"P?"}}}));
}

BOOST_AUTO_TEST_CASE(an_id_is_a_text_or_a_whole_number_or_the_place_in_the_file) {
  const facts_file file(R"({"question": "Q", "answer": "A"})" "\n\n" R"({"id": 7, "question": "Q", "answer": "A"})" "\n"
                        R"({"answer": "A", "question": "Q"})");
  const auto facts = expunge::data::load_facts(file.path);
  BOOST_TEST_REQUIRE(facts.size() == 3U);
  BOOST_TEST(facts[0].id == file.path.string() + ", line 1");
  BOOST_TEST(facts[1].id == "7");
  BOOST_TEST(facts[2].id == file.path.string() + ", line 4");
}

BOOST_AUTO_TEST_CASE(a_byte_order_mark_is_skipped) {
  for (const std::string between : {"", "\n", " \r\n"}) {
    const facts_file file("\xEF\xBB\xBF" + between + paris);
    BOOST_TEST(expunge::data::load_facts(file.path).size() == 1U);
  }
  check_refused("\xEF\xBB\xBF", {"no fact"});
}

BOOST_AUTO_TEST_CASE(what_is_saved_is_loaded) {
  const facts_file file;
  const std::vector<fact> facts{{"a", "\"Q\"\n?", "日本", {"x", "y"}, {"p"}}, {"b", "Q", "A", {}, {}}};
  expunge::data::save_facts(file.path, facts);
  BOOST_TEST((expunge::data::load_facts(file.path) == facts));
}

BOOST_AUTO_TEST_CASE(broken_files_are_refused_by_name_line_and_remedy) {
  const facts_file missing;
  BOOST_CHECK_EXCEPTION(expunge::data::load_facts(missing.path), expunge::error, [&](const expunge::error& e) {
    return std::string(e.what()).find(missing.path.filename().string()) != std::string::npos;
  });
  check_refused("", {"no fact", "one JSON object a line"});
  check_refused(" \n\n", {"no fact"});
  check_line_refused("{\"id\": ", {"one JSON object a line"});
  check_line_refused(paris + paris, {"one JSON object a line"});
  check_line_refused("[1]", {"array", "one JSON object a line"});
  check_refused("id,question,answer\n1,Capital of France?,Paris\n", {"expected JSONL, one JSON object a line such as {\"question\":"});
  check_line_refused("{\"id\": \"\xff\", \"question\": \"q\", \"answer\": \"a\"}", {"UTF-8"});
  check_line_refused(R"({"id": "a", "id": "b", "question": "q", "answer": "a"})", {"duplicate", "\"id\""});
}

BOOST_AUTO_TEST_CASE(broken_facts_are_refused_by_name_line_and_remedy) {
  check_line_refused(paris, {"'capital.france'", "occurs twice", "rename"});
  check_refused(R"({"id": "7", "question": "q", "answer": "a"})" "\n" R"({"id": 7, "question": "r", "answer": "a"})", {"'7'", "occurs twice"});
  check_line_refused(R"({"id": "i", "answer": "a"})", {"'question'", "missing"});
  check_line_refused(R"({"id": "i", "question": "q"})", {"'answer'", "missing"});
  check_line_refused(R"({"id": " ", "question": "q", "answer": "a"})", {"empty 'id'"});
  check_line_refused(R"({"id": "i", "question": "", "answer": "a"})", {"'i'", "empty 'question'"});
  check_line_refused(R"({"id": "i", "question": "q", "answer": ""})", {"'i'", "empty 'answer'"});
  check_line_refused(R"({"id": 7.5, "question": "q", "answer": "a"})", {"'id'", "number", "a string"});
  check_line_refused(R"({"id": "i", "question": "q", "answer": null})", {"'answer'", "null", "a string"});
  check_line_refused(R"({"id": "i", "question": "q", "answer": "a", "paraphrases": "p"})", {"'paraphrases'", "array of strings"});
  check_line_refused(R"({"id": "i", "question": "q", "answer": "a", "false_answers": [1]})", {"'false_answers'", "a string"});
  check_line_refused(R"({"id": "i", "question": "q", "answer": "a", "false_answers": [""]})", {"empty 'false_answers'"});
  check_line_refused(R"({"id": "i", "question": "q", "answer": "a", "paraphrases": [""]})", {"empty 'paraphrases'"});
  check_line_refused(R"({"id": "i", "question": "q", "answer": "a", "false_answers": ["a"]})", {"'a'", "remove it"});
}

BOOST_AUTO_TEST_CASE(what_could_not_be_loaded_is_not_saved) {
  const facts_file file;
  const fact good{"a", "q", "x", {}, {}};
  const auto save = [&](const std::vector<fact>& facts) { expunge::data::save_facts(file.path, facts); };
  BOOST_CHECK_THROW(save({}), expunge::error);
  BOOST_CHECK_THROW(save({good, good}), expunge::error);
  BOOST_CHECK_THROW(save({{"a", "q", "", {}, {}}}), expunge::error);
  BOOST_CHECK_THROW(save({{"a", "q", "\xff", {}, {}}}), expunge::error);
  BOOST_TEST(!std::filesystem::exists(file.path));
  BOOST_CHECK_THROW(expunge::data::save_facts("/no/such/folder/facts.jsonl", std::vector{good}), expunge::error);
}

BOOST_AUTO_TEST_CASE(a_fact_in_both_sets_is_named) {
  const std::vector<fact> one{{"a", "q", "x", {}, {}}, {"b", "q2", "x", {}, {}}};
  const auto names = [](const std::string& name) {
    return [=](const expunge::error& e) { return std::string(e.what()).find("'" + name + "'") != std::string::npos; };
  };
  const std::vector<fact> two{{"c", "q", "y", {}, {}}, {"e", "q3", "x", {}, {}}};
  const std::vector<fact> three{{"d", "q3", "x", {}, {}}, {"b", "other", "y", {}, {}}};
  const std::vector<fact> four{{"d", "q3", "x", {}, {}}, {"f", "q2", "x", {}, {}}};  // under another id
  BOOST_CHECK_NO_THROW(expunge::data::require_disjoint(one, two));
  BOOST_CHECK_EXCEPTION(expunge::data::require_disjoint(one, three), expunge::error, names("b"));
  BOOST_CHECK_EXCEPTION(expunge::data::require_disjoint(one, four), expunge::error, names("f"));
}

BOOST_AUTO_TEST_SUITE_END()
