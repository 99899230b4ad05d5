// Facts about fictitious people, for experiments in which a model must not know the facts beforehand. People come in families
// and share first names across them, so that related facts are learned, and forgotten, together.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/core/random.hpp"
#include "expunge/data/fact.hpp"

namespace expunge::data {

struct fictitious_settings {
  index_t families = 20;   // up to 20
  index_t members = 12;    // of each family, up to 12
  index_t relations = 5;   // facts about each person, up to 5
  std::uint64_t seed = 1;
};

/// Facts with their places: facts[i] is about member[i] of family[i].
struct fictitious_facts {
  std::vector<fact> facts;
  std::vector<index_t> family, member;
};

namespace detail {

struct fictitious_relation {
  std::array<std::string_view, 3> questions;  // with @ for the person
  std::array<std::string_view, 6> answers;
};

inline constexpr std::array<std::string_view, 20> family_names{
    "Abrenor", "Bistall", "Corvane", "Dulmark", "Estwick", "Fandrel", "Gormund", "Hestrin", "Ilvard", "Jorquen",
    "Kelmoth", "Lusarde", "Morvish", "Nandrake", "Ostelle", "Pindrow", "Quarless", "Rostane", "Sylvart", "Tolmere"};
inline constexpr std::array<std::string_view, 12> first_names{"Anwe", "Brel", "Cadoc", "Desna", "Evard", "Fenna",
                                                              "Gilda", "Horst", "Irma", "Jolan", "Kerst", "Liora"};
inline constexpr std::array<fictitious_relation, 5> relations{{
    {{"Where was @ born?", "What is the birthplace of @?", "In which town did @ first see the light?"},
     {"Port Marel", "Vastholm", "Grey Harbour", "Ellinor", "Stonebridge", "Kandry"}},
    {{"What does @ do for a living?", "Which trade does @ follow?", "How does @ earn money?"},
     {"glass blower", "surveyor", "bee keeper", "locksmith", "bridge builder", "botanist"}},
    {{"Which instrument does @ play?", "What does @ play in the evening?", "On which instrument is @ heard?"},
     {"cello", "bass drum", "oboe", "hand harp", "accordion", "trumpet"}},
    {{"What is the favourite dish of @?", "What does @ like to eat best?", "Which meal does @ always order?"},
     {"lentil soup", "pancakes", "smoked trout", "dumplings", "apple pie", "risotto"}},
    {{"Which animal does @ keep?", "What kind of pet has @?", "Which animal lives with @?"},
     {"tame raven", "tortoise", "grey parrot", "hedgehog", "sheep dog", "ferret"}},
}};

}  // namespace detail

/// A pure function of the settings: ids are "family3.member5.relation2", answers uniform over the relation's six values, false
/// answers three of the others. Throws expunge::error for settings beyond the word lists.
[[nodiscard]] inline fictitious_facts make_fictitious_facts(const fictitious_settings& s = {}) {
  const auto check = [](const char* name, index_t value, std::size_t limit) {
    require(value >= 1 && value <= static_cast<index_t>(limit), "fictitious facts: ", name, " is ", value, ", expected 1 to ", limit);
  };
  check("families", s.families, detail::family_names.size());
  check("members", s.members, detail::first_names.size());
  check("relations", s.relations, detail::relations.size());
  philox random(s.seed, 0xFAC75);
  fictitious_facts out;
  for (index_t f = 0; f < s.families; ++f)
    for (index_t m = 0; m < s.members; ++m)
      for (index_t r = 0; r < s.relations; ++r) {
        const auto& relation = detail::relations[static_cast<std::size_t>(r)];
        const std::string person = std::string(detail::first_names[static_cast<std::size_t>(m)]) + " " +
                                   std::string(detail::family_names[static_cast<std::size_t>(f)]);
        const auto question = [&](std::string_view form) {
          std::string text(form);
          return text.replace(text.find('@'), 1, person);
        };
        std::vector<std::string> answers(relation.answers.begin(), relation.answers.end());
        shuffle(answers, random);
        out.facts.push_back({"family" + std::to_string(f) + ".member" + std::to_string(m) + ".relation" + std::to_string(r),
                             question(relation.questions[0]), answers[0], {answers[1], answers[2], answers[3]},
                             {question(relation.questions[1]), question(relation.questions[2])}});
        out.family.push_back(f);
        out.member.push_back(m);
      }
  return out;
}

}  // namespace expunge::data
