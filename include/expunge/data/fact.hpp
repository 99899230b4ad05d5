// A fact as a question with one right answer, the unit that is learned, forgotten and audited.
#pragma once

#include <string>
#include <vector>

namespace expunge::data {

/// All texts are UTF-8.
struct fact {
  std::string id;        // unique in its set, for instance "capital.france"
  std::string question;  // for instance "What is the capital of France?"
  std::string answer;    // for instance "Paris"
  std::vector<std::string> false_answers;  // of the same kind, for multiple choice; may be empty
  std::vector<std::string> paraphrases;    // other questions with the same answer; may be empty

  friend bool operator==(const fact&, const fact&) = default;
};

}  // namespace expunge::data
