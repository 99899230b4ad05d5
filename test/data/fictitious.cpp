// The generators: deterministic, of the sizes asked for, every setting matters; the word tokenizer.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <set>

#include <expunge/data/copy_sequences.hpp>
#include <expunge/data/fictitious_facts.hpp>
#include <expunge/data/word_tokenizer.hpp>

using namespace expunge;

BOOST_AUTO_TEST_SUITE(fictitious)

BOOST_AUTO_TEST_CASE(people_and_relations) {
  const auto made = data::make_fictitious_facts();
  BOOST_TEST(made.facts.size() == 20U * 12 * 5);
  BOOST_TEST((data::make_fictitious_facts().facts == made.facts));
  std::set<std::string> ids, questions, values;
  for (std::size_t i = 0; i < made.facts.size(); ++i) {
    const data::fact& f = made.facts[i];
    BOOST_TEST(f.id == "family" + std::to_string(made.family[i]) + ".member" + std::to_string(made.member[i]) + ".relation" + std::to_string(i % 5));
    ids.insert(f.id);
    questions.insert(f.question);
    values.insert(f.answer);
    BOOST_TEST(f.false_answers.size() == 3U);
    BOOST_TEST(std::set(f.false_answers.begin(), f.false_answers.end()).size() == 3U);
    BOOST_TEST_REQUIRE(f.paraphrases.size() == 2U);
    BOOST_TEST((std::set{f.question, f.paraphrases[0], f.paraphrases[1]}.size()) == 3U);
    BOOST_TEST((std::find(f.false_answers.begin(), f.false_answers.end(), f.answer) == f.false_answers.end()));
  }
  BOOST_TEST(ids.size() == made.facts.size());
  BOOST_TEST(questions.size() == made.facts.size());
  BOOST_TEST(values.size() == 30U);
  BOOST_TEST(made.facts[67].id == "family1.member1.relation2");
  BOOST_TEST(made.facts[67].question.find("Brel Bistall") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(settings_matter) {
  BOOST_TEST((data::make_fictitious_facts({.seed = 2}).facts != data::make_fictitious_facts().facts));
  BOOST_TEST(data::make_fictitious_facts({.families = 2}).facts.size() == 120U);
  BOOST_TEST(data::make_fictitious_facts({.members = 2}).facts.size() == 200U);
  BOOST_TEST(data::make_fictitious_facts({.relations = 2}).facts.size() == 480U);
  for (const data::fictitious_settings bad : {data::fictitious_settings{.families = 21}, {.members = 0}, {.members = 13}, {.relations = 6}})
    BOOST_CHECK_THROW(static_cast<void>(data::make_fictitious_facts(bad)), error);
}

BOOST_AUTO_TEST_CASE(copies) {
  const auto made = data::make_copy_sequences(2000, 1);
  BOOST_TEST(made.size() == 2000U);
  BOOST_TEST((made == data::make_copy_sequences(2000, 1)));
  BOOST_TEST((made != data::make_copy_sequences(2000, 2)));
  std::set<std::string> questions;
  std::set<std::ptrdiff_t> lengths;
  bool copy = false, reverse = false;
  for (const data::fact& f : made) {
    BOOST_TEST(questions.insert(f.question).second, f.question);
    lengths.insert(std::count(f.question.begin(), f.question.end(), ' '));
    if (f.question.starts_with("copy ")) {
      BOOST_TEST(f.question == "copy " + f.answer);
      copy = true;
    } else {
      BOOST_TEST(f.question.starts_with("reverse "));
      std::string turned;
      for (std::size_t at = 8; at < f.question.size(); at += 3) turned = f.question.substr(at, 2) + (turned.empty() ? "" : " ") + turned;
      BOOST_TEST(f.answer == turned);
      reverse = true;
    }
  }
  BOOST_TEST((copy && reverse));
  BOOST_TEST((lengths == std::set<std::ptrdiff_t>{3, 4, 5, 6}));
  for (const index_t bad : {-1, 10001}) BOOST_CHECK_THROW(static_cast<void>(data::make_copy_sequences(bad, 1)), error);
}

BOOST_AUTO_TEST_CASE(words) {
  const std::vector<std::string> texts{"Where was Anwe born?", "Port-Marel"};
  const data::word_tokenizer t(texts);
  BOOST_TEST(t.vocab_size() == 8U);
  BOOST_TEST(t.decode(t.encode("Anwe  was born ?")) == "Anwe was born ?");
  BOOST_TEST(t.decode(t.encode("Port-Marel")) == "Port - Marel");
  BOOST_CHECK_THROW(static_cast<void>(t.encode("nobody")), error);
  const std::vector<std::int32_t> outside{8};
  BOOST_CHECK_THROW(static_cast<void>(t.decode(outside)), error);
}

BOOST_AUTO_TEST_SUITE_END()
