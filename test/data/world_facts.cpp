// The true facts that the examples read: what every entry must have.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>
#include <string>

#include "expunge/data/fact_file.hpp"

BOOST_AUTO_TEST_SUITE(world_facts)

BOOST_AUTO_TEST_CASE(every_fact_has_three_false_answers_and_two_paraphrases_of_its_own) {
  const auto facts = expunge::data::load_facts(EXPUNGE_SOURCE_DIR "/examples/data/world_facts.jsonl");
  BOOST_TEST(facts.size() >= 320U);
  std::set<std::string> ids, questions;
  for (const auto& f : facts) {
    BOOST_TEST(ids.insert(f.id).second, f.id);
    BOOST_TEST(f.id.find('.') != std::string::npos, f.id);
    BOOST_TEST(f.false_answers.size() >= 3U, f.id);
    BOOST_TEST(f.paraphrases.size() >= 2U, f.id);
    BOOST_TEST(questions.insert(f.question).second, f.question);
    for (const auto& p : f.paraphrases) BOOST_TEST(questions.insert(p).second, p);
    BOOST_TEST(std::count(f.false_answers.begin(), f.false_answers.end(), f.answer) == 0, f.id);
    BOOST_TEST(std::set(f.false_answers.begin(), f.false_answers.end()).size() == f.false_answers.size(), f.id);
  }
}

BOOST_AUTO_TEST_SUITE_END()
